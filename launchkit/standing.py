"""Where the jobs of a sweep stand, by their files and by who is there to run them."""

from __future__ import annotations

from dataclasses import replace

from launchkit import driver, process_table
from launchkit.driver import Driver
from launchkit.job import Attempt, Job, JobError, JobState, read
from launchkit.states import read_all
from launchkit.sweep import Sweep

GONE = JobError("ProcessGone", "its process has ended without saying how, and so has its launcher")


def standing(sweep: Sweep) -> dict[int, Attempt]:
    """Return where each job stands, by its number.

    A job that its file says is running is given as lost where its process, and the one
    that drove the sweep, are known to have ended. Nothing is written.
    """
    attempts = read_all(sweep)
    if _may_run_on(driver.current(sweep)):
        return attempts
    return {num: as_known(attempt) for num, attempt in attempts.items()}


def standing_of(sweep: Sweep, job: Job) -> Attempt:
    """Return where one job stands, as `standing` does."""
    attempt = read(job.directory)
    if attempt.state.final or _may_run_on(driver.current(sweep)):
        return attempt
    return as_known(attempt)


def as_known(attempt: Attempt) -> Attempt:
    """Return an attempt as lost, if it was running and its process is known to be gone."""
    running = attempt.state in (JobState.RUNNING, JobState.SUBMITTED)
    if not running or attempt.process is None:
        return attempt
    if process_table.is_alive(attempt.process) is not False:
        return attempt
    return replace(attempt, state=JobState.LOST, error=GONE)


def driven(sweep: Sweep) -> bool:
    """Tell whether a process drives the sweep, as far as can be seen from here."""
    last = driver.current(sweep)
    return last is not None and last.alive is not False


def _may_run_on(last: Driver | None) -> bool:
    return last is not None and last.alive is True


def describe(sweep: Sweep) -> str:
    """Return who drives a sweep, in words."""
    last = driver.current(sweep)
    if last is None or last.released:
        return "no launcher is running"
    if last.alive is False:
        return f"its launcher, {last.describe()}, has ended without a word"
    if last.alive is None:
        return f"{last.describe()} drives it, or did; it cannot be seen from here"
    return f"{last.describe()} drives it"
