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
    around
        Whether it sees all of the directory that the sweep's is in, wherever that is.
    """

    image: str
    mounts: tuple[Mount, ...]
    workdir: str
    env: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    gpus: bool = False
    around: bool = False

    @property
    def passed(self) -> tuple[str, ...]:
        """The names of all variables that it gets from whoever starts it."""
        return (TAG, *THREAD_VARIABLES, *self.env)


QUOTED = """quoted() { printf '%s\\n' "$1" | sed 's/"/""/g'; }"""
"""A function of shell that makes a path fit for a quoted field of CSV."""

USER = "LAUNCHKIT_CONTAINER_USER"
"""The variable with the user, ``uid:gid``, of a container, where it is not who starts it."""


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
        QUOTED,
        *mount_points(container.mounts),
        *_docker_gpus(container),
        *GROUPS,
    ]
    seen = AROUND if container.around else SWEEP
    words = [
        f'exec docker run --name {shlex.quote(name)}-"$1"',
        f'--label "{LABEL}=${{{TAG}:-}}"',
        *_docker_words(container, [f"--mount {_docker_mount(seen, seen)}"]),
        f"--entrypoint /bin/sh {shlex.quote(container.image)}",
        # Docker gives each container a umask of its own.
        """-c 'umask "$1"; shift; exec /bin/sh "$@"' sh "$(umask)" "$here/run.sh" "$@\"""",
    ]
    return "\n".join(lines) + "\n" + " \\\n  ".join(words) + "\n"


def docker_trial(container: Container, name: str, script: str) -> str:
    """Return a script that runs another in a Docker container that sees no sweep."""
    lines = ["set -eu", QUOTED, *_docker_gpus(container), *GROUPS]
    words = [
        f"exec docker run --name {shlex.quote(name)}",
        *_docker_words(container, ()),
        f"--entrypoint /bin/sh {shlex.quote(container.image)} -c {shlex.quote(script)}",
    ]
    return "\n".join([*lines, " ".join(words)])


def mount_points(mounts: Sequence[Mount], sweeps: Sequence[str] = ("sweep",)) -> list[str]:
    """Return lines that make the directories which mounts need.

    Parameters
    ----------
    mounts
        The mounts.
    sweeps
        The variables of the script with paths at which the sweep's directory is mounted.
    """
    lines = [f"mkdir -p -- {mount.word}" for mount in mounts if mount.writable]
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


SWEEP = '"$sweep"'
AROUND = '"${sweep%/*}"'
GROUPS = (
    # A directory may be writable for a group only.
    'groups=$(for group in $(id -G); do printf " --group-add %s" "$group"; done)',
)


def _docker_words(container: Container, more: Sequence[str]) -> list[str]:
    return [
        "--rm",
        '--hostname "$(uname -n)"',
        f'--user "${{{USER}:-$(id -u):$(id -g)}}" $groups',
        '--env HOME=/tmp --env "USER=$(id -un)"',
        *(f"--env {variable}" for variable in container.passed),
        *(
            f"--mount {_docker_mount(mount.word, shlex.quote(mount.target), mount.writable)}"
            for mount in container.mounts
        ),
        *more,
        f"--workdir {shlex.quote(container.workdir)}",
        *(['${gpus:+--gpus "$gpus"}'] if container.gpus else []),
        *map(shlex.quote, container.args),
    ]


def _docker_gpus(container: Container) -> list[str]:
    if not container.gpus:
        return []
    # Docker reads the value as CSV, and counts the devices anew inside.
    return [f'gpus=${{{GPU_VARIABLE}:+\\"device=${GPU_VARIABLE}\\"}}']


def _docker_mount(source: str, target: str, writable: bool = True) -> str:
    """Return a mount of words of shell as one: fields of CSV."""
    words = f'\\"source=$(quoted {source})\\",\\"target=$(quoted {target})\\"'
    return f'"type=bind,{words}{"" if writable else ",readonly"}"'
