"""Appending to a file through its bare descriptor: one write, whole or not at all."""

from __future__ import annotations

import os

_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND


def open_append(path: str) -> int:
    """Open `path` for appending, made if it is not there, and return its descriptor."""
    return os.open(path, _APPEND, 0o666)


def write_whole(fd: int, data: bytes, path: str) -> None:
    """Append `data` in a single write.

    Raises
    ------
    OSError
        If not all of it could be written: the disk is full, say. The file `path`, which
        the error names, is then as it was before.
    """
    try:
        written = os.write(fd, data)
        if written == len(data):
            return
        _finish_or_undo(fd, data, written)
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from error


def _finish_or_undo(fd: int, data: bytes, written: int) -> None:
    """Write the rest after a part was written; if that fails, take the part away again."""
    try:
        while written < len(data):
            written += os.write(fd, data[written:])
    except OSError:
        # An appending write leaves the position at the end of what it wrote.
        os.ftruncate(fd, os.lseek(fd, 0, os.SEEK_CUR) - written)
        raise
