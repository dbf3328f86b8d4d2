"""Which doodad a folder holds: several projects, and versions of one, have that name."""

from __future__ import annotations

import enum
import os
import re
from pathlib import Path

NEEDED = (
    "__init__.py",
    "mode.py",
    "mount.py",
    "darchive/archive_builder_docker.py",
    "darchive/makeself.sh",
    "darchive/makeself-header.sh",
)
"""The files of the launcher's package that launchkit calls, or runs."""


class Kind(enum.Enum):
    """What a package of the name doodad is, in words."""

    LAUNCHER = "the launcher"
    INCOMPLETE = "the launcher with files missing"
    FORK = "the fork with Azure, which does not import with today's libraries"
    OLD = "an old version of the launcher, with another interface"
    NAMESAKE = "another project of that name, not the launcher"


def kind_of(package: Path) -> Kind:
    """Tell what a package is by what is in its files; nothing of it is imported.

    Parameters
    ----------
    package
        The folder, or the file, that ``import doodad`` would take.
    """
    mode = _text(package / "mode.py")
    classes = set(re.findall(r"^class (\w+)", mode, re.MULTILINE))
    if "AzureMode" in classes:
        return Kind.FORK
    if {"LaunchMode", "SlurmScriptMode"} <= classes and "def run_script" in mode:
        whole = all((package / name).is_file() for name in NEEDED)
        return Kind.LAUNCHER if whole else Kind.INCOMPLETE
    if "LaunchMode" in classes or "def launch_python" in _text(package / "launch_tools.py"):
        return Kind.OLD
    return Kind.INCOMPLETE if is_folder(package / "darchive") else Kind.NAMESAKE


def is_folder(path: Path) -> bool:
    """Tell whether this is a folder; one that may not be looked at counts as none."""
    return os.path.isdir(path)  # noqa: PTH112 - a Path raises PermissionError


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
