"""Tries before anything is written whether a container starts, and has a Python that will do."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from launchkit.outside import probe
from launchkit.outside.containers import Container, Mount
from launchkit.outside.probe import Found
from launchkit.outside.scripts import candidates
from launchkit.outside.settings import Outside

Run = Callable[[Container, str], "subprocess.CompletedProcess[str]"]
"""Runs a script of ``sh`` in a container that sees no sweep, and returns how that went."""

NOT_FOUND_CODE = 127
HINTS = (
    "See 'docker",
    "Run 'docker",
    "Usage:",
    "For more help",
    "Run 'apptainer",
    "Run 'singularity",
)
"""What a program's last words may begin with that do not say what is wrong."""


def input_mounts(settings: Outside) -> tuple[Mount, ...]:
    """Return the mounts of what jobs read.

    Raises
    ------
    ValueError
        If a directory is not there.
    """
    mounts = []
    for given, point in settings.inputs.items():
        source = os.path.abspath(os.path.expanduser(given))  # noqa: PTH100, PTH111 - of strings
        if not Path(source).is_dir():
            raise ValueError(f"inputs has {given!r}, and there is no directory {source}")
        mounts.append(Mount(source, os.path.normpath(point)))
    return tuple(mounts)


def check_names(paths: Collection[str]) -> None:
    """Raise ValueError if a path cannot be passed to what starts a container."""
    for path in paths:
        try:
            path.encode()
        except UnicodeEncodeError:
            raise ValueError(f"{path!r} is no UTF-8, and cannot be mounted; rename it") from None
        if path.endswith("\n") or "\r" in path:
            raise ValueError(
                f"{path!r} has a line break that cannot be passed to what mounts it; rename it"
            )


def check_overlaps(
    inputs: Sequence[Mount], code: Sequence[Mount], written: Collection[str]
) -> None:
    """Raise ValueError if an input would hide code, or be in the way of what jobs write.

    Parameters
    ----------
    inputs, code
        Their mounts. An input may be below a directory of code.
    written
        The directories that jobs write to.
    """
    for mount in inputs:
        point = PurePosixPath(mount.target)
        for other in (*(known.target for known in code), *written):
            hides = PurePosixPath(other).is_relative_to(point)
            if hides or (other in written and point.is_relative_to(other)):
                raise ValueError(
                    f"inputs: {mount.source} would be mounted at {mount.target}, which overlaps "
                    f"{other}; choose another mount point"
                )


def check_container(container: Container, settings: Outside, run: Run, *, whole: bool) -> None:
    """See to it that a container can be started, and has a Python that will do.

    Parameters
    ----------
    container
        What it is like.
    settings
        The settings.
    run
        Runs a script in such a container.
    whole
        Whether the container is known with the code in it, which setup commands may be about.

    Raises
    ------
    ValueError
        If it cannot be, or has not.
    """
    mounts = _from_where_it_comes(container.mounts)
    container = replace(container, mounts=_seen_before(mounts))
    where = f"image {container.image!r}"
    if settings.setup_commands and not whole:
        started = run(container, "exit 0")
        if started.returncode:
            raise ValueError(_failure(started, where, settings, gpus=container.gpus))
        return
    done = run(container, probe.shell(settings.python, settings.setup_commands, settings.env))
    if done.returncode or settings.inputs:
        bare = run(replace(container, mounts=(), workdir="/"), probe.shell(None, ()))
        if bare.returncode == 0:
            probe.check_mounts(_parse(bare, where), mounts, container.image)
    if done.returncode:
        raise ValueError(_failure(done, where, settings, gpus=container.gpus))
    probe.check_python(_parse(done, where), where)


def last_line(text: str) -> str:
    """Return the last line of what a program printed that says something."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    told = [line for line in lines if not line.startswith(HINTS)]
    return told[-1] if told else ""


def _from_where_it_comes(mounts: Sequence[Mount]) -> list[Mount]:
    """Return mounts of the code itself, in place of those of a copy that is still to be made."""
    return [
        mount if PurePosixPath(mount.source).is_absolute() else replace(mount, source=mount.target)
        for mount in mounts
    ]


def _seen_before(mounts: Sequence[Mount]) -> tuple[Mount, ...]:
    """Return the mounts without those of what is only made with the sweep."""
    there = [mount for mount in mounts if not mount.writable]
    return tuple(mount for mount in there if not _waits_for_its_point(mount, there))


def _waits_for_its_point(mount: Mount, others: Sequence[Mount]) -> bool:
    for outer in others:
        point = PurePosixPath(mount.target)
        if outer is not mount and point.is_relative_to(outer.target):
            return not Path(outer.source, point.relative_to(outer.target)).is_dir()
    return False


def _parse(done: subprocess.CompletedProcess[str], where: str) -> Found:
    try:
        return Found.parse(done.stdout.strip().splitlines()[-1])
    except (IndexError, ValueError, KeyError, TypeError):
        raise ValueError(
            f"{where}: what it was asked of its Python it answered with {done.stdout[-200:]!r}; "
            "is one of container_args or setup_commands in the way?"
        ) from None


def _failure(
    done: subprocess.CompletedProcess[str], where: str, settings: Outside, *, gpus: bool
) -> str:
    told = last_line(done.stderr)
    if done.returncode == NOT_FOUND_CODE and not told:
        wanted = " or ".join(candidates(settings.python))
        return f"{where} has no {wanted}; take an image with Python, or set python to where it is"
    if not told:
        return f"{where}: asked for its Python it ended with exit code {done.returncode}"
    if gpus and re.search("gpu|nvidia|device driver", told, re.IGNORECASE):
        return (
            f"{where} gets no GPUs here: {told}; a container needs NVIDIA's driver and its "
            "Container Toolkit, or no gpus and gpus_per_job"
        )
    return f"{where} cannot be used: {told} (exit code {done.returncode})"
