"""Where a job's standard output and standard error go."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from launchkit.job import Job


def redirect(job: Job) -> None:
    """Send this process's output to the job's logs from now on, that of C code included."""
    for number, path in ((1, job.stdout), (2, job.stderr)):
        fd = _open_log(path)
        os.dup2(fd, number)
        os.close(fd)
    make_streams()


def make_streams() -> None:
    """Make Python's streams for standard output and standard error anew."""
    sys.stdout = _text_stream(1)
    sys.stderr = _text_stream(2)


@contextlib.contextmanager
def tee(job: Job) -> Iterator[None]:
    """Send what Python prints in the block to the job's logs as well as to the terminal."""
    stdout, stderr = sys.stdout, sys.stderr
    with _open_text(job.stdout) as out, _open_text(job.stderr) as err:
        sys.stdout, sys.stderr = _Tee(stdout, out), _Tee(stderr, err)
        try:
            yield
        finally:
            sys.stdout, sys.stderr = stdout, stderr


class _Tee(io.TextIOBase):
    """A text stream that is a terminal's in all respects, and writes to a file besides."""

    def __init__(self, terminal: TextIO, copy: TextIO) -> None:
        self._terminal = terminal
        self._copy = copy

    def write(self, text: str) -> int:
        if not self._copy.closed:
            self._copy.write(text)
        return self._terminal.write(text)

    def flush(self) -> None:
        if not self._copy.closed:
            self._copy.flush()
        self._terminal.flush()

    def isatty(self) -> bool:
        return self._terminal.isatty()

    def fileno(self) -> int:
        return self._terminal.fileno()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._terminal, name)


def _open_log(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def _open_text(path: Path) -> TextIO:
    fd = _open_log(path)
    return open(fd, "w", buffering=1, encoding="utf-8", errors="backslashreplace")  # noqa: PTH123


def _text_stream(fd: int) -> TextIO:
    return open(fd, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)
