"""What is known of a sweep's jobs while they run, and the lines that show it."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from launchkit.display.estimate import seconds_left
from launchkit.display.last_rows import LatestMetrics
from launchkit.display.report import describe_swept, duration, in_words, swept_keys
from launchkit.job import Attempt, Job, JobState, read

RUNNING_AT_MOST = 8


@dataclass
class _Running:
    since: float
    """On the monotonic clock."""
    attempt: int
    guessed: bool
    """Whether it is when it was first seen to run that is known, not when it started."""


class Board:
    """Keeps count of jobs, fed by whoever knows where they stand."""

    def __init__(self) -> None:
        self.jobs: dict[int, Job] = {}
        self.attempts: dict[int, Attempt] = {}
        """How jobs ended, by number."""
        self._tally: Counter[JobState] = Counter()
        self._durations: dict[int, float] = {}
        self._running: dict[int, _Running] = {}
        self._tries: dict[int, int] = {}
        self._slots = 0
        self._keys: list[str] | None = None
        self._metrics = LatestMetrics()

    def add(self, jobs: Iterable[Job]) -> None:
        """Take note of jobs there are."""
        self.jobs.update((job.num, job) for job in jobs)
        self._keys = None

    def ended(self, num: int, attempt: Attempt) -> None:
        """Take note of how a job ended."""
        self.again(num, attempt.attempt)
        self.attempts[num] = attempt
        self._tally[attempt.state] += 1
        self._running.pop(num, None)
        self._metrics.forget(num)
        if attempt.state is JobState.COMPLETED and attempt.seconds is not None:
            self._durations[num] = attempt.seconds

    def again(self, num: int, attempt: int) -> None:
        """Take note that a job has not ended after all: it is making another attempt."""
        self._tries[num] = attempt
        before = self.attempts.pop(num, None)
        if before is not None:
            self._tally[before.state] -= 1
            self._durations.pop(num, None)
        self._running.pop(num, None)

    def runs(self, nums: Sequence[int], known: Mapping[int, Attempt]) -> None:
        """Take note of which jobs run, and of what is known of each."""
        now = time.monotonic()
        before, self._running = self._running, {}
        for num in nums:
            if num in known:
                self._running[num] = _as_running(known[num])
            else:
                guess = _Running(now, self._tries.get(num, 1), guessed=True)
                self._running[num] = before.get(num, guess)
        self._slots = max(self._slots, len(nums))

    def lines(self, took: str, rows: int) -> list[str]:
        """Return what to show: the counts, then the running jobs, in at most so many rows.

        Parameters
        ----------
        took
            How long the sweep has taken so far, or nothing.
        rows
            How many lines there is room for.
        """
        room = max(0, min(RUNNING_AT_MOST, rows - 1))
        shown = list(self._running)
        if len(shown) > room:
            shown = shown[: max(0, room - 1)]
        lines = [self._headline(took), *self._rows(shown)]
        rest = len(self._running) - len(shown)
        if rest and room:
            lines.append(f"  … and {rest} more running")
        return lines

    def _headline(self, took: str) -> str:
        ended, running = len(self.attempts), len(self._running)
        waiting = len(self.jobs) - ended - running
        parts = [
            f"{ended}/{len(self.jobs)} ended"
            + (f" ({in_words(self._tally)})" if any(s.bad for s in +self._tally) else ""),
            f"{running} running" if running else "",
            f"{waiting} waiting" if waiting else "",
            took,
            self._left(waiting),
        ]
        return ", ".join(filter(None, parts))

    def _left(self, waiting: int) -> str:
        now = time.monotonic()
        elapsed = [now - known.since for known in self._running.values()]
        if not elapsed:
            return ""
        left = seconds_left([*self._durations.values()], elapsed, waiting, self._slots)
        return "" if left is None else f"about {_coarse(left)} left"

    def _rows(self, nums: Sequence[int]) -> list[str]:
        if self._keys is None:
            self._keys = swept_keys([*self.jobs.values()])
        now = time.monotonic()
        cells = []
        for num in nums:
            job, known = self.jobs[num], self._look_up(num)
            tries = f"attempt {known.attempt}" if known.attempt > 1 else ""
            metrics = self._metrics.of(job)
            told = describe_swept(job, self._keys)
            cells.append([f"job {num}", duration(now - known.since), tries, metrics, told])
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        # A column that is empty in every row takes no room.
        used = [(at, width) for at, width in enumerate(widths) if width]
        return ["  " + "  ".join(row[at].ljust(width) for at, width in used) for row in cells]

    def _look_up(self, num: int) -> _Running:
        """Return what is known of a running job, from its own state file if need be."""
        known = self._running[num]
        if known.guessed:
            # A file that cannot be read is somebody else's concern.
            with contextlib.suppress(OSError, ValueError):
                attempt = read(self.jobs[num].directory)
                if attempt.state is JobState.RUNNING:
                    self._running[num] = known = _as_running(attempt)
        return known


def _as_running(attempt: Attempt) -> _Running:
    return _Running(time.monotonic() - (attempt.seconds or 0.0), attempt.attempt, guessed=False)


def _coarse(seconds: float) -> str:
    """Return a time that is only known roughly, in no more digits than it deserves."""
    if seconds < 10:
        return f"{max(1, round(seconds))}s"
    if seconds < 90:
        return f"{round(seconds / 5) * 5}s"
    if seconds < 5400:
        return f"{round(seconds / 60)}m"
    return f"{seconds / 3600:.1f}h"
