"""What the jobs of the chaos do: they train, with processes of their own, and tell of it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from chaos_ledger import Book

import launchkit
from launchkit import logger, process_table
from launchkit.job import read

KINDS = ("child", "session", "fork", "daemon")
"""What a job starts: a child, one with a session of its own, a fork of itself, a grandchild
with a session of its own whose parent has ended."""


class ChildDied(RuntimeError):
    """A process that the job cannot do without has been killed."""


@dataclass(frozen=True)
class Train:
    """The jobs of a sweep: each trains for so many steps, of so many seconds."""

    ledger: str
    steps: int
    pause: float

    def run(self, job):
        resume = read(job.directory).attempt > 1
        logger.open(job.directory, resume=resume, print_table=False)
        try:
            return train(job.num, job.directory, self.ledger, self.steps, self.pause)
        finally:
            logger.close()


def train(num: int, directory: Path, ledger: str, steps: int, pause: float) -> int:
    """Train a model of one number, and write into the ledger what is done."""
    attempt = read(directory).attempt
    book = Book(Path(ledger), num, attempt)
    book.begin()
    chance = random.Random(f"{num}.{attempt}")
    children = Children(book, chance, chance.sample(KINDS, 2))
    restored = launchkit.restore()
    begin, model = (restored.iteration + 1, restored.object) if restored else (0, num)
    for step in range(begin, steps):
        time.sleep(pause)
        children.check()
        model = learn(model, step)
        logger.record_dict({"step": step, "model": model, "attempt": attempt})
        logger.dump_tabular()
        book.write("dumped", step=step)
        logger.save_itr_params(step, model)
        book.write("saved", step=step)
    children.end()
    book.write("end")
    return model


def learn(model: int, step: int) -> int:
    return (model * 31 + step) % 1_000_003


def trained(num: int, steps: int) -> list[int]:
    """Return the models after each step of a job that nobody has disturbed."""
    models, model = [], num
    for step in range(steps):
        model = learn(model, step)
        models.append(model)
    return models


class Children:
    """The processes that a job starts. Each holds the job's lock, and lives for ever."""

    def __init__(self, book: Book, chance: random.Random, kinds: Sequence[str]) -> None:
        self._needed: list[int] = []
        self._chance = chance
        for kind in kinds:
            pid = getattr(self, f"_{kind}")(book.lock)
            if pid:
                self._needed.append(pid)
                book.write("child", process=process_table.identity(pid), kind=kind)

    def check(self) -> None:
        for pid in self._needed:
            if os.waitpid(pid, os.WNOHANG)[0]:
                raise ChildDied(f"process {pid}")

    def end(self) -> None:
        """End them; one in two jobs leaves that to the one who has started it."""
        if self._chance.random() < 0.5:
            for pid in self._needed:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)

    def _child(self, lock: int) -> int:
        return _start(["sleep", "1000"], lock)

    def _session(self, lock: int) -> int:
        return _start(["sleep", "1000"], lock, start_new_session=True)

    def _fork(self, lock: int) -> int:
        pid = os.fork()
        if not pid:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            while True:
                signal.pause()
        return pid

    def _daemon(self, lock: int) -> int:
        subprocess.run(["sh", "-c", "setsid sleep 1000 &"], pass_fds=[lock], check=True)
        return 0


def _start(command: list[str], lock: int, **options: bool) -> int:
    process = subprocess.Popen(command, pass_fds=[lock], **options)
    process.returncode = 0  # it is waited for by its id
    return process.pid
