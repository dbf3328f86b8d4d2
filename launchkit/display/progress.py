"""What a person sees while a sweep runs, and the table at its end."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TextIO

from launchkit.display.board import Board
from launchkit.display.report import (
    counts,
    describe,
    duration,
    failures,
    reason,
    summary,
    time_of,
    warnings,
)
from launchkit.display.screen import Screen
from launchkit.job import Attempt, Job
from launchkit.masking import mask_text
from launchkit.modes.base import Plan
from launchkit.sweep import Sweep

REFRESH_S = 0.2


class Progress:
    """Reports on a sweep: a few lines that change on a terminal, a line a job elsewhere.

    It is fed by the launcher, or by whoever follows a sweep from elsewhere, and knows jobs
    and their states only.

    Parameters
    ----------
    stream
        Where to; None for standard error.
    verbose
        Whether each job is listed before the sweep starts.
    """

    def __init__(self, stream: TextIO | None = None, *, verbose: bool = False) -> None:
        self._verbose = verbose
        self._screen = Screen(stream if stream is not None else sys.stderr)
        self._board = Board()
        self._next = 0.0
        self._begun: float | None = time.monotonic()
        self._directory = ""

    @property
    def closed(self) -> bool:
        """Whether nobody can see it any more: what it writes to has been closed."""
        return self._screen.closed

    def start(
        self, plan: Plan, *, turns: bool, earlier: Mapping[int, Attempt] | None = None
    ) -> None:
        """Say what is going to run.

        Parameters
        ----------
        plan
            The plan of a sweep, or of a batch of its jobs.
        turns
            Whether the jobs themselves use the terminal.
        earlier
            How jobs ended that do not run now, to be counted and listed with the others.
        """
        if turns:
            self._screen.live = False
        self._board.add(job for job in plan.sweep.jobs if job.num in (earlier or {}))
        for num, attempt in (earlier or {}).items():
            self._board.ended(num, attempt)
        self._board.add(plan.jobs)
        self._directory = str(plan.sweep.directory)
        count = len(plan.jobs)
        self.say(f"launchkit: {count} job{'s' * (count != 1)}, mode {plan.sweep.mode}")
        for line in plan.lines:
            self.say(f"  {line}")
        if self._verbose:
            for job in plan.jobs:
                self.say(f"  job {job.num}: {describe(job)}")

    def follow(self, sweep: Sweep, attempts: Mapping[int, Attempt], *, since: float | None) -> None:
        """Say where a sweep stands that another process drives.

        Parameters
        ----------
        sweep
            The sweep.
        attempts
            Where its jobs stand.
        since
            When its launcher started, in seconds since the epoch, if that is known.
        """
        ago = max(0.0, time.time() - since) if since is not None else None
        self._begun = time.monotonic() - ago if ago is not None else None
        self._directory = str(sweep.directory)
        self.add(sweep.jobs)
        for num, attempt in attempts.items():
            if attempt.state.final:
                self._board.ended(num, attempt)
        self.say(f"launchkit: {counts(sweep.jobs, attempts) or 'no jobs'}, mode {sweep.mode}")

    def add(self, jobs: Iterable[Job]) -> None:
        """Take note of jobs that have been added to the sweep."""
        self._board.add(jobs)

    def say(self, text: str) -> None:
        """Print a line above those that change."""
        self._screen.print(mask_text(text))

    def ended(self, job: Job, attempt: Attempt) -> None:
        """Take note of a job that has ended."""
        self._board.ended(job.num, attempt)
        if self._screen.live and not attempt.state.bad:
            return
        done = f"[{len(self._board.attempts)}/{len(self._board.jobs)}]"
        took = f" in {time_of(attempt)}" if attempt.started is not None else ""
        self.say(f"{done} job {job.num} {attempt.state}{took}  {describe(job)}")

    def retrying(
        self, job: Job, attempt: Attempt, delay_s: float, attempts_at_most: int | None = None
    ) -> None:
        """Take note of a job that has ended and is tried again.

        Parameters
        ----------
        job
            The job.
        attempt
            How its last attempt ended.
        delay_s
            Seconds until the next one.
        attempts_at_most
            How many there can be, if that is known.
        """
        coming = attempt.attempt + 1
        self._board.again(job.num, coming)
        limit = f" of {attempts_at_most}" if attempts_at_most is not None else ""
        when = f"in {duration(delay_s)}" if delay_s >= 0.05 else "now"
        self.say(
            f"job {job.num} {attempt.state} ({reason(attempt)}), "
            f"attempt {coming}{limit} {when}  {describe(job)}"
        )

    def show(self, running: Sequence[int], known: Mapping[int, Attempt] | None = None) -> None:
        """Refresh the lines that change.

        Parameters
        ----------
        running
            The numbers of the jobs that run.
        known
            Their attempts, where they are known better than by their numbers.
        """
        if not self._screen.live or time.monotonic() < self._next:
            return
        self._next = time.monotonic() + REFRESH_S
        self._board.runs(running, known or {})
        # The cursor has a line of its own below.
        rows = self._screen.size().lines - 1
        self._screen.draw(self._board.lines(self._took(), rows))

    def clear(self) -> None:
        """Take away the lines that change, without a word."""
        self._screen.clear()

    def finish(self, attempts: Mapping[int, Attempt] | None = None) -> None:
        """Print the table, the failures, and where the sweep is.

        Parameters
        ----------
        attempts
            Where all jobs stand; by default how those ended that have.
        """
        self._screen.clear()
        jobs = [*self._board.jobs.values()]
        attempts = self._board.attempts if attempts is None else attempts
        took = f" in {self._took()}" if self._begun is not None else ""
        lines = [
            summary(jobs, attempts),
            *warnings(attempts),
            *failures(jobs, attempts),
            f"{counts(jobs, attempts) or 'no jobs'}{took}: {self._directory}",
        ]
        self._screen.print("\n".join(filter(None, lines)))

    def _took(self) -> str:
        return duration(time.monotonic() - self._begun) if self._begun is not None else ""
