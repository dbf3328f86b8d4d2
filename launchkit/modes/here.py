"""``here_no_doodad``: the jobs one after the other, in the launcher's own process.

For a debugger, and for code that must not leave the process.
"""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Iterable, Sequence

from launchkit import processes, worker
from launchkit.job import Attempt, Job, read
from launchkit.modes.base import Mode, Plan, cancel_waiting, unwritable
from launchkit.sweep import Sweep
from launchkit.task import Task


class HereMode(Mode):
    """Runs jobs one after the other in the launcher's own process, for a debugger."""

    name = "here_no_doodad"
    awaits_turns = True

    def __init__(self) -> None:
        self._queue: deque[tuple[Job, Task]] = deque()
        self._current: Job | None = None

    def plan(self, sweep: Sweep, jobs: Sequence[Job], task: Task) -> Plan:
        """Say that the jobs run here, in their order."""
        lines = ("one after the other, in this process",)
        return Plan(sweep, tuple(jobs), task, lines)

    def submit(self, plan: Plan) -> None:
        """Queue the jobs."""
        self._queue.extend((job, plan.task) for job in plan.jobs)

    def poll(self, timeout: float) -> dict[int, Attempt]:
        """Run the next job to its end, however long it takes."""
        del timeout
        if not self._queue:
            return {}
        job, task = self._queue.popleft()
        self._current = job
        before = processes.descendants()
        try:
            worker.run_here(job, task)
        except KeyboardInterrupt:
            for pid in processes.descendants() - before:
                processes.kill_tree(pid, signal.SIGKILL)
            raise
        except OSError as problem:
            return {job.num: unwritable(job, problem)}
        return {job.num: read(job.directory)}

    def cancel(self, nums: Iterable[int], grace: float) -> dict[int, Attempt]:
        """Mark the jobs that have not run as cancelled, beside the one that was interrupted."""
        del grace
        wanted = set(nums)
        cancelled = {job.num: cancel_waiting(job) for job, _ in self._queue if job.num in wanted}
        self._queue = deque(entry for entry in self._queue if entry[0].num not in wanted)
        if self._current is not None and self._current.num in wanted:
            cancelled[self._current.num] = read(self._current.directory)
        return cancelled
