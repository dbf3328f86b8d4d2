"""What a mode is: the five verbs that the runner drives a sweep with."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from launchkit.job import Attempt, Job, JobError, JobState, end
from launchkit.sweep import Sweep
from launchkit.task import Task


@dataclass(frozen=True)
class Plan:
    """What a mode is going to do.

    Parameters
    ----------
    sweep
        The sweep.
    jobs
        The jobs that will run.
    task
        What they run.
    lines
        The plan in words, a line each.
    """

    sweep: Sweep
    jobs: tuple[Job, ...]
    task: Task
    lines: tuple[str, ...]


class Mode(ABC):
    """A way to run the jobs of a sweep.

    A subclass's constructor takes the mode's settings as keywords, checks them, and
    raises `ValueError` naming the one that is wrong. One object drives one sweep, batch
    after batch.
    """

    name: str
    """What the mode is called in config, messages and files."""

    awaits_turns: bool = False
    """Whether a job runs inside `poll`, in this very process, where it has the terminal."""

    @classmethod
    def lacking(cls) -> list[str]:
        """Return what this mode needs and does not find on this machine, a phrase each."""
        return []

    @abstractmethod
    def plan(self, sweep: Sweep, jobs: Sequence[Job], task: Task) -> Plan:
        """Work out what `submit` will do, without doing any of it."""

    @abstractmethod
    def submit(self, plan: Plan) -> None:
        """Hand the work over. Called once for an attempt of a job.

        Raises
        ------
        PayloadError
            If the task must be pickled and cannot be; nothing has been started then.
        """

    @abstractmethod
    def poll(self, timeout: float) -> dict[int, Attempt]:
        """Return the jobs that have ended since the last call, by number.

        Parameters
        ----------
        timeout
            Seconds to wait for the first of them.
        """

    @abstractmethod
    def cancel(self, nums: Iterable[int], grace: float) -> dict[int, Attempt]:
        """End jobs, started or not, and return where each of them stands then.

        Parameters
        ----------
        nums
            The jobs' numbers.
        grace
            Seconds a running job has to stop by itself.
        """

    def fetch(self, sweep: Sweep, jobs: Sequence[Job]) -> None:  # noqa: B027 - most have nothing to do
        """Bring outputs home. There is nothing to do where the disk is shared."""

    def running(self) -> tuple[int, ...]:
        """Return the numbers of the jobs known to run now."""
        return ()


def settle(job: Job, attempt: Attempt, code: int, *, cancelled: bool = False) -> Attempt:
    """Give a job whose process has ended a final state, if its worker did not.

    Parameters
    ----------
    job
        The job.
    attempt
        What its state file says.
    code
        The exit code of its process, or minus the number of the signal that ended it.
    cancelled
        Whether it was ended on request.
    """
    if attempt.state.final:
        return attempt
    state = JobState.CANCELLED if cancelled else JobState.FAILED
    error = None if cancelled else _death(job, code)
    try:
        return end(job, state, exit_code=code, error=error)
    except OSError as problem:
        # A full disk costs the state file, not the rest of the sweep.
        return unwritable(job, problem)


def cancel_waiting(job: Job) -> Attempt:
    """Mark a job that has not started as cancelled."""
    try:
        return end(job, JobState.CANCELLED)
    except OSError as problem:
        return unwritable(job, problem)


def unwritable(job: Job, problem: OSError) -> Attempt:
    """Return the state of a job whose directory cannot be written."""
    error = JobError("OSError", f"{job.directory}: {problem.strerror or problem}")
    return Attempt(state=JobState.FAILED, exit_code=1, error=error)


def _death(job: Job, code: int) -> JobError:
    import signal  # noqa: PLC0415 - only for a job that died

    if code >= 0:
        return JobError("ProcessEnded", f"exit code {code} before the job could say how it ended")
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return JobError("ProcessKilled", f"{name} ended the process of job {job.num}")
