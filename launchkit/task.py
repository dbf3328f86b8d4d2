"""What a job runs."""

from __future__ import annotations

from typing import Any, Protocol

from launchkit.job import Job


class Task(Protocol):
    """What the jobs of a sweep run, in whatever process a mode gives them.

    A front door makes one for its sweep. Where a mode leaves the launcher's process it
    is pickled with cloudpickle, once a sweep.
    """

    def run(self, job: Job) -> Any:
        """Run one job in this process and return its value; raise what the job raises."""
        ...


def is_saved(task: Task) -> bool:
    """Tell whether a task was read from its sweep: the program that made it need not be here."""
    return getattr(task, "saved", False)


class Cancelled(BaseException):
    """Raised in a job's main thread when it is asked to stop."""
