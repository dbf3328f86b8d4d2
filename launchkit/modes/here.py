"""``here_no_doodad``: the jobs one after the other, in the launcher's own process.

For a debugger, and for code that must not leave the process.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from launchkit import interrupts, process_table, worker
from launchkit.job import Attempt, Job
from launchkit.machine import processes
from launchkit.modes.base import (
    Mode,
    Plan,
    Stop,
    known_state,
    settle,
    tags,
    unwritable,
)
from launchkit.sweep import TAG, Sweep
from launchkit.task import Task


class HereMode(Mode):
    """Runs jobs one after the other in the launcher's own process, for a debugger."""

    name = "here_no_doodad"
    in_this_process = True

    def __init__(self) -> None:
        self._queue: deque[tuple[Job, Plan]] = deque()
        self._stopped: list[tuple[Job, Stop]] = []
        self._interrupted: Job | None = None

    def plan(self, sweep: Sweep, jobs: Sequence[Job], task: Task) -> Plan:
        """Say that the jobs run here, in their order."""
        lines = ("one after the other, in this process",)
        return Plan(sweep, tuple(jobs), task, lines)

    def submit(self, plan: Plan) -> None:
        """Queue the jobs."""
        self._queue.extend((job, plan) for job in plan.jobs)

    def poll(self, timeout: float) -> dict[int, Attempt]:
        """Run the next job to its end, however long it takes."""
        if self._interrupted is not None:
            job, self._interrupted = self._interrupted, None
            # The signal may have come before the job could begin.
            return {job.num: settle(job, worker.CANCELLED_CODE, Stop())}
        if self._stopped:
            job, stop = self._stopped.pop(0)
            return {job.num: settle(job, 0, stop)}
        if not self._queue:
            with interrupts.felt():
                time.sleep(timeout)
            return {}
        job, plan = self._queue.popleft()
        before = process_table.children()
        try:
            with _tagged(plan.sweep, job), interrupts.felt():
                worker.run_here(job, plan.task)
        except KeyboardInterrupt:
            started = process_table.children() - before
            processes.send(process_table.tree(*started), signal.SIGKILL)
            self._interrupted = job
            raise
        except OSError as problem:
            return {job.num: unwritable(job, problem)}
        return {job.num: known_state(job)}

    def cancel(self, nums: Iterable[int], grace: float, stop: Stop) -> None:
        """Take jobs that have not run out of the queue."""
        del grace
        wanted = set(nums)
        self._stopped += [(job, stop) for job, _ in self._queue if job.num in wanted]
        self._queue = deque(entry for entry in self._queue if entry[0].num not in wanted)


@contextlib.contextmanager
def _tagged(sweep: Sweep, job: Job) -> Iterator[None]:
    """Let what a job starts be known as the sweep's, should this process be killed."""
    before = dict(os.environ)
    variables = tags(sweep, job)
    os.environ.update(variables)
    try:
        with processes.marked(TAG, variables[TAG]):
            yield
    finally:
        for name in variables:
            os.environ.pop(name, None)
            if name in before:
                os.environ[name] = before[name]
