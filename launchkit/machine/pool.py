"""Runs jobs on this machine, a process each, as its places allow."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Generic, Protocol, TypeVar

from launchkit import interrupts, process_table
from launchkit.job import Needs
from launchkit.machine import processes
from launchkit.machine.placement import Place, Places

POLL_S = 0.02
ASK_AGAIN_S = 1.0


class Unit(Protocol):
    """What has a process of its own, and a place: a job, or a pack of them."""

    @property
    def num(self) -> int:
        """The number it is known by."""

    @property
    def needs(self) -> Needs:
        """What it needs of the machine."""


U = TypeVar("U", bound=Unit)


@dataclass(frozen=True)
class Ended:
    """How a job's process ended: `code` is its exit code, or minus the signal's number."""

    num: int
    code: int


class Pool(Generic[U]):
    """Processes of jobs on this machine.

    Parameters
    ----------
    places
        What there is of this machine for them.
    start
        Starts the process of a job in its place, and returns the process's id.
    """

    def __init__(self, places: Places, start: Callable[[U, Place], int]) -> None:
        self._places = places
        self._start = start
        # The jobs that wait, by what they need: those that need the same start in order.
        self._queues: dict[Needs, list[tuple[int, int]]] = {}
        self._waiting: dict[int, U] = {}
        self._added = 0
        self._running: dict[int, _Process] = {}
        self._others: set[int] = set()
        self._adopted_before: bool | None = None
        self.held = False
        """Whether no job is to be started for now."""

    @property
    def running(self) -> tuple[int, ...]:
        """The numbers of the jobs that have a process now."""
        return tuple(self._running)

    @property
    def queued(self) -> tuple[int, ...]:
        """The numbers of the jobs that have none yet."""
        return tuple(self._waiting)

    def add(self, jobs: Iterable[U]) -> None:
        """Queue jobs; they start at the next `wait`."""
        for job in jobs:
            self._added += 1
            self._waiting[job.num] = job
            heappush(self._queues.setdefault(job.needs, []), (self._added, job.num))

    def remove(self, nums: Iterable[int]) -> list[int]:
        """Forget jobs that have not started, and return which they were."""
        return [num for num in nums if self._waiting.pop(num, None) is not None]

    def wait(self, timeout: float) -> list[Ended]:
        """Fill the places, and return the jobs that ended, once there is one.

        The place of a job that went well is filled at once, any other at the next call.

        Parameters
        ----------
        timeout
            Seconds after which to return although none ended.
        """
        self._fill()
        deadline = time.monotonic() + timeout
        while self._running:
            self._press()
            due = min([deadline, *(process.due for process in self._running.values())])
            ended = self._reap(max(0.0, due - time.monotonic()))
            if ended:
                # After a job that went wrong, nothing more may be wanted.
                if all(end.code == 0 for end in ended):
                    self._fill()
                self._let_go_of_orphans()
                return ended
            if time.monotonic() >= deadline:
                break
        return []

    def stop(self, nums: Iterable[int], grace: float) -> None:
        """Ask running jobs to end, with all they started; `wait` sees them do so.

        Parameters
        ----------
        nums
            The jobs' numbers; those that do not run are left out.
        grace
            Seconds between asking (SIGTERM) and killing (SIGKILL).
        """
        for num in nums:
            if num in self._running:
                self._running[num].stop(grace)
        self._press()

    def _press(self) -> None:
        for process in self._running.values():
            process.press()

    def _fill(self) -> None:
        if self._waiting and self._adopted_before is None:
            self._others = process_table.children()
            self._adopted_before = processes.adopt_orphans()
        while self._waiting and not self.held:
            job, place = self._next()
            if job is None or place is None:
                break
            with processes.holding_signals():
                self._running[job.num] = _Process(self._start(job, place), place)
        self._let_go_of_orphans()

    def _let_go_of_orphans(self) -> None:
        # A job that has a sweep of its own is a parent to its orphans before and after it.
        if not self._running and self._adopted_before is not None:
            processes.adopt_orphans(self._adopted_before)
            self._adopted_before = None

    def _next(self) -> tuple[U | None, Place | None]:
        """Take the first job that there is a place for, with that place."""
        heads = []
        for needs, queue in self._queues.items():
            while queue and queue[0][1] not in self._waiting:
                heappop(queue)
            if queue:
                heads.append((queue[0], needs))
        for (_, num), needs in sorted(heads, key=lambda head: head[0]):
            place = self._places.take(needs)
            if place is not None:
                heappop(self._queues[needs])
                return self._waiting.pop(num), place
        return None, None

    def _reap(self, timeout: float) -> list[Ended]:
        """Wait until a job ends, and take out every one that has."""
        with interrupts.felt():
            _wait_for_any([process.fd for process in self._running.values()], timeout)
        ended = []
        for num, process in list(self._running.items()):
            if process.ended():
                # While the process is a zombie, nobody else has its id.
                known = {other.pid for other in self._running.values()} | self._others
                processes.end_orphans(known)
                del self._running[num]
                self._places.give_back(process.place)
                ended.append(Ended(num, process.reap()))
        return ended


class _Process:
    """A child process, with the descriptor that becomes readable when it ends."""

    def __init__(self, pid: int, place: Place) -> None:
        self.pid = pid
        self.place = place
        self.fd = os.pidfd_open(pid) if hasattr(os, "pidfd_open") else None
        self.due = float("inf")
        """When it is to be asked again to end, or killed, by the monotonic clock."""
        self._kill_at = float("inf")
        self._asked = False

    def stop(self, grace: float) -> None:
        """Ask it to end, and to have ended after so many seconds."""
        now = time.monotonic()
        self.due, self._kill_at = now, min(self._kill_at, now + grace)

    def press(self) -> None:
        """Ask it, or kill it, if that is due.

        It is asked more than once: an exception raised in a callback of the interpreter
        is lost there. What it has started is asked once.
        """
        now = time.monotonic()
        if now < self.due:
            return
        if now >= self._kill_at:
            processes.kill_tree(self.pid, signal.SIGKILL)
            self.due = now + ASK_AGAIN_S
            return
        if self._asked:
            processes.send([self.pid], signal.SIGTERM)
        else:
            processes.kill_tree(self.pid, signal.SIGTERM)
            self._asked = True
        self.due = min(now + ASK_AGAIN_S, self._kill_at)

    def ended(self) -> bool:
        """Tell whether it has; its id is still its own."""
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def reap(self) -> int:
        """Let go of it, and return how it ended."""
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
