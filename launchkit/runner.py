"""Drives a sweep: plan, submit, poll, collect. The same for every mode and front door."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any

from launchkit import code_snapshot, value
from launchkit.job import Attempt, Job, JobState
from launchkit.modes.base import Mode
from launchkit.progress import Progress
from launchkit.sweep import Sweep
from launchkit.task import Task

POLL_S = 1.0
GRACE_S = 10.0


@dataclass(frozen=True)
class Outcome:
    """How a job ended."""

    job: Job
    attempt: Attempt

    @property
    def value(self) -> Any:
        """What the job returned, read from its directory; it must have completed."""
        return value.load(self.job)


class Interrupted(KeyboardInterrupt):
    """The sweep was stopped by Ctrl-C or SIGTERM; its jobs have ended or are cancelled."""


def run(
    sweep: Sweep, jobs: Sequence[Job], task: Task, mode: Mode, progress: Progress
) -> list[Outcome]:
    """Run jobs of a sweep to their end, and return how each ended, in their order.

    Parameters
    ----------
    sweep
        The sweep; the jobs are added to it.
    jobs
        The jobs to run.
    task
        What they run.
    mode
        Where they run.
    progress
        What a person sees meanwhile.

    Raises
    ------
    SweepError
        If the jobs cannot be added to the sweep; none has run then.
    PayloadError
        If the task cannot be pickled where it must be; none has run then.
    Interrupted
        If Ctrl-C or SIGTERM stopped the sweep.
    """
    plan = mode.plan(sweep, jobs, task)
    sweep.add(jobs)
    code_snapshot.save(sweep)
    attempts: dict[int, Attempt] = {}
    waiting = {job.num: job for job in jobs}
    with _sigterm_interrupts():
        progress.start(plan, turns=mode.awaits_turns)
        try:
            mode.submit(plan)
            while waiting:
                for num, attempt in mode.poll(POLL_S).items():
                    attempts[num] = attempt
                    progress.ended(waiting.pop(num), attempt)
                progress.show(mode.running())
        except KeyboardInterrupt:
            attempts.update(_cancel(mode, waiting, progress))
            progress.finish()
            raise Interrupted from None
        except BaseException:
            # Whatever it is, no job may run on with nobody to look after it.
            mode.cancel(waiting, GRACE_S)
            raise
    mode.fetch(sweep, jobs)
    progress.finish()
    return [Outcome(job, attempts[job.num]) for job in jobs]


def _cancel(mode: Mode, waiting: dict[int, Job], progress: Progress) -> dict[int, Attempt]:
    """Stop what is left of a sweep; a second Ctrl-C stops it at once."""
    progress.say(f"stopping; {len(waiting)} jobs have not ended (Ctrl-C again: at once)")
    try:
        attempts = mode.cancel(waiting, GRACE_S)
    except KeyboardInterrupt:
        attempts = mode.cancel(waiting, 0.0)
    for num, attempt in attempts.items():
        progress.ended(waiting[num], attempt)
    return attempts


@contextlib.contextmanager
def _sigterm_interrupts() -> Iterator[None]:
    """Let SIGTERM stop the sweep as Ctrl-C does, where this is the main thread."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        del number, frame
        raise KeyboardInterrupt

    try:
        previous = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # not the main thread: nobody can be interrupted here
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def bad(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Return the outcomes of the jobs that did not complete."""
    return [outcome for outcome in outcomes if outcome.attempt.state is not JobState.COMPLETED]
