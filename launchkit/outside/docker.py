"""What is asked of the ``docker`` program."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence

from launchkit.outside import programs
from launchkit.outside.containers import Container, docker_trial
from launchkit.outside.trial import last_line

ANSWER_S = 60.0
PULL_S = 3600.0
TRIAL_S = 600.0
REMOVALS = 3
REMOVE_AGAIN_S = 0.2


class DockerError(ValueError):
    """Docker is not here, may not be used, or has not what is wanted."""


def lacking() -> list[str]:
    """Return what Docker lacks on this machine, a phrase each."""
    if shutil.which("docker") is None:
        return ["docker (the program is not on PATH)"]
    try:
        check()
    except DockerError as error:
        return [str(error).partition("; ")[0]]
    return []


def check() -> None:
    """See to it that a Docker engine answers.

    Raises
    ------
    DockerError
        If none does.
    """
    if shutil.which("docker") is None:
        raise DockerError("there is no program 'docker' on PATH; install Docker, or use mode local")
    done = _run("version", "--format", "{{.Server.Version}}")
    if done.returncode:
        said = _said(done)
        if "permission denied" in said.lower():
            raise DockerError(
                "Docker does not let this user in (permission denied on its socket); add the user "
                "to the group 'docker' and log in anew, or set DOCKER_HOST to a rootless engine"
            )
        raise DockerError(f"no Docker engine answers: {said}; start it, or set DOCKER_HOST")


def find_image(image: str) -> None:
    """See to it that an image is here; it is pulled if not.

    Raises
    ------
    DockerError
        If there is no such image.
    """
    if _run("image", "inspect", image).returncode == 0:
        return
    pulled = _run("pull", "--quiet", image, timeout=PULL_S)
    if pulled.returncode:
        raise DockerError(f"image is {image!r}, and Docker cannot get it: {_said(pulled)}")


def user() -> str:
    """Return who a container is to run as, ``uid:gid``, for its files to be this user's.

    In a rootless engine, that is the container's root.
    """
    known = _run("info", "--format", "{{json .SecurityOptions}}")
    return "0:0" if "name=rootless" in known.stdout else f"{os.getuid()}:{os.getgid()}"


def trial(
    container: Container, script: str, variables: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run a script of ``sh`` in a container that sees no sweep.

    Parameters
    ----------
    container
        What the container is like.
    script
        The script.
    variables
        Environment variables for what starts it.
    """
    name = f"launchkit-trial-{secrets.token_hex(6)}"
    try:
        done = _call(["sh", "-c", docker_trial(container, name, script)], TRIAL_S, variables)
    except BaseException:
        _run("rm", "--force", name)
        raise
    said = re.sub(r"(?m)^(docker: |Error response from daemon: )+", "", done.stderr)
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout, said)


def remove(names: Sequence[str]) -> None:
    """End and remove containers whose ``docker run`` has been killed."""
    left = set(names)
    for _ in range(REMOVALS):
        # One may be about to be made: its `docker run` had asked for it.
        left -= set(_run("rm", "--force", *sorted(left)).stdout.split())
        if not left:
            break
        time.sleep(REMOVE_AGAIN_S)


def remove_labelled(label: str) -> None:
    """End and remove the containers that have a label, ``key=value``.

    Raises
    ------
    DockerError
        If one is still there then.
    """
    if shutil.which("docker") is None:
        return
    listed = _run("ps", "--all", "--quiet", "--filter", f"label={label}")
    found = listed.stdout.split()
    if found:
        _run("rm", "--force", *found)
        left = _run("ps", "--all", "--quiet", "--filter", f"label={label}").stdout.split()
        if left:
            raise DockerError(f"Docker does not remove the containers {', '.join(left)}")


def _run(*arguments: str, timeout: float = ANSWER_S) -> subprocess.CompletedProcess[str]:
    return _call(["docker", *arguments], timeout, {})


def _call(
    command: Sequence[str], timeout: float, variables: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **variables, "DOCKER_CLI_HINTS": "false"}
    try:
        return programs.call(command, timeout, environment)
    except subprocess.TimeoutExpired:
        asked = "run" if command[0] == "sh" else command[1]
        raise DockerError(f"Docker has not answered `docker {asked}` in {timeout:g} s") from None


def _said(done: subprocess.CompletedProcess[str]) -> str:
    text = last_line(done.stderr) or f"exit code {done.returncode}"
    return re.sub(r"^(Error response from daemon|docker): ", "", text)
