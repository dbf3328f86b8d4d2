"""What jobs say of the container they run in, importable where they run."""

from __future__ import annotations

import os
from pathlib import Path


class Surroundings:
    """Each job returns what it finds.

    Parameters
    ----------
    files
        Files to read.
    directories
        Directories to try to write to.
    """

    def __init__(self, files=(), directories=()):
        self.files = [str(file) for file in files]
        self.directories = [str(directory) for directory in directories]

    def run(self, job):
        return {
            "env": dict(os.environ),
            "cwd": os.getcwd(),
            "user": [os.getuid(), os.getgid()],
            "files": [Path(file).read_text() for file in self.files],
            "writable": [_can_write(directory) for directory in self.directories],
            "umask": _umask(),
        }


def _can_write(directory):
    try:
        Path(directory, "written").touch()
    except OSError:
        return False
    return True


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask
