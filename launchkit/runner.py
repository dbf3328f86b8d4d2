"""Drives a sweep: plan, submit, poll, retry, collect. The same for every mode and front door."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from launchkit import payload, requests, value
from launchkit.code import code_snapshot
from launchkit.display.progress import Progress
from launchkit.drive import Drive
from launchkit.driver import Claim
from launchkit.interrupts import Interrupts
from launchkit.job import Attempt, Job, JobState, renew
from launchkit.leftovers import end_left
from launchkit.modes.base import Mode, Plan
from launchkit.payload import PayloadError
from launchkit.policy import Policy
from launchkit.sweep import Sweep, SweepError
from launchkit.task import Task
from launchkit.warden import Warden

log = logging.getLogger(__name__)


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
    """The sweep was stopped by a signal, or on request; its jobs have ended or are cancelled."""


@dataclass(frozen=True)
class Work:
    """What is to be run of a sweep.

    Parameters
    ----------
    sweep
        The sweep.
    jobs
        The jobs.
    task
        What they run.
    resumed
        Whether the jobs are in the sweep already; those that have completed are left alone.
    again
        Whether those are run again, too.
    changed
        The numbers of jobs that are not what they were, so that those run again as well.
    saved
        Whether the task was read from the sweep's own payload.
    """

    sweep: Sweep
    jobs: Sequence[Job]
    task: Task
    resumed: bool = False
    again: bool = False
    changed: frozenset[int] = frozenset()
    saved: bool = False

    def left(self, attempts: Mapping[int, Attempt]) -> list[Job]:
        """Return the jobs that are run where the others stand as given."""
        pending = Attempt()
        return [job for job in self.jobs if self.runs(job, attempts.get(job.num, pending).state)]

    def runs(self, job: Job, state: JobState) -> bool:
        """Tell whether a job that is in a state is run."""
        return state is not JobState.COMPLETED or self.again or job.num in self.changed


def check(work: Work, mode: Mode, policy: Policy, *, ask: bool = True) -> Plan:
    """Return what a mode would do, having done nothing.

    Parameters
    ----------
    work, mode, policy
        As for `run`.
    ask
        Whether to ask those who would run the jobs whether they can.

    Raises
    ------
    ValueError
        If the mode cannot run a job, or do what the policy says.
    """
    if mode.in_this_process:
        for job in work.jobs:
            limit = policy.limit_s(job)
            if limit is not None:
                raise ValueError(
                    f"timeout_min is {limit / 60:g}, and mode {mode.name!r} cannot "
                    "end a job, which runs in the launcher's own process; use another mode"
                )
    plan = mode.plan(work.sweep, work.jobs, work.task)
    if ask:
        mode.check(plan)
    return plan


def run(
    work: Work,
    mode: Mode,
    progress: Progress,
    policy: Policy | None = None,
    ready: Callable[[], None] = lambda: None,
) -> list[Outcome]:
    """Run jobs of a sweep to their end, and return how each ended, in their order.

    Parameters
    ----------
    work
        What to run.
    mode
        Where it runs.
    progress
        What a person sees meanwhile.
    policy
        What is done about jobs that end badly; by default nothing.
    ready
        Called when nothing can forbid the sweep any more.

    Raises
    ------
    SweepError
        If the jobs cannot be added to the sweep, its directory cannot be written, or another
        process drives it; none has run.
    PayloadError
        If the task cannot be pickled where it must be; none has run then.
    ValueError
        If the mode cannot run a job; none has run then.
    Interrupted
        If Ctrl-C, SIGTERM, SIGHUP or a request stopped the sweep.
    """
    policy = policy or Policy()
    sweep = work.sweep
    plan = check(work, mode, policy)
    with Interrupts() as interrupts:
        try:
            with contextlib.ExitStack() as open_:
                with _writing(sweep):
                    claim = open_.enter_context(Claim(sweep, progress.say))
                    ended = _take_up(work, plan, mode)
                    claim.guarded_by(open_.enter_context(Warden(sweep, claim)))
                open_.callback(mode.close, sweep)
                drive = Drive(plan, ended, mode, policy, progress, claim, interrupts)
                ready()
                attempts = drive.run()
                mode.fetch(sweep, work.jobs)
        except KeyboardInterrupt:
            raise Interrupted from None
    if drive.interrupted:
        raise Interrupted
    return [Outcome(job, attempts[job.num]) for job in work.jobs]


def hand_over(work: Work, mode: Mode, policy: Policy, say: Callable[[str], None]) -> None:
    """Write down what is going to run, and leave it to a mode that hands jobs over.

    Parameters
    ----------
    work, mode, policy
        As for `run`.
    say
        Tells a person what is left to do.

    Raises
    ------
    SweepError, PayloadError, ValueError
        If the sweep cannot be run as it is, as `run` does.
    """
    sweep = work.sweep
    plan = check(work, mode, policy)
    with Interrupts(), _writing(sweep), Claim(sweep, say):
        ended = _take_up(work, plan, mode)
        mode.submit(replace(plan, jobs=tuple(job for job in plan.jobs if job.num not in ended)))
    say(f"launchkit: {mode.farewell(sweep)}")


@contextlib.contextmanager
def _writing(sweep: Sweep) -> Iterator[None]:
    """Say of a full disk, or one that may not be written to, which it is."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise SweepError(f"cannot write below {sweep.directory}: {reason}") from error


def _take_up(work: Work, plan: Plan, mode: Mode) -> dict[int, Attempt]:
    """Write down what is going to run, and return the jobs that need not run."""
    if work.resumed:
        # Those that the driver before this one has not heard were not meant for this one.
        requests.take(work.sweep)
    write_down(work, plan, mode)
    return _renew(work) if work.resumed else {}


def write_down(work: Work, plan: Plan, mode: Mode) -> None:
    """Write down, below the sweep, which jobs there are, and what they run and need.

    Raises
    ------
    SweepError
        If the jobs cannot be added to the sweep.
    PayloadError
        If the task cannot be pickled where it must be.
    """
    if work.resumed:
        work.sweep.put(work.jobs)
    else:
        work.sweep.add(work.jobs)
    code_snapshot.save(work.sweep)
    if not work.saved:
        _save_payload(work, plan)
        mode.prepare(plan)


def _save_payload(work: Work, plan: Plan) -> None:
    """Pickle the task where the jobs need it, and else for who resumes the sweep, if it can be."""
    try:
        payload.save_batch(work.sweep, work.task, work.jobs)
    except PayloadError as error:
        if plan.pickles:
            raise
        log.debug("sweep %s cannot be resumed by itself: %s", work.sweep.id, error)


def _renew(work: Work) -> dict[int, Attempt]:
    """Make the jobs that have not completed pending again; return those that have."""
    attempts = end_left(work.sweep)
    completed = {}
    for job in work.jobs:
        attempt = attempts[job.num]
        if not work.runs(job, attempt.state):
            completed[job.num] = attempt
        elif attempt.state is not JobState.PENDING:
            try:
                renew(job)
            except OSError as error:
                raise SweepError(f"{job.directory} cannot be written: {error.strerror}") from error
    return completed


def bad(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Return the outcomes of the jobs that did not complete."""
    return [outcome for outcome in outcomes if outcome.attempt.state is not JobState.COMPLETED]
