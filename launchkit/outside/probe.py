"""What was found where jobs are to run, and whether it will do."""

from __future__ import annotations

import json
import platform
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from launchkit.outside.containers import Mount
from launchkit.outside.scripts import candidates, exports

SCRIPT = (
    "import json, os, sys, sysconfig; print(json.dumps({'python': '.'.join(map(str, "
    "sys.version_info[:3])), 'executable': sys.executable, 'dirs': [sys.prefix, sys.base_prefix, "
    "sysconfig.get_paths()['stdlib'], os.path.dirname(os.path.realpath(sys.executable))]}))"
)
"""Runs with any Python 3, and prints what `Found` is made of."""


@dataclass(frozen=True)
class Found:
    """A Python that was found somewhere.

    Parameters
    ----------
    python
        Its version.
    executable
        Its program.
    dirs
        The directories that it cannot do without.
    """

    python: str
    executable: str
    dirs: tuple[str, ...]

    @classmethod
    def parse(cls, line: str) -> Found:
        """Return what `SCRIPT` has printed."""
        values: dict[str, Any] = json.loads(line)
        return cls(values["python"], values["executable"], tuple(values["dirs"]))


def shell(
    python: str | None, setup_commands: Sequence[str], env: Mapping[str, str | None] | None = None
) -> str:
    """Return a script of ``sh`` that prints what there is, or exits with 127.

    Parameters
    ----------
    python
        The Python to look for; None for the first of those that will do.
    setup_commands
        Lines of shell to run before.
    env
        Environment variables to set before; None as a value leaves one as it is.
    """
    lines = [
        "set -e",
        *exports(env or {}),
        *(f"{{ {command}\n}} >/dev/null" for command in setup_commands),
        f"for launchkit_python in {shlex.join(candidates(python))}; do",
        '  if command -v "$launchkit_python" >/dev/null 2>&1; then',
        f'    exec "$launchkit_python" -c {shlex.quote(SCRIPT)}',
        "  fi",
        "done",
        "exit 127",
    ]
    return "\n".join(lines)


def check_python(found: Found, where: str) -> None:
    """Raise ValueError if a Python is not of the launcher's version.

    Parameters
    ----------
    found
        The Python.
    where
        What has it, in words.
    """
    here = platform.python_version()
    if found.python.split(".")[:2] != here.split(".")[:2]:
        version = ".".join(here.split(".")[:2])
        raise ValueError(
            f"{where} has Python {found.python} ({found.executable}) and this is Python {here}: "
            f"what one has pickled the other cannot read; use one with Python {version} (set image "
            "or python), or start the sweep with the other's Python"
        )


def check_mounts(found: Found, mounts: Sequence[Mount], image: str) -> None:
    """Raise ValueError if a mount point would hide an image's own Python."""
    for mount in mounts:
        point = PurePosixPath(mount.target)
        for directory in found.dirs:
            if PurePosixPath(directory).is_relative_to(point):
                raise ValueError(
                    f"{mount.source} would be mounted at {mount.target}, and hide the Python of "
                    f"image {image!r} in {directory}; choose another mount point (inputs), or "
                    "other directories of code (code_dirs)"
                )
