"""What a person sees while a sweep runs, and the table at its end."""

from __future__ import annotations

import csv
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TextIO

from launchkit.job import Attempt, Job, JobState
from launchkit.logging.table import format_table
from launchkit.metrics import default_metrics
from launchkit.modes.base import Plan

LIST_AT_MOST = 50
REFRESH_S = 0.2
TAIL_BYTES = 65536


class Progress:
    """Reports on a sweep: one line that changes on a terminal, a line a job elsewhere.

    Parameters
    ----------
    stream
        Where to; None for standard error.
    verbose
        Whether each job is listed before the sweep starts.
    """

    def __init__(self, stream: TextIO | None = None, *, verbose: bool = False) -> None:
        self._verbose = verbose
        self._stream = stream if stream is not None else sys.stderr
        self._live = self._stream.isatty()
        self._line = ""
        self._next = 0.0
        self._begun = time.monotonic()
        self._jobs: list[Job] = []
        self._attempts: dict[int, Attempt] = {}
        self._directory = Path()

    def start(self, plan: Plan, *, turns: bool) -> None:
        """Say what is going to run; `turns` where the jobs themselves use the terminal."""
        self._live = self._live and not turns
        self._jobs.extend(plan.jobs)
        self._directory = plan.sweep.directory
        count = len(plan.jobs)
        self.say(f"launchkit: {count} job{'s' * (count != 1)}, mode {plan.sweep.mode}")
        for line in plan.lines:
            self.say(f"  {line}")
        if self._verbose:
            for job in plan.jobs:
                self.say(f"  job {job.num}: {job.describe()}")

    def say(self, text: str) -> None:
        """Print a line above the one that changes."""
        self._clear()
        print(text, file=self._stream, flush=True)

    def ended(self, job: Job, attempt: Attempt) -> None:
        """Take note of a job that has ended."""
        self._attempts[job.num] = attempt
        if self._live and not attempt.state.bad:
            return
        done = f"[{len(self._attempts)}/{len(self._jobs)}]"
        self.say(f"{done} job {job.num} {attempt.state} in {_time(attempt)}  {job.describe()}")

    def show(self, running: Sequence[int]) -> None:
        """Refresh the line that changes."""
        if not self._live or time.monotonic() < self._next:
            return
        self._next = time.monotonic() + REFRESH_S
        self._clear()
        failed = sum(attempt.state.bad for attempt in self._attempts.values())
        names = ", ".join(map(str, running[:8])) + (", …" if len(running) > 8 else "")
        self._line = (
            f"{len(self._attempts)}/{len(self._jobs)} ended"
            + (f", {failed} failed" if failed else "")
            + (f"; running {names}" if running else "")
            + f"; {_duration(time.monotonic() - self._begun)}"
        )
        self._stream.write(self._line)
        self._stream.flush()

    def finish(self) -> None:
        """Print the table, the failures, and where the sweep is."""
        self._clear()
        print(summary(self._jobs, self._attempts), file=self._stream)
        for line in warnings(self._attempts) + failures(self._jobs, self._attempts):
            print(line, file=self._stream)
        states = counts(self._jobs, self._attempts)
        took = _duration(time.monotonic() - self._begun)
        print(f"{states} in {took}: {self._directory}", file=self._stream, flush=True)

    def _clear(self) -> None:
        if self._line:
            self._stream.write("\r\x1b[2K")
            self._line = ""


def summary(jobs: Sequence[Job], attempts: dict[int, Attempt]) -> str:
    """Return the table of the jobs: state, time, overrides, the last metrics."""
    shown = jobs if len(jobs) <= LIST_AT_MOST else jobs[:LIST_AT_MOST]
    keys = _swept_keys(jobs)
    metrics = {job.num: last_row(job.directory / "progress.csv") for job in shown}
    names = _metric_names(metrics.values())
    rows = []
    for job in shown:
        attempt = attempts.get(job.num, Attempt())
        values = dict(_split(override) for override in job.overrides)
        rows.append(
            [str(job.num)]
            + [values.get(key, "-") for key in keys]
            + [str(attempt.state), _time(attempt)]
            + [_number(metrics[job.num].get(name, "-")) for name in names]
        )
    table = format_table(rows, ["job", *keys, "state", "time", *names])
    rest = len(jobs) - len(shown)
    return table + (f"\n… and {rest} more: launchkit table" if rest else "")


def warnings(attempts: dict[int, Attempt]) -> list[str]:
    """Return a line for each job that completed, but not without a warning."""
    return [f"warning: {known.warning}" for _, known in sorted(attempts.items()) if known.warning]


def failures(jobs: Sequence[Job], attempts: dict[int, Attempt]) -> list[str]:
    """Return two lines for each job that ended badly: what happened, and where its log is."""
    lines = []
    for job in jobs:
        attempt = attempts.get(job.num, Attempt())
        if attempt.state.bad and attempt.state is not JobState.CANCELLED:
            lines.append(f"job {job.num} {attempt.state}: {attempt.reason}  [{job.describe()}]")
            lines.append(f"  log: {job.stderr}")
    return lines


def last_row(path: Path) -> dict[str, str]:
    """Return the last whole row of a progress.csv, whatever its length."""
    try:
        with path.open("rb") as stream:
            header = stream.readline()
            stream.seek(max(len(header), path.stat().st_size - TAIL_BYTES))
            lines = stream.read().decode(errors="replace").splitlines(keepends=True)
    except OSError:
        return {}
    whole = [line for line in lines if line.endswith("\n")]
    if not whole:
        return {}
    names, cells = list(csv.reader([header.decode(errors="replace"), whole[-1]]))
    return dict(zip(names, cells, strict=False))


def _metric_names(rows: Iterable[dict[str, str]]) -> list[str]:
    return default_metrics(dict.fromkeys(name for row in rows for name in row))


def _swept_keys(jobs: Sequence[Job]) -> list[str]:
    """Return the override keys that jobs differ in, or all of them for a single job."""
    values: dict[str, set[str | None]] = {}
    overrides = [dict(_split(override) for override in job.overrides) for job in jobs]
    for key in dict.fromkeys(key for known in overrides for key in known):
        values[key] = {known.get(key) for known in overrides}
    return [key for key, found in values.items() if len(found) > 1 or len(jobs) == 1]


def _split(override: str) -> tuple[str, str]:
    key, _, value = override.partition("=")
    return key.lstrip("+"), value


def counts(jobs: Sequence[Job], attempts: dict[int, Attempt]) -> str:
    """Return how many jobs are in which state, in words."""
    states = [attempts.get(job.num, Attempt()).state for job in jobs]
    return ", ".join(f"{states.count(state)} {state}" for state in JobState if state in states)


def _time(attempt: Attempt) -> str:
    return "-" if attempt.seconds is None else _duration(attempt.seconds)


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{rest:02}s"


def _number(cell: str) -> str:
    """Return a number in a table's few digits, and any other cell as it is."""
    try:
        return f"{float(cell):.4g}"
    except ValueError:
        return cell
