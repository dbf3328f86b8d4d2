"""``local``: each job in a process of its own on this machine, so many at a time."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Sequence

from launchkit import payload, processes, worker
from launchkit.job import Attempt, Job, beat, read
from launchkit.modes.base import Mode, Plan, cancel_waiting, settle
from launchkit.pool import Ended, Pool
from launchkit.sweep import Sweep
from launchkit.task import Task
from launchkit.worker import CANCELLED_CODE

START_METHODS = ("auto", "fork", "spawn")
HEARTBEAT_S = 15.0


class LocalMode(Mode):
    """Runs jobs in processes of their own on this machine, so many at a time.

    Parameters
    ----------
    n_jobs
        How many run at a time; None for as many as the cores this process may use.
    start_method
        ``fork`` starts a job with all that the launcher has imported, in shared memory;
        ``spawn`` starts a new interpreter, and needs a task that can be pickled; ``auto``
        forks where that is safe.

    Raises
    ------
    ValueError
        If a setting is wrong.
    """

    name = "local"

    def __init__(self, n_jobs: int | None = None, start_method: str = "auto") -> None:
        if n_jobs is not None and (type(n_jobs) is not int or n_jobs < 1):
            raise ValueError(
                f"n_jobs is {n_jobs!r}; it must be a whole number of 1 or more, "
                "or null for all cores"
            )
        if start_method not in START_METHODS:
            raise ValueError(
                f"start_method is {start_method!r}; it must be one of {', '.join(START_METHODS)}"
            )
        self.slots = n_jobs or usable_cores()
        self._start_method = start_method
        self._forks = True
        self._sweep: Sweep | None = None
        self._jobs: dict[int, tuple[Job, Task]] = {}
        self._pool = Pool(self.slots, self._start)
        self._next_beat = 0.0

    def plan(self, sweep: Sweep, jobs: Sequence[Job], task: Task) -> Plan:
        """Say how the processes will be started."""
        if self._start_method == "auto":
            self._forks = processes.fork_is_safe()
        else:
            self._forks = self._start_method == "fork"
        how = "forked from this process" if self._forks else " ".join(_command(sweep, "NUM"))
        lines = (f"{self.slots} at a time on this machine, a process each: {how}",)
        return Plan(sweep, tuple(jobs), task, lines)

    def submit(self, plan: Plan) -> None:
        """Queue the jobs, with the task pickled if they need it."""
        if not self._forks:
            payload.save(plan.sweep, plan.task)
        self._sweep = plan.sweep
        self._jobs.update((job.num, (job, plan.task)) for job in plan.jobs)
        self._pool.add(job.num for job in plan.jobs)

    def poll(self, timeout: float) -> dict[int, Attempt]:
        """Keep the slots full until a job ends."""
        self._beat()
        return self._settle(self._pool.wait(min(timeout, HEARTBEAT_S)))

    def cancel(self, nums: Iterable[int], grace: float) -> dict[int, Attempt]:
        """End jobs: those that wait at once, those that run with all they started."""
        wanted = set(nums)
        waiting = [num for num in self._pool.queued if num in wanted]
        self._pool.remove(waiting)
        attempts = {num: cancel_waiting(self._jobs[num][0]) for num in waiting}
        attempts.update(self._settle(self._pool.terminate(wanted, grace), cancelled=True))
        # How these ended was lost: a second Ctrl-C came between their end and its record.
        for num in wanted.intersection(self._jobs).difference(attempts):
            job, _ = self._jobs.pop(num)
            attempt = read(job.directory)
            attempts[num] = settle(job, attempt, CANCELLED_CODE, cancelled=True)
        return attempts

    def running(self) -> tuple[int, ...]:
        """Return the jobs that have a process."""
        return self._pool.running

    def _start(self, num: int) -> int:
        if not self._forks:
            assert self._sweep is not None
            return processes.spawn(_command(self._sweep, str(num)))
        job, task = self._jobs[num]
        return processes.fork(lambda: worker.run_apart(job, lambda: task))

    def _settle(self, ended: Sequence[Ended], *, cancelled: bool = False) -> dict[int, Attempt]:
        attempts = {}
        for end_ in ended:
            job, _ = self._jobs[end_.num]
            attempt = read(job.directory)
            attempts[end_.num] = settle(job, attempt, end_.code, cancelled=cancelled)
            del self._jobs[end_.num]
        return attempts

    def _beat(self) -> None:
        if time.monotonic() >= self._next_beat:
            for num in self._pool.running:
                beat(self._jobs[num][0])
            self._next_beat = time.monotonic() + HEARTBEAT_S


def usable_cores() -> int:
    """Return how many cores this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS
        return os.cpu_count() or 1


def _command(sweep: Sweep, num: str) -> list[str]:
    return [sys.executable, "-m", "launchkit.worker", str(sweep.directory), num]
