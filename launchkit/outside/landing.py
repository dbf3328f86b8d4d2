"""Giving files that have come home their names, once they are whole."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from launchkit import files
from launchkit.job import OWN_DIR
from launchkit.outside.listing import Entry

BLOCK = 2**20
STAGING = "coming"
"""Where files are, below the sweep's own directory, until they are whole."""


def make_folders(home: Path, wanted: Sequence[Entry]) -> str:
    """Make the directories that are wanted, and those that files need; return what went wrong.

    Raises
    ------
    OSError
        If that is no affair of one directory only.
    """
    folders = {entry.name: entry.mode for entry in wanted if entry.kind == "d"}
    needed = {name.rpartition(b"/")[0] for name in (e.name for e in wanted if e.kind != "d")}
    problem = ""
    for name in sorted({*folders, *needed}):
        path = home / os.fsdecode(name)
        if path.is_dir():
            continue
        try:
            path.mkdir(0o700 if OWN_DIR in path.parts else 0o777, parents=True)
            if name in folders:
                path.chmod(folders[name] | 0o700)
        except OSError as error:
            problem = bearable(error, path)
    return problem


def land(temporary: Path, path: Path) -> str:
    """Give a file its name; return what went wrong.

    Raises
    ------
    OSError
        If that is no affair of this file only.
    """
    try:
        _rename(temporary, path)
    except OSError as error:
        return bearable(error, path)
    return ""


def bearable(error: OSError, path: Path) -> str:
    """Return what is wrong with one file; raise it again if it will be so with all of them."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE):
        raise error
    return f"{path}: {error.strerror or error}"


def _rename(temporary: Path, path: Path) -> None:
    try:
        temporary.replace(path)
    except OSError:
        if path.is_dir() or temporary.is_symlink():
            raise
        # Another disk, behind a link.
        with files.atomic_writer(path) as stream, temporary.open("rb") as source:
            shutil.copyfileobj(source, stream, BLOCK)
