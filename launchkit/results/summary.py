"""The table of a sweep: a row a job, with the last and the best of its metrics.

The best value is the largest, except for a metric whose name contains loss, error, cost,
regret or perplexity: there it is the smallest.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd

from launchkit.logging.table import format_table
from launchkit.metrics import default_metrics
from launchkit.results.load import SweepResults

Best = Literal["min", "max"]

SHORTEST = 8  # characters that a shortened cell keeps
_SMALLER_IS_BETTER = re.compile("loss|error|cost|regret|perplexity", re.IGNORECASE)


def summary_table(
    results: SweepResults,
    metrics: Iterable[str] | None = None,
    best: Mapping[str, Best] | None = None,
) -> pd.DataFrame:
    """Return a row a job: sweep if several, job, state, time, swept values, metrics.

    Where a job took more than one attempt, there is a column that says how many each took.

    Parameters
    ----------
    results
        What `load_sweep` returned.
    metrics
        Metrics to show, each as `<metric>.last` and `<metric>.best`. By default
        `AverageReturn`; else up to two whose names contain return, reward, score, success,
        accuracy or loss; else the first number that is not a time, epoch or step.
    best
        Whether the `min` or the `max` of a metric is its best, where its name misleads.

    Raises
    ------
    ValueError
        If a metric is not there, is text, or `best` has another value than `min` and `max`.
    """
    runs, progress = results.runs, results.progress
    chosen = _telling_metrics(results) if metrics is None else list(metrics)
    for name in chosen:
        _check(name, results)
    leading = ["sweep"] if runs["sweep"].nunique(dropna=False) > 1 else []
    tries = ["attempt"] if (runs["attempt"] > 1).any() else []
    shown = [*leading, "job", "state", *tries, "seconds", *results.swept]
    table: pd.DataFrame = runs[shown].rename(columns={"seconds": "time", "attempt": "attempts"})
    of_run = np.repeat(np.arange(len(runs)), runs["rows"].to_numpy())
    for name in chosen:
        grouped = progress[name].groupby(of_run)
        table[f"{name}.last"] = grouped.last().reindex(range(len(runs)))
        extreme = grouped.min() if _direction(name, best or {}) == "min" else grouped.max()
        table[f"{name}.best"] = extreme.reindex(range(len(runs)))
    return table


def render_table(table: pd.DataFrame, width: int | None = None) -> str:
    """Lay out a table for a terminal.

    Numbers have four significant digits, and what is missing is `-`. Where the table is too
    wide, its longest texts are shortened; then columns are left out, from the middle, and
    named below it.

    Parameters
    ----------
    table
        As from `summary_table`.
    width
        Characters a line; by default those of the terminal.
    """
    room = shutil.get_terminal_size().columns if width is None else width
    columns = {str(name): [_cell(value) for value in table[name]] for name in table.columns}
    columns = {name: [name, *cells] for name, cells in columns.items()}
    _shorten(columns, room)
    left_out = _leave_out(columns, room)
    shown = list(columns.values())
    text = format_table(
        list(zip(*(column[1:] for column in shown), strict=True)),
        [column[0] for column in shown],
    )
    return text + (f"\nnot shown: {', '.join(left_out)}" if left_out else "")


def _telling_metrics(results: SweepResults) -> list[str]:
    numeric = (name for name in results.metrics if results.progress[name].dtype.kind in "if")
    return default_metrics(numeric)


def _check(name: str, results: SweepResults) -> None:
    if name not in results.metrics:
        known = ", ".join(results.metrics) or "none: no row was dumped"
        raise ValueError(f"no metric {name!r} in these runs; there are: {known}")
    if results.progress[name].dtype.kind not in "if":
        raise ValueError(f"metric {name!r} is text: it has no best value")


def _direction(name: str, best: Mapping[str, Best]) -> Best:
    direction = best.get(name, "min" if _SMALLER_IS_BETTER.search(name) else "max")
    if direction not in ("min", "max"):
        raise ValueError(f"best of {name!r} is {direction!r}; it may be 'min' or 'max'")
    return direction


def _cell(value: Any) -> str:
    if pd.api.types.is_scalar(value) and pd.isna(value):
        return "-"
    if isinstance(value, float | np.floating):
        return f"{value:.4g}"
    return " ".join(str(value).split())


def _width(columns: Mapping[str, list[str]]) -> int:
    return sum(max(map(len, cells)) for cells in columns.values()) + 2 * (len(columns) - 1)


def _shorten(columns: dict[str, list[str]], room: int) -> None:
    """Cut the longest cells, a character at a time, until the table fits or none is long.

    The end of a text is kept: that is where paths and dotted names differ.
    """
    while _width(columns) > room:
        longest = max(columns, key=lambda name: max(map(len, columns[name])))
        limit = max(map(len, columns[longest])) - 1
        if limit < SHORTEST:
            return
        columns[longest] = [
            cell if len(cell) <= limit else "…" + cell[1:].lstrip("…")[1 - limit :]
            for cell in columns[longest]
        ]


def _leave_out(columns: dict[str, list[str]], room: int) -> list[str]:
    """Take out columns, the last of the swept ones first, until the table fits."""
    kept = {"job", "state"}
    left_out: list[str] = []
    while _width(columns) > room:
        metrics = [name for name in columns if name.endswith((".last", ".best"))]
        swept = [name for name in columns if name not in kept and name not in metrics]
        candidates = swept or metrics
        if not candidates:
            break
        left_out.append(candidates[-1])
        del columns[candidates[-1]]
    return left_out[::-1]
