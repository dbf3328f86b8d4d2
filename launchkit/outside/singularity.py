"""What is asked of the ``apptainer`` or ``singularity`` program, whichever is there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from launchkit.outside import programs
from launchkit.outside.containers import Container
from launchkit.outside.scripts import UNPACKED
from launchkit.outside.singularity_script import PROGRAMS, is_remote, singularity_trial
from launchkit.outside.trial import last_line

ANSWER_S = 60.0
TRIAL_S = 600.0
FETCH_S = 3600.0


class SingularityError(ValueError):
    """There is no Singularity here, or it has not what is wanted."""


def lacking() -> list[str]:
    """Return what is lacking on this machine, a phrase each."""
    try:
        check()
    except SingularityError as error:
        return [str(error).partition("; ")[0]]
    return []


def find() -> str:
    """Return the program.

    Raises
    ------
    SingularityError
        If there is none.
    """
    for name in PROGRAMS:
        found = shutil.which(name)
        if found is not None:
            return found
    raise SingularityError(
        f"there is no program {' or '.join(PROGRAMS)} on PATH; install Apptainer, or load its "
        "module first"
    )


def check() -> None:
    """See to it that there is a program that runs.

    Raises
    ------
    SingularityError
        If there is none.
    """
    program = find()
    done = _call([program, "--version"], ANSWER_S)
    if done.returncode:
        raise SingularityError(f"{program} does not run: {_said(done)}")


def located(image: str) -> str:
    """Return an image as it can be named from any directory.

    Raises
    ------
    SingularityError
        If it is a file or folder, and not there; or what runs already.
    """
    if is_remote(image):
        if image.startswith("instance://"):
            raise SingularityError(
                f"image is {image!r}, which runs already and cannot be given what jobs need; name "
                "the image it was started from"
            )
        return image
    path = os.path.abspath(os.path.expanduser(image))  # noqa: PTH100, PTH111 - of strings
    if not Path(path).exists():
        raise SingularityError(
            f"image is {image!r}, and there is no {path}; build it, or name one that can be "
            "fetched, such as docker://python:3.11-slim"
        )
    return path


def fetch(image: str, target: Path) -> None:
    """Fetch an image, by way of the program's own cache, if `target` is not there.

    Raises
    ------
    SingularityError
        If that fails.
    """
    if target.exists():
        return
    # Should this be killed, what it has made so far is removed with the archive.
    unpacked = target.parent / UNPACKED
    place = unpacked if unpacked.is_dir() else target.parent
    with tempfile.TemporaryDirectory(dir=place, prefix="image-") as folder:
        new = Path(folder, "new.sif")
        command = [find(), "--quiet", "--nocolor", "pull", str(new), image]
        done = _call(command, FETCH_S, {**_temporary(folder), **os.environ})
        if done.returncode or not new.exists():
            raise SingularityError(f"image is {image!r}, and it cannot be fetched: {_said(done)}")
        new.replace(target)


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
    timeout = FETCH_S if is_remote(container.image) else TRIAL_S
    # What an image is unpacked to, where it is.
    with tempfile.TemporaryDirectory(prefix="launchkit-") as folder:
        done = _call(
            ["sh", "-c", singularity_trial(container, script)],
            timeout,
            {**_temporary(folder), **variables},
        )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout, _plain(done.stderr))


def _call(
    command: Sequence[str], timeout: float, variables: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    try:
        return programs.call(command, timeout, {**os.environ, **(variables or {})})
    except subprocess.TimeoutExpired:
        raise SingularityError(f"{find()} has not answered in {timeout:g} s") from None


def _temporary(folder: str) -> dict[str, str]:
    """Return the variables with the directory that images are unpacked to."""
    return {"APPTAINER_TMPDIR": folder, "SINGULARITY_TMPDIR": folder}


def _plain(text: str) -> str:
    return re.sub(r"(?m)^(FATAL|ERROR) *: *", "", text)


def _said(done: subprocess.CompletedProcess[str]) -> str:
    return last_line(_plain(done.stderr)) or f"exit code {done.returncode}"
