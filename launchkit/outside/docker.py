"""What is asked of the ``docker`` program."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from typing import Any

ANSWER_S = 60.0
PULL_S = 3600.0


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


def find_image(image: str) -> dict[str, Any]:
    """Return what Docker knows of an image, which is pulled if it is not here.

    Raises
    ------
    DockerError
        If there is no such image.
    """
    known = _run("image", "inspect", image)
    if known.returncode:
        pulled = _run("pull", "--quiet", image, timeout=PULL_S)
        if pulled.returncode:
            raise DockerError(f"image is {image!r}, and Docker cannot get it: {_said(pulled)}")
        known = _run("image", "inspect", image)
    found: list[dict[str, Any]] = json.loads(known.stdout)
    return found[0]


def run(arguments: Sequence[str], timeout: float = ANSWER_S) -> subprocess.CompletedProcess[str]:
    """Run ``docker run --rm`` with these arguments, and return how it went."""
    return _run("run", "--rm", *arguments, timeout=timeout)


def kill(names: Sequence[str]) -> None:
    """End containers at once; those that have ended are left out."""
    if names:
        _run("kill", *names)


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
    try:
        return subprocess.run(
            ["docker", *arguments],  # noqa: S607 - the one on the user's PATH
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
            # Ctrl-C is the launcher's affair.
            start_new_session=True,
            env={**os.environ, "DOCKER_CLI_HINTS": "false"},
        )
    except subprocess.TimeoutExpired:
        raise DockerError(
            f"Docker has not answered `docker {arguments[0]}` in {timeout:g} s"
        ) from None


def _said(done: subprocess.CompletedProcess[str]) -> str:
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    text = lines[-1] if lines else f"exit code {done.returncode}"
    return re.sub(r"^(Error response from daemon|docker): ", "", text)
