"""What a mode is: the five verbs that the runner drives a sweep with."""

from __future__ import annotations

import inspect
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from launchkit.job import Attempt, Job, JobError, JobState, end, read
from launchkit.sweep import TAG, Sweep
from launchkit.task import Task

READ_AGAIN_S = (0.1, 0.5, 2.0)


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
    pickles
        Whether the jobs read the task from the sweep's payload.
    details
        What only a dry run shows, the scripts for one, a line each.
    """

    sweep: Sweep
    jobs: tuple[Job, ...]
    task: Task
    lines: tuple[str, ...]
    pickles: bool = False
    details: tuple[str, ...] = ()


@dataclass(frozen=True)
class Stop:
    """Why jobs are ended on request, and the state this gives them.

    Parameters
    ----------
    state
        The state of a job that has ended because of it.
    error
        What is said of it.
    """

    state: JobState = JobState.CANCELLED
    error: JobError | None = None


class Mode(ABC):
    """A way to run the jobs of a sweep.

    A subclass's constructor takes the mode's settings as keywords, checks them, and
    raises `ValueError` naming the one that is wrong. One object drives one sweep, batch
    after batch.
    """

    name: str
    """What the mode is called in config, messages and files."""

    in_this_process: bool = False
    """Whether a job runs inside `poll`, where it has the terminal and nobody can end it."""

    hands_over: bool = False
    """Whether `submit` leaves the jobs to somebody else, and nobody here sees them end."""

    leaves_elsewhere: bool = False
    """Whether a killed launcher may leave more of a sweep than this machine's processes."""

    @classmethod
    def lacking(cls) -> list[str]:
        """Return what this mode needs and does not find on this machine, a phrase each."""
        return []

    @classmethod
    def setting_names(cls) -> list[str]:
        """Return the names of its settings."""
        return list(inspect.signature(cls).parameters)

    @abstractmethod
    def plan(self, sweep: Sweep, jobs: Sequence[Job], task: Task) -> Plan:
        """Work out what `submit` will do, without doing any of it.

        Raises
        ------
        ValueError
            If a job cannot be run with the mode's settings.
        """

    def check(self, plan: Plan) -> None:  # noqa: B027 - most have nobody to ask
        """Ask whoever is to run the jobs whether they can be, before anything is written.

        Raises
        ------
        ValueError
            If they cannot.
        """

    def prepare(self, plan: Plan) -> None:  # noqa: B027 - most take nothing along
        """Write below the sweep what the jobs need there. Called before `submit`."""

    @abstractmethod
    def submit(self, plan: Plan) -> None:
        """Hand the work over. Called once for an attempt of a job."""

    @abstractmethod
    def poll(self, timeout: float) -> dict[int, Attempt]:
        """Return the jobs that have ended since the last call, by number.

        Only here may a signal interrupt the mode: see `interrupts`.

        Parameters
        ----------
        timeout
            Seconds to wait for the first of them.
        """

    @abstractmethod
    def cancel(self, nums: Iterable[int], grace: float, stop: Stop) -> None:
        """Begin to end jobs, started or not; `poll` returns each once it has ended.

        Called again for the same jobs, it can only hasten their end.

        Parameters
        ----------
        nums
            The jobs' numbers; those that have ended are left out.
        grace
            Seconds a running job has to stop by itself.
        stop
            Why.
        """

    def fetch(self, sweep: Sweep, jobs: Sequence[Job]) -> None:  # noqa: B027 - most have nothing to do
        """Bring outputs home. There is nothing to do where the disk is shared."""

    def close(self, sweep: Sweep) -> None:  # noqa: B027 - most have nothing to put away
        """Put away what only a sweep that runs needs. Called once no job runs any more."""

    def end_left(self, sweep: Sweep) -> None:  # noqa: B027 - most leave only processes here
        """End what a killed launcher has left of a sweep beyond this machine's processes.

        Raises
        ------
        SweepError
            If it cannot be ended.
        """

    def farewell(self, sweep: Sweep) -> str:
        """Return what a person is told who is left with the jobs that were handed over."""
        raise NotImplementedError(sweep.mode)

    def running(self) -> tuple[int, ...]:
        """Return the numbers of the jobs known to run now."""
        return ()


def known_state(job: Job) -> Attempt:
    """Return what a job's state file says; nothing, if it cannot be read after some tries."""
    for delay in READ_AGAIN_S:
        try:
            return read(job.directory)
        except OSError:  # a file server may not answer for a moment
            time.sleep(delay)
    return Attempt()


def tags(sweep: Sweep, job: Job) -> dict[str, str]:
    """Return the environment variables by which what a job starts is known as the sweep's."""
    return {
        "LAUNCHKIT_SWEEP": sweep.id,
        TAG: sweep.tag,
        "LAUNCHKIT_JOB": str(job.num),
    }


def settle(job: Job, code: int, stop: Stop | None = None, died: Stop | None = None) -> Attempt:
    """Give a job whose process has ended, or never was, its final state.

    A job whose state file says how it ended is believed, but for one that says that it was
    asked to stop: `stop` knows why.

    Parameters
    ----------
    job
        The job.
    code
        The exit code of its process, or minus the number of the signal that ended it.
    stop
        Why it was ended on request, if it was.
    died
        What has become of it otherwise; by default, that its process has failed.
    """
    attempt = known_state(job)
    asked = attempt.state is JobState.CANCELLED and stop not in (None, Stop())
    if attempt.state.final and not asked:
        return attempt
    became = stop or died or Stop(JobState.FAILED, _death(job, code))
    started = attempt.started is not None
    try:
        return end(job, became.state, exit_code=code if started else None, error=became.error)
    except OSError as problem:
        # A full disk costs the state file, not the rest of the sweep.
        return unwritable(job, problem)


def unwritable(job: Job, problem: OSError) -> Attempt:
    """Return the state of a job whose directory cannot be written."""
    error = JobError("OSError", f"{job.directory}: {problem.strerror or problem}")
    return Attempt(state=JobState.FAILED, exit_code=1, error=error)


def signal_name(number: int) -> str:
    """Return what a signal is called."""
    import signal  # noqa: PLC0415 - only for a process that died

    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _death(job: Job, code: int) -> JobError:
    if code >= 0:
        return JobError("ProcessEnded", f"exit code {code} before the job could say how it ended")
    return JobError("ProcessKilled", f"{signal_name(-code)} ended the process of job {job.num}")
