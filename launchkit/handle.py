"""A job that has been handed over, and is not waited for."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from launchkit import value
from launchkit.job import Attempt, Job, JobState
from launchkit.standing import standing_of
from launchkit.sweep import Sweep

LOOK_S = 0.2


class NotCompleted(RuntimeError):
    """A job has no value: it has not completed, or not yet."""


@dataclass(frozen=True)
class JobHandle:
    """A job of a detached sweep.

    Parameters
    ----------
    sweep
        Its sweep.
    job
        The job.
    """

    sweep: Sweep
    job: Job

    @property
    def attempt(self) -> Attempt:
        """Where it stands now, as its files have it."""
        return standing_of(self.sweep, self.job)

    @property
    def state(self) -> JobState:
        """Its state now."""
        return self.attempt.state

    def wait(self, timeout: float | None = None) -> Attempt:
        """Wait until it has ended, and return how.

        Parameters
        ----------
        timeout
            Seconds after which to give up; None to wait for ever.

        Raises
        ------
        TimeoutError
            If it has not ended by then.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while not (attempt := self.attempt).state.final:
            if deadline is not None and time.monotonic() >= deadline:
                raise TimeoutError(f"job {self.job.num} is {attempt.state} after {timeout:g} s")
            time.sleep(LOOK_S)
        return attempt

    @property
    def value(self) -> Any:
        """What it returned.

        Raises
        ------
        NotCompleted
            If it has not completed.
        """
        attempt = self.attempt
        if attempt.state is not JobState.COMPLETED:
            raise NotCompleted(f"job {self.job.num} is {attempt.state}: {self.job.directory}")
        return value.load(self.job)

    def __repr__(self) -> str:
        return f"<job {self.job.num} handed over, {self.state}: {self.job.directory}>"
