"""Follows a sweep that another process drives, by its files."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from launchkit import driver
from launchkit.display.progress import Progress
from launchkit.job import Attempt, JobState
from launchkit.standing import standing
from launchkit.sweep import Sweep

LOOK_S = 0.5
SHARE = 10
"""Reading the states of many jobs takes a while; it may take one part in so many of the time."""
UNDRIVEN_S = 3.0
"""A launcher makes the sweep's directory a moment before it says that it drives it."""


class End(Enum):
    """Why following a sweep ended."""

    ALL_ENDED = "all jobs have ended"
    UNDRIVEN = "jobs are left, and nobody drives the sweep"
    TIMEOUT = "the time is up"
    UNSEEN = "nobody reads what is shown"


@dataclass
class Followed:
    """How far a sweep has come when following it ends.

    Parameters
    ----------
    end
        Why it ended.
    sweep
        The sweep, with the jobs that were added meanwhile.
    attempts
        Where its jobs stand.
    """

    end: End
    sweep: Sweep
    attempts: Mapping[int, Attempt] = field(repr=False)

    @property
    def all_completed(self) -> bool:
        """Whether every job has completed."""
        return all(known.state is JobState.COMPLETED for known in self.attempts.values())


def follow(
    sweep: Sweep, progress: Progress, *, timeout: float | None = None, unseen: bool = True
) -> Followed:
    """Show a sweep until all its jobs have ended and its launcher has done with them.

    A job that has failed may be tried again as long as there is a launcher.

    Parameters
    ----------
    sweep
        The sweep.
    progress
        Where it is shown; it is left to the caller to finish it.
    timeout
        Seconds after which to leave off; None for never.
    unseen
        Whether to go on when nobody can see it any more.
    """
    deadline = time.monotonic() + timeout if timeout is not None else float("inf")
    watch = _Watch(sweep, progress)
    undriven_since: float | None = None
    while True:
        began = time.monotonic()
        attempts = watch.look()
        now = time.monotonic()
        alive = _is_driven(watch.sweep)
        left = [known for known in attempts.values() if not known.state.final]
        if attempts and not left and alive is not True:
            return Followed(End.ALL_ENDED, watch.sweep, attempts)
        undriven_since = (undriven_since or now) if alive is False else None
        nobody = undriven_since is not None and now - undriven_since >= UNDRIVEN_S
        if nobody and all(known.state is JobState.PENDING for known in left):
            # Without any jobs nothing is left to run either.
            end = End.UNDRIVEN if left else End.ALL_ENDED
            return Followed(end, watch.sweep, attempts)
        if now >= deadline:
            return Followed(End.TIMEOUT, watch.sweep, attempts)
        if progress.closed and not unseen:
            return Followed(End.UNSEEN, watch.sweep, attempts)
        pause = max(LOOK_S, SHARE * (now - began))
        time.sleep(max(0.0, min(pause, deadline - now)))


class _Watch:
    """Tells a progress what has changed since it last looked."""

    def __init__(self, sweep: Sweep, progress: Progress) -> None:
        self.sweep = sweep
        self._progress = progress
        self._size = -1
        self._before: dict[int, Attempt] | None = None

    def look(self) -> dict[int, Attempt]:
        """Return where the jobs stand, and show it."""
        self._look_for_jobs()
        attempts = standing(self.sweep)
        if self._before is None:
            self._progress.follow(self.sweep, attempts, since=_since(self.sweep))
        else:
            self._show_changes(self._before, attempts)
        self._before = attempts
        running = [num for num, known in attempts.items() if known.state is JobState.RUNNING]
        self._progress.show(running, attempts)
        return attempts

    def _show_changes(self, before: dict[int, Attempt], attempts: dict[int, Attempt]) -> None:
        for job in self.sweep.jobs:
            old, new = before.get(job.num, Attempt()), attempts[job.num]
            if old == new:
                continue
            if old.state.final and new.attempt > old.attempt:
                self._progress.retrying(job, old, 0.0)
            if new.state.final:
                self._progress.ended(job, new)

    def _look_for_jobs(self) -> None:
        """Take in the jobs that a sweep in batches has been given since."""
        size = _size_of_jobs(self.sweep)
        if size != self._size:
            self._size = size
            self.sweep = Sweep.open(self.sweep.directory)
            self._progress.add(self.sweep.jobs)


def _size_of_jobs(sweep: Sweep) -> int:
    try:
        return (sweep.own / "jobs.jsonl").stat().st_size
    except FileNotFoundError:
        return 0


def _is_driven(sweep: Sweep) -> bool | None:
    """Tell whether a process drives the sweep; None where that cannot be seen from here."""
    last = driver.current(sweep)
    return last.alive if last is not None else False


def _since(sweep: Sweep) -> float | None:
    last = driver.current(sweep)
    return last.since if last is not None and last.alive is not False else None
