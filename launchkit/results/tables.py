"""Building the two tables out of what was read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from launchkit.results.discover import Run
from launchkit.results.progress_csv import Column
from launchkit.results.record import Record
from launchkit.results.settings import restore_non_finite
from launchkit.results.swept import Settings, add_overrides, differing, is_identifier

RUN_COLUMNS = (
    "directory", "sweep", "job", "state", "attempt", "started", "ended", "seconds", "rows", "error",
)  # fmt: skip
INDEX_COLUMNS = ("sweep", "job", "row")
LATEST_S = 2.0**33
"""Unix seconds up to which nanoseconds are whole numbers of 64 bits: the year 2242."""


@dataclass(frozen=True)
class RunsTable:
    """The table of the runs, and which of its columns were swept."""

    frame: pd.DataFrame
    swept: list[str]


def runs_table(runs: Sequence[Run], records: Sequence[Record], counts: Sequence[int]) -> RunsTable:
    """Build the table of the runs: what is known of each, then its settings."""
    settings = [dict(record.settings) for record in records]
    swept = _swept(runs, settings)
    keys = list(dict.fromkeys(key for known in settings for key in known))
    keys = [key for key in keys if not key.startswith("~") or key in swept]
    names = _distinct(keys, (*RUN_COLUMNS, *INDEX_COLUMNS), "variant.")
    columns: dict[str, Any] = {
        "directory": _column([run.directory for run in runs]),
        "sweep": _column([run.sweep for run in runs]),
        "job": np.array([run.job for run in runs], dtype=np.int64),
        "state": _column([record.state for record in records]),
        "attempt": pd.array([record.attempt for record in records], dtype="Int64"),
        "started": _times([record.started for record in records]),
        "ended": _times([record.ended for record in records]),
        "seconds": _floats([record.seconds for record in records]),
        "rows": np.array(counts, dtype=np.int64),
        "error": _column([record.error for record in records]),
    }
    for key in keys:
        values = [known.get(key) for known in settings]
        columns[names[key]] = _column(restore_non_finite(values))
    return RunsTable(pd.DataFrame(columns), [names[key] for key in swept])


def progress_table(
    runs: RunsTable, metrics: dict[str, Column], map_columns: Callable[..., Iterable[Any]] = map
) -> pd.DataFrame:
    """Build the table of the rows: where each is from, the swept values, the metrics."""
    frame = runs.frame
    counts = frame["rows"].to_numpy()
    starts = np.cumsum(counts) - counts
    labels = ["job", *runs.swept]
    if frame["sweep"].nunique(dropna=False) > 1:
        labels.insert(0, "sweep")
    repeated = map_columns(lambda name: frame[name].array.repeat(counts), labels)
    columns: dict[str, Any] = dict(zip(labels, repeated, strict=True))
    row = np.arange(counts.sum()) - np.repeat(starts, counts)
    place = labels.index("job") + 1
    pairs = list(columns.items())
    columns = dict([*pairs[:place], ("row", row), *pairs[place:]])
    names = _distinct(list(metrics), (*INDEX_COLUMNS, *columns), "metric.")
    columns |= {
        names[name]: values if values.dtype != object else _inferred(pd.Series(values))
        for name, values in metrics.items()
    }
    table: pd.DataFrame = pd.DataFrame(columns, copy=False)
    return table


def _swept(runs: Sequence[Run], settings: list[Settings]) -> list[str]:
    """Return the swept keys, after adding overridden ones to the settings."""
    overridden = add_overrides(settings, [run.overrides for run in runs])
    plain = [known for run, known in zip(runs, settings, strict=True) if run.sweep is None]
    keys = dict.fromkeys(key for known in plain for key in known if not is_identifier(key))
    return list(dict.fromkeys(differing(settings, overridden) + differing(plain, keys)))


def _distinct(keys: Iterable[str], taken: Iterable[str], prefix: str) -> dict[str, str]:
    """Map each key to the name of its column: itself, or prefixed where that is taken."""
    keys = list(keys)
    used = {*taken}
    free = {*keys} - used
    names: dict[str, str] = {}
    for key in keys:
        name = key
        while name in used or (name != key and name in free):
            name = prefix + name
        names[key] = name
        used.add(name)
    return names


def _column(values: list[Any]) -> pd.Series[Any]:
    """Return values as the most telling type they all are of."""
    return _inferred(pd.Series(values, dtype=object))


def _inferred(column: pd.Series[Any]) -> pd.Series[Any]:
    inferred = column.infer_objects()
    if inferred.dtype == object and inferred.isna().any():
        # None among numbers keeps infer_objects from seeing them
        present = inferred.dropna().infer_objects()
        if len(present) and present.dtype.kind in "if":
            return inferred.astype("float64")
        if len(present) and present.dtype.kind == "b":
            return inferred.astype("boolean")
    return inferred


def _floats(values: list[float | None]) -> Column:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _times(seconds: list[float | None]) -> pd.Series[Any]:
    """Return unix seconds as UTC times; what is no time of our age is missing."""
    # Not by pandas' `unit="s"`: there, a floating point flag that something else has left
    # behind is an error.
    values = _floats(seconds)
    times = np.full(len(values), "NaT", dtype="datetime64[ns]")
    known = np.abs(values) < LATEST_S
    whole = np.floor(values[known])
    nanoseconds = whole.astype("int64") * 10**9
    nanoseconds += np.rint((values[known] - whole) * 1e9).astype("int64")
    times[known] = nanoseconds.view("datetime64[ns]")
    stamped: pd.Series[Any] = pd.Series(pd.DatetimeIndex(times, tz="UTC"))
    return stamped
