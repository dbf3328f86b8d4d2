"""Ends what a launcher has left running, should it be killed.

A job's own process is killed by the system with the launcher's. What the job has started
is not, and nothing that is left in Python's hands of a killed launcher could end it. So a
small process waits for the launcher's end beside it, and meanwhile gives signs of life for
it: a job that runs in the launcher's own process may keep that busy for days.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
from pathlib import Path

from launchkit import process_table
from launchkit.driver import BEAT_S, Claim
from launchkit.leftovers import kill_left, mark_gone
from launchkit.machine import processes
from launchkit.sweep import Sweep


class Warden:
    """A process that ends a sweep's jobs if this one is killed, for the time of a block.

    Parameters
    ----------
    sweep
        The sweep.
    claim
        This process's claim on it.
    """

    def __init__(self, sweep: Sweep, claim: Claim) -> None:
        self._sweep = sweep
        self._claim = claim.path
        self._pid = 0
        self._launcher = 0

    def __enter__(self) -> str:
        """Start it, and return its identity."""
        self._launcher = launcher = os.getpid()
        with processes.holding_signals():
            if processes.fork_is_safe():
                self._pid = processes.fork(self._watch, bound=False)
            else:
                module = [sys.executable, "-m", "launchkit.warden"]
                wards = [str(self._sweep.directory), str(self._claim), str(launcher)]
                self._pid = processes.spawn([*module, *wards])
        return process_table.identity(self._pid)

    def _watch(self) -> int:
        processes.let_go_of_files()
        return watch(self._sweep.directory, self._claim, self._launcher)

    def __exit__(self, *error: object) -> None:
        with processes.holding_signals():
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)


def watch(directory: Path, claim: Path, launcher: int) -> int:
    """Wait for a launcher's end, and end what it has left; return an exit code."""
    try:
        fd = os.pidfd_open(launcher)
    except ProcessLookupError:
        fd = None
    while fd is not None and os.getppid() == launcher:
        if select.select([fd], [], [], BEAT_S)[0]:
            break
        with contextlib.suppress(OSError):
            os.utime(claim)
    sweep = Sweep.open(directory)
    kill_left(sweep)
    mark_gone(sweep)
    return 0


if __name__ == "__main__":
    sys.exit(watch(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])))
