"""Jobs that do not end by themselves, for those that are to be stopped."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from chaos_jobs import KINDS, Children
from chaos_ledger import Book

from launchkit import logger
from launchkit.job import read

PICKLING_S = 1.0


@dataclass(frozen=True)
class Act:
    """All jobs of a sweep do the same, whatever has the name."""

    ledger: str
    name: str

    def run(self, job):
        return act(self.name, job.num, job.directory, self.ledger)


def act(name: str, num: int, directory: Path, ledger: str) -> None:
    book = Book(Path(ledger), num, read(directory).attempt)
    book.begin()
    ACTS[name](book, directory)


def wait(book: Book, directory: Path) -> None:
    """Wait for ever, with every kind of process that a job can start."""
    Children(book, random.Random(0), KINDS)
    book.write("ready")
    _for_ever()


def stubborn(book: Book, directory: Path) -> None:
    """Ignore every request to stop, and so do its processes."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    for options in ({}, {"start_new_session": True}):
        subprocess.Popen(["sleep", "1000"], pass_fds=[book.lock], **options)
    book.write("ready")
    _for_ever()


def snapshot(book: Book, directory: Path) -> None:
    """Be in the middle of a snapshot when asked to stop."""
    logger.open(directory, print_table=False)
    logger.save_itr_params(0, {"whole": "old"})
    logger.save_itr_params(1, {"whole": "new", "slow": Slow(book)})
    book.write("saved")
    _for_ever()


class Slow:
    """Takes long to pickle."""

    def __init__(self, book: Book) -> None:
        self._book = book

    def __reduce__(self):
        self._book.write("ready")
        deadline = time.monotonic() + PICKLING_S
        while time.monotonic() < deadline:
            time.sleep(0.01)
        return (str, ("pickled",))


def _for_ever() -> None:
    while True:
        time.sleep(0.01)


ACTS = {"wait": wait, "stubborn": stubborn, "snapshot": snapshot}
