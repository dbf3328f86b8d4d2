"""``local``: each job in a process of its own on this machine, so many at a time."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any

from launchkit import worker
from launchkit.job import HEARTBEAT_S, Attempt, Job, beat
from launchkit.machine import processes
from launchkit.machine.placement import Place
from launchkit.machine.pool import Ended, Pool
from launchkit.machine.slots import Slots
from launchkit.modes.base import Mode, Plan, Stop, settle, tags
from launchkit.sweep import TAG, Sweep
from launchkit.task import Task

START_METHODS = ("auto", "fork", "spawn")


class LocalMode(Mode):
    """Runs jobs in processes of their own on this machine, so many at a time.

    Parameters
    ----------
    start_method
        ``fork`` starts a job with all that the launcher has imported, in shared memory;
        ``spawn`` starts a new interpreter, and needs a task that can be pickled; ``auto``
        forks where that is safe.
    **slots
        How jobs share the machine: the settings of `Slots`.

    Raises
    ------
    ValueError
        If a setting is wrong.
    """

    name = "local"

    def __init__(self, start_method: str = "auto", **slots: Any) -> None:
        self._places = Slots(**slots).places()
        if start_method not in START_METHODS:
            raise ValueError(
                f"start_method is {start_method!r}; it must be one of {', '.join(START_METHODS)}"
            )
        self._start_method = start_method
        self._forks = True
        self._sweep: Sweep | None = None
        self._jobs: dict[int, tuple[Job, Task]] = {}
        self._stops: dict[int, Stop] = {}
        self._stopped: list[Job] = []
        self._pool = Pool(self._places, self._start)
        self._next_beat = 0.0

    @classmethod
    def setting_names(cls) -> list[str]:
        """Return the names of the settings of `Slots`, and of its own."""
        return [*(field.name for field in fields(Slots)), "start_method"]

    def plan(self, sweep: Sweep, jobs: Sequence[Job], task: Task) -> Plan:
        """Say how the processes will be started."""
        for job in jobs:
            self._places.check(job)
        if self._start_method == "auto":
            self._forks = processes.fork_is_safe()
        else:
            self._forks = self._start_method == "fork"
        how = "forked from this process" if self._forks else " ".join(_command(sweep, "NUM"))
        lines = (f"{self._places.describe()} on this machine, a process each: {how}",)
        return Plan(sweep, tuple(jobs), task, lines, pickles=not self._forks)

    def submit(self, plan: Plan) -> None:
        """Queue the jobs."""
        self._sweep = plan.sweep
        self._jobs.update((job.num, (job, plan.task)) for job in plan.jobs)
        self._pool.add(plan.jobs)

    def poll(self, timeout: float) -> dict[int, Attempt]:
        """Keep the places full until a job ends."""
        attempts = {}
        while self._stopped:
            job = self._stopped.pop(0)
            attempts[job.num] = settle(job, 0, self._stops.pop(job.num))
        if not attempts:
            self._beat()
            attempts = self._settle(self._pool.wait(min(timeout, HEARTBEAT_S)))
        return attempts

    def cancel(self, nums: Iterable[int], grace: float, stop: Stop) -> None:
        """Take those that wait out of the queue, and ask those that run, with their children."""
        wanted = [num for num in nums if num in self._jobs]
        for num in self._pool.remove(wanted):
            self._stops[num] = stop
            self._stopped.append(self._jobs.pop(num)[0])
        for num in self._pool.running:
            if num in wanted:
                self._stops.setdefault(num, stop)
        self._pool.stop(wanted, grace)

    def hold(self, held: bool) -> None:
        """Start no job from now on, or go on with that."""
        self._pool.held = held

    def running(self) -> tuple[int, ...]:
        """Return the jobs that have a process."""
        return self._pool.running

    def _start(self, job: Job, place: Place) -> int:
        assert self._sweep is not None
        variables = {**place.environment(), **tags(self._sweep, job)}
        if not self._forks:
            command = _command(self._sweep, str(job.num))
            return processes.spawn([*command, f"--parent={os.getpid()}"], variables)
        _, task = self._jobs[job.num]

        def run() -> int:
            os.environ.update(variables)
            place.apply()
            with processes.marked(TAG, variables[TAG]):
                return worker.run_apart(job, lambda: task)

        return processes.fork(run)

    def _settle(self, ended: Sequence[Ended]) -> dict[int, Attempt]:
        attempts = {}
        for end_ in ended:
            job, _ = self._jobs.pop(end_.num)
            stop = self._stops.pop(end_.num, None)
            attempts[end_.num] = settle(job, end_.code, stop)
        return attempts

    def _beat(self) -> None:
        if time.monotonic() >= self._next_beat:
            for num in self._pool.running:
                beat(self._jobs[num][0])
            self._next_beat = time.monotonic() + HEARTBEAT_S


def _command(sweep: Sweep, num: str) -> list[str]:
    return [sys.executable, "-m", "launchkit.worker", str(sweep.directory), num]
