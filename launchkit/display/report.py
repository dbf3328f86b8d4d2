"""Jobs in words and tables, as commands and the progress of a sweep show them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from launchkit.display.last_rows import last_row, number
from launchkit.display.screen import printable
from launchkit.job import Attempt, Job, JobState
from launchkit.logging.table import format_table
from launchkit.masking import mask_overrides, mask_text
from launchkit.metrics import default_metrics

LIST_AT_MOST = 50


def summary(jobs: Sequence[Job], attempts: Mapping[int, Attempt]) -> str:
    """Return the table of the jobs: state, time, overrides, the last metrics."""
    shown = jobs[:LIST_AT_MOST]
    keys = swept_keys(jobs)
    rows = {job.num: last_row(job.directory / "progress.csv") for job in shown}
    metrics = default_metrics(dict.fromkeys(name for row in rows.values() for name in row))
    known = {job.num: attempts.get(job.num, Attempt()) for job in shown}
    # Of all of them: the table of the first jobs says by itself that others were retried.
    retried = any(attempt.attempt > 1 for attempt in attempts.values())
    cells = []
    for job in shown:
        values = _values(job)
        attempt = known[job.num]
        cells.append(
            [str(job.num)]
            + [values.get(key, "-") for key in keys]
            + [str(attempt.state)]
            + [str(attempt.attempt)] * retried
            + [time_of(attempt)]
            + [number(rows[job.num].get(name, "-")) for name in metrics]
        )
    heads = ["job", *keys, "state", *["attempts"] * retried, "time", *metrics]
    rest = len(jobs) - len(shown)
    more = f"\n… and {rest} more: launchkit table" if rest else ""
    return format_table(cells, heads) + more


def warnings(attempts: Mapping[int, Attempt]) -> list[str]:
    """Return a line for each job that completed, but not without a warning."""
    return [
        f"warning: {printable(mask_text(known.warning))}"
        for _, known in sorted(attempts.items())
        if known.warning
    ]


def failures(jobs: Iterable[Job], attempts: Mapping[int, Attempt]) -> list[str]:
    """Return two lines for each job that ended badly: what happened, and where its log is."""
    lines = []
    for job in jobs:
        attempt = attempts.get(job.num, Attempt())
        if attempt.state.bad and attempt.state is not JobState.CANCELLED:
            made = f" after {attempt.attempt} attempts" if attempt.attempt > 1 else ""
            lines.append(
                f"job {job.num} {attempt.state}{made}: {reason(attempt)}  [{describe(job)}]"
            )
            lines.append(f"  log: {job.stderr}")
    return lines


def counts(jobs: Iterable[Job], attempts: Mapping[int, Attempt]) -> str:
    """Return how many jobs are in which state, in words."""
    tally = dict.fromkeys(JobState, 0)
    for job in jobs:
        tally[attempts.get(job.num, Attempt()).state] += 1
    return in_words(tally)


def in_words(tally: Mapping[JobState, int]) -> str:
    """Return numbers of jobs by their state, in words."""
    return ", ".join(f"{tally[state]} {state}" for state in JobState if tally.get(state))


def describe(job: Job) -> str:
    """Return a job's overrides as one line that may be shown."""
    return printable(" ".join(mask_overrides(job.overrides))) or "-"


def describe_swept(job: Job, keys: Iterable[str]) -> str:
    """Return those of a job's overrides that tell it from the others, as one line."""
    values = _values(job)
    return " ".join(f"{key}={values[key]}" for key in keys if key in values)


def reason(attempt: Attempt) -> str:
    """Return why an attempt ended badly, on a line that may be shown."""
    return printable(mask_text(attempt.reason))


def swept_keys(jobs: Sequence[Job]) -> list[str]:
    """Return the override keys that jobs differ in, or all of them for a single job."""
    found: dict[str, set[str]] = {}
    holders: dict[str, int] = {}
    for job in jobs:
        for key, value in map(_split, job.overrides):
            found.setdefault(key, set()).add(value)
            holders[key] = holders.get(key, 0) + 1
    return [
        key
        for key, values in found.items()
        if len(jobs) == 1 or len(values) > 1 or holders[key] < len(jobs)
    ]


def time_of(attempt: Attempt) -> str:
    """Return how long an attempt took, or takes so far."""
    return "-" if attempt.seconds is None else duration(attempt.seconds)


def duration(seconds: float) -> str:
    """Return seconds in the unit in which they are read at a glance.

    Examples
    --------
    >>> [duration(5.04), duration(272), duration(12000)]
    ['5.0s', '4m32s', '3h20m']
    """
    if seconds < 99.95:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{rest:02}s"


def _values(job: Job) -> dict[str, str]:
    return dict(map(_split, mask_overrides(job.overrides)))


def _split(override: str) -> tuple[str, str]:
    key, _, value = override.partition("=")
    return key.lstrip("+"), value
