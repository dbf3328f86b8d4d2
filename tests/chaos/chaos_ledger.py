"""The ledger: what jobs say of themselves in a place that launchkit knows nothing of."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from launchkit import process_table


class Book:
    """What one attempt of a job writes.

    A job has a lock, which its attempt and every process that this starts hold as long as
    any of them lives: an attempt that does not get it runs together with another.
    """

    def __init__(self, ledger: Path, num: int, attempt: int) -> None:
        self._num, self._attempt = num, attempt
        self._lines = os.open(_lines(ledger, num), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.lock = os.open(_lock(ledger, num), os.O_RDWR | os.O_CREAT)

    def begin(self) -> None:
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.write("overlap")
        self.write("start", process=process_table.identity())

    def write(self, what: str, **more: Any) -> None:
        line = {"what": what, "attempt": self._attempt, "at": time.monotonic(), **more}
        os.write(self._lines, json.dumps(line).encode() + b"\n")


def lines(ledger: Path, num: int) -> list[dict[str, Any]]:
    """Return what the attempts of a job have written, in its order."""
    path = _lines(ledger, num)
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def processes(ledger: Path, num: int, what: str) -> Iterator[str]:
    """Yield the identities of the processes of a job that are alive: the newest first."""
    for line in reversed(lines(ledger, num)):
        if line["what"] == what and process_table.is_alive(line["process"]):
            yield line["process"]


def is_locked(ledger: Path, num: int) -> bool:
    """Tell whether a process of any attempt of a job still runs."""
    path = _lock(ledger, num)
    if not path.exists():
        return False
    fd = os.open(path, os.O_RDWR)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def _lines(ledger: Path, num: int) -> Path:
    return ledger / f"{num}.jsonl"


def _lock(ledger: Path, num: int) -> Path:
    return ledger / f"{num}.lock"
