"""Runs jobs on this machine, a process each, so many at a time."""

from __future__ import annotations

import os
import select
import signal
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from launchkit import processes

POLL_S = 0.02


@dataclass(frozen=True)
class Ended:
    """How a job's process ended: `code` is its exit code, or minus the signal's number."""

    num: int
    code: int


class Pool:
    """Processes of jobs on this machine.

    Parameters
    ----------
    slots
        How many run at a time.
    start
        Starts the process of a job, given its number, and returns the process's id.
    """

    def __init__(self, slots: int, start: Callable[[int], int]) -> None:
        self._slots = slots
        self._start = start
        self._queue: deque[int] = deque()
        self._running: dict[int, _Process] = {}

    @property
    def running(self) -> tuple[int, ...]:
        """The numbers of the jobs that have a process now."""
        return tuple(self._running)

    @property
    def queued(self) -> tuple[int, ...]:
        """The numbers of the jobs that have none yet."""
        return tuple(self._queue)

    def add(self, nums: Iterable[int]) -> None:
        """Queue jobs; they start at the next `wait`."""
        self._queue.extend(nums)

    def remove(self, nums: Iterable[int]) -> None:
        """Forget jobs that have not started."""
        gone = set(nums)
        self._queue = deque(num for num in self._queue if num not in gone)

    def wait(self, timeout: float) -> list[Ended]:
        """Keep the slots full, and return the jobs that ended, once there is one.

        Parameters
        ----------
        timeout
            Seconds after which to return although none ended.
        """
        self._fill()
        deadline = time.monotonic() + timeout
        while self._running:
            ended = self._reap(dict(self._running), max(0.0, deadline - time.monotonic()))
            if ended:
                self._fill()
                return ended
            if time.monotonic() >= deadline:
                break
        return []

    def terminate(self, nums: Iterable[int], grace: float) -> list[Ended]:
        """End running jobs with all they started, and return how each ended.

        Parameters
        ----------
        nums
            The jobs' numbers; those that do not run are left out.
        grace
            Seconds between asking (SIGTERM) and killing (SIGKILL).
        """
        doomed = {num: self._running[num] for num in nums if num in self._running}
        ended: list[Ended] = []
        for process in doomed.values():
            processes.kill_tree(process.pid, signal.SIGTERM)
        deadline = time.monotonic() + grace
        try:
            while doomed and time.monotonic() < deadline:
                ended += self._reap(doomed, max(0.0, deadline - time.monotonic()))
        finally:
            for process in doomed.values():
                processes.kill_tree(process.pid, signal.SIGKILL)
        while doomed:
            ended += self._reap(doomed, 1.0)
        return ended

    def _fill(self) -> None:
        while self._queue and len(self._running) < self._slots:
            num = self._queue.popleft()
            with processes.holding_signals():
                self._running[num] = _Process(self._start(num))

    def _reap(self, watched: dict[int, _Process], timeout: float) -> list[Ended]:
        """Wait until one of `watched` ends, and take out every one that has."""
        _wait_for_any([process.fd for process in watched.values()], timeout)
        ended = []
        for num, process in list(watched.items()):
            code = process.reap()
            if code is not None:
                del watched[num], self._running[num]
                ended.append(Ended(num, code))
        return ended


class _Process:
    """A child process, with the descriptor that becomes readable when it ends."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.fd = os.pidfd_open(pid) if hasattr(os, "pidfd_open") else None

    def reap(self) -> int | None:
        """Return how the process ended, or None while it runs.

        What it started and left running is part of the job and ends with it; that is
        done while the process is still a zombie, so that nobody else has its id.
        """
        if os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            return None
        processes.kill_tree(self.pid, signal.SIGKILL)
        _, status = os.waitpid(self.pid, 0)
        if self.fd is not None:
            os.close(self.fd)
        return os.waitstatus_to_exitcode(status)


def _wait_for_any(fds: list[int | None], timeout: float) -> None:
    if any(fd is None for fd in fds):
        time.sleep(min(timeout, POLL_S))
        return
    poller = select.poll()
    for fd in fds:
        assert fd is not None
        poller.register(fd, select.POLLIN)
    poller.poll(timeout * 1000)
