"""The command lines that put a pack of jobs into a container, as text for ``final_script.sh``."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from launchkit.machine.placement import GPU_VARIABLE, THREAD_VARIABLES
from launchkit.outside.scripts import BEGIN
from launchkit.sweep import TAG

LABEL = "launchkit.tag"


@dataclass(frozen=True)
class Mount:
    """A directory that a container sees.

    Parameters
    ----------
    source
        Where it is: an absolute path, or one below the unpacked archive.
    target
        Where the container sees it: an absolute path.
    writable
        Whether jobs may write to it.
    """

    source: str
    target: str
    writable: bool = False

    @property
    def word(self) -> str:
        """The source as a word of shell, in double quotes or without need of them."""
        if PurePosixPath(self.source).is_absolute():
            return shlex.quote(self.source)
        return f'"$here"/{shlex.quote(self.source)}'


@dataclass(frozen=True)
class Container:
    """A container that a pack of jobs runs in.

    Parameters
    ----------
    image
        Its image.
    mounts
        What it sees beside the sweep's directory.
    workdir
        Its working directory.
    env
        The names of variables that it gets from whoever starts it.
    args
        More arguments of the program that starts it.
    gpus
        Whether it gets the GPUs that ``CUDA_VISIBLE_DEVICES`` names.
    """

    image: str
    mounts: tuple[Mount, ...]
    workdir: str
    env: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    gpus: bool = False

    @property
    def passed(self) -> tuple[str, ...]:
        """The names of all variables that it gets from whoever starts it."""
        return (TAG, *THREAD_VARIABLES, *self.env)


def docker_script(container: Container, name: str) -> str:
    """Return the script that runs a pack in a Docker container.

    Parameters
    ----------
    container
        What the container is like.
    name
        What its name begins with; the pack's number follows.
    """
    lines = [
        "#!/bin/sh",
        "# Runs a pack of jobs in a container: final_script.sh PACK",
        BEGIN.rstrip("\n"),
        *mount_points(container.mounts),
        *_docker_gpus(container),
    ]
    words = [
        "exec docker run --rm",
        f'--name {shlex.quote(name)}-"$1"',
        f'--label "{LABEL}=${{{TAG}:-}}"',
        '--hostname "$(uname -n)"',
        '--user "$(id -u):$(id -g)" --env HOME=/tmp --env "USER=$(id -un)"',
        *(f"--env {variable}" for variable in container.passed),
        '--mount "type=bind,\\"source=$sweep\\",\\"target=$sweep\\""',
        *(_docker_mount(mount) for mount in container.mounts),
        f"--workdir {shlex.quote(container.workdir)}",
        *(['${gpus:+--gpus "$gpus"}'] if container.gpus else []),
        *map(shlex.quote, container.args),
        f'--entrypoint /bin/sh {shlex.quote(container.image)} "$here/run.sh" "$@"',
    ]
    return "\n".join(lines) + "\n" + " \\\n  ".join(words) + "\n"


def mount_points(mounts: Sequence[Mount], sweeps: Sequence[str] = ("sweep",)) -> list[str]:
    """Return lines that make the directories which other mounts in a code directory need.

    Parameters
    ----------
    mounts
        The mounts.
    sweeps
        The variables of the script with paths at which the sweep's directory is mounted.
    """
    lines = []
    for outer in mounts:
        if PurePosixPath(outer.source).is_absolute():
            continue
        for inner in mounts:
            below = PurePosixPath(inner.target)
            if inner is not outer and below.is_relative_to(outer.target):
                rest = below.relative_to(outer.target).as_posix()
                lines.append(f"mkdir -p {outer.word}/{shlex.quote(rest)}")
        lines.append(f"top={shlex.quote(outer.target.rstrip('/'))}")
        for name in sweeps:
            rest = f'"${{{name}#"$top"/}}"'
            lines.append(f'case "${name}" in "$top"/*) mkdir -p {outer.word}/{rest} ;; esac')
    return lines


def _docker_gpus(container: Container) -> list[str]:
    if not container.gpus:
        return []
    # Docker reads the value as CSV, and counts the devices anew inside.
    return [f'gpus=${{{GPU_VARIABLE}:+\\"device=${GPU_VARIABLE}\\"}}']


def _docker_mount(mount: Mount) -> str:
    parts = ["type=bind", f'"target={mount.target}"', *([] if mount.writable else ["readonly"])]
    return f"--mount {shlex.quote(','.join(parts) + ',')}'\"source='{mount.word}'\"'"
