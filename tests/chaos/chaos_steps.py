"""A process that is killed right before the n-th time it changes something on the disk."""

from __future__ import annotations

import os
import signal
from pathlib import Path

CHANGES = ("link", "mkdir", "rename", "replace", "truncate", "unlink", "write")
WHO = ("driver", "forks")


def deaths(ledger: Path) -> int:
    """Return how many have died so far."""
    path = _deaths(ledger)
    return path.read_text().count("died") if path.exists() else 0


def die_before_change(who: str, number: int, ledger: str) -> None:
    """Let this process, or each of its forks, be killed before its change of that number.

    Each death is a line of the ledger's file of deaths.
    """
    left = [number if who == "driver" else 0]
    note = os.open(_deaths(ledger), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    write = os.write

    def count() -> None:
        left[0] -= 1
        if left[0] == 0:
            write(note, b"died\n")
            os.kill(os.getpid(), signal.SIGKILL)

    def counting(real):
        def call(*arguments, **options):
            count()
            return real(*arguments, **options)

        return call

    def opening(real):
        def call(path, flags, *arguments, **options):
            if flags & os.O_CREAT:
                count()
            return real(path, flags, *arguments, **options)

        return call

    def begin_fork() -> None:
        left[0] = number if who == "forks" else 0

    for name in CHANGES:
        setattr(os, name, counting(getattr(os, name)))
    os.open = opening(os.open)
    os.register_at_fork(after_in_child=begin_fork)


def _deaths(ledger: str | Path) -> Path:
    return Path(ledger) / "deaths"
