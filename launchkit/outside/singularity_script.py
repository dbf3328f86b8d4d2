"""The command line that puts a pack of jobs into a Singularity or Apptainer container.

Both programs take the same flags. The environment goes in as it is, and the home directory is
there, which is what their users are used to; only what belongs to the host's own Python stays
outside.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from launchkit.machine.placement import GPU_VARIABLE
from launchkit.outside.containers import Container, mount_points
from launchkit.outside.scripts import BEGIN

PROGRAMS = ("apptainer", "singularity")
"""What may be on PATH: the first is what the second is called today."""
MADE_HERE = ("docker-daemon:", "docker-archive:", "oci:", "oci-archive:")
"""What the name of an image begins with that is made of one of another kind."""
IMAGE = "image.sif"
"""The file, below ``.launchkit``, with an image that was fetched from a registry."""
NO_PROGRAM_CODE = 85

HIDDEN = ("PYTHONHOME", "PYTHONPATH", "PYTHONPLATLIBDIR", "PYTHONEXECUTABLE")
"""What would lead the image's Python to the host's files."""
NO_USER_SITE = "PYTHONNOUSERSITE"

CLEAN = frozenset({"-e", "--cleanenv", "-C", "--containall", "--compat"})
"""Flags with which the environment stays outside."""
OWN_PRIVILEGES = ("-u", "--userns", "-f", "--fakeroot", "--no-privs", "--keep-privs", "--add-caps")

# `--bind` is what every version has, and takes no path with a colon or a comma.
BIND = """\
quoted() { printf '%s\\n' "$1" | sed 's/"/""/g'; }
bind() {
  case "$1$2" in
    *[,:\\"\\\\]*)
      flag=--mount
      spec="type=bind,\\"source=$(quoted "$1")\\",\\"destination=$(quoted "$2")\\"${3:+,$3}" ;;
    *) flag=--bind spec="$1:$2${3:+:$3}" ;;
  esac
}
"""


def is_remote(image: str) -> bool:
    """Tell whether an image is to be fetched from somewhere, as ``docker://…`` is."""
    return "://" in image or image.startswith(MADE_HERE)


def singularity_script(container: Container) -> str:
    """Return the script that runs a pack in a container of Singularity or Apptainer.

    Parameters
    ----------
    container
        What the container is like. Its image is a path, or something like ``docker://…``.
    """
    lines = [
        "#!/bin/sh",
        "# Runs a pack of jobs in a container: final_script.sh PACK",
        BEGIN.rstrip("\n"),
        "pack=$1",
        'real=$(cd -- "$sweep" && pwd -P)',
        *_program(),
        *_temporary_directory(),
        *mount_points(container.mounts, ("sweep", "real")),
        *_command(container, _sweep_mounts(around=container.around)),
        *_image(container.image),
        # Else it would mount the directory that it was started in, over the code.
        "cd /",
        f'{EXEC} /bin/sh "$here/run.sh" "$pack"',
    ]
    return "\n".join(lines) + "\n"


def singularity_trial(container: Container, script: str) -> str:
    """Return a script that runs another in a container that sees no sweep."""
    lines = [
        "set -eu",
        *_program(),
        *_command(container, ()),
        f"image={shlex.quote(container.image)}",
        f"{EXEC} /bin/sh -c {shlex.quote(script)}",
    ]
    return "\n".join(lines)


EXEC = 'exec "$program" --quiet --nocolor exec "$@" "$image"'


def _command(container: Container, more: Sequence[str]) -> Iterator[str]:
    """Return lines that set the environment, and the arguments before the image."""
    yield BIND.rstrip("\n")
    yield "set --"
    yield from _environment(container)
    if not any(arg.partition("=")[0] in OWN_PRIVILEGES for arg in container.args):
        # Root has not everywhere all the rights that it would take along.
        yield '[ "$(id -u)" != 0 ] || set -- "$@" --no-privs'
    if container.gpus:
        yield f'[ -z "${{{GPU_VARIABLE}-all}}" ] || set -- "$@" --nv'
    for mount in container.mounts:
        yield _bind(mount.word, shlex.quote(mount.target), "" if mount.writable else "ro")
    yield from more
    words = ["--pwd", container.workdir, *container.args]
    yield f'set -- "$@" {shlex.join(words)}'


def _sweep_mounts(*, around: bool) -> list[str]:
    up = "%/*" if around else ""
    real, seen = (f'"${{{name}{up}}}"' if up else f'"${name}"' for name in ("real", "sweep"))
    # Where a link leads to the sweep, it may lead there inside as well.
    return [
        f'[ "$real" = "$sweep" ] || {{ {_bind(real, real)}; }}',
        _bind(real, seen),
    ]


def _program() -> list[str]:
    told = "launchkit: there is neither apptainer nor singularity on PATH on"
    found = " || ".join(f"command -v {name}" for name in PROGRAMS)
    return [f'program=$({found}) || {{ echo "{told} $(uname -n)" >&2; exit {NO_PROGRAM_CODE}; }}']


def _temporary_directory() -> list[str]:
    """Return lines that keep what an image is unpacked to, where it is, out of ``/tmp``.

    A container that is killed leaves it behind; there it is removed with the archive.
    """
    return [
        ': "${APPTAINER_TMPDIR:=${SINGULARITY_TMPDIR:-$here/tmp}}"',
        'mkdir -p -- "$APPTAINER_TMPDIR"',
        'export APPTAINER_TMPDIR SINGULARITY_TMPDIR="$APPTAINER_TMPDIR"',
    ]


def _image(image: str) -> list[str]:
    if not is_remote(image):
        return [f"image={shlex.quote(image)}"]
    return [
        f'image="$sweep/.launchkit/{IMAGE}"',
        f'[ -e "$image" ] || image={shlex.quote(image)}',
    ]


def _environment(container: Container) -> Iterator[str]:
    hidden = [name for name in HIDDEN if name not in container.env]
    if hidden:
        yield f"unset {' '.join(hidden)}"
    if NO_USER_SITE not in container.env:
        # What the user has installed for the host's Python comes along with the home directory.
        yield f"export {NO_USER_SITE}=1"
    if CLEAN.isdisjoint(container.args):
        return
    for name in (*container.passed, GPU_VARIABLE, NO_USER_SITE):
        values = " ".join(
            f'{prefix}ENV_{name}="${name}"' for prefix in ("APPTAINER", "SINGULARITY")
        )
        yield f'[ -z "${{{name}+set}}" ] || export {values}'
    # They would be read as lines of shell.
    yield 'set -- "$@" --no-eval'


def _bind(source: str, target: str, option: str = "") -> str:
    words = " ".join(["bind", source, target, *([option] if option else [])])
    return f'{words}; set -- "$@" "$flag" "$spec"'
