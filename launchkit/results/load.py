"""`load_sweep`: from directories to two tables, a row a job and a row a dumped row."""

from __future__ import annotations

import logging
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import pandas as pd

from launchkit.results.blocks import Batch, join
from launchkit.results.bulk import read_batch
from launchkit.results.discover import find_runs
from launchkit.results.record import read_record
from launchkit.results.tables import progress_table, runs_table

_log = logging.getLogger(__name__)

BATCHES_A_THREAD = 1  # each has joined files of its own; more would only split them
MOST_THREADS = 4  # more would wait for the interpreter's lock


class Problem(NamedTuple):
    """Something of a run that could not be read."""

    directory: str
    reason: str


@dataclass(frozen=True)
class SweepResults:
    """What was loaded.

    Parameters
    ----------
    runs
        A row a job: `directory`, `sweep` (its directory, missing for runs without one), `job`,
        `state`, `attempt`, `started`, `ended` (UTC), `seconds`, `rows`, `error`, then the
        settings as `a.b`. A setting with one of these names, or `row`, is
        `variant.<name>`.
    progress
        A row a dumped row: `sweep` (only if the runs are of more than one), `job`, `row` (from 0
        in each run), the swept settings, then the metrics: float64, or text. The rows stand in
        the order of `runs`, which has their directories. A metric with one of the names
        before it is `metric.<name>`.
    swept
        Columns of the settings that differ between the loaded runs: for jobs of a sweep those
        that were overridden, for other runs all but names and identifiers. `~key` tells
        whether the job deletes the key.
    problems
        What could not be read; also logged as warnings.
    """

    runs: pd.DataFrame
    progress: pd.DataFrame
    swept: list[str]
    problems: list[Problem]

    @property
    def metrics(self) -> list[str]:
        """The columns of `progress` that the runs logged."""
        others = {"sweep", "job", "row", *self.swept}
        return [name for name in self.progress.columns if name not in others]


def load_sweep(*paths: str | os.PathLike[str]) -> SweepResults:
    """Load sweeps and runs, of launchkit, rlkit or rllab, into pandas.

    A broken run is kept as far as it can be read, and is listed in `problems`.

    Parameters
    ----------
    *paths
        Directories, or globs with `~`, `*`, `?`, `[...]`, `**`: of a sweep, of one run, or of
        anything above. Symlinked directories below them are not followed.

    Raises
    ------
    FileNotFoundError
        If a path does not exist, or a glob matches no directory.
    NotADirectoryError
        If a path is a file.
    ValueError
        If there is no run below a path, or no path was given.

    Examples
    --------
    >>> results = load_sweep("multirun/2026-11-22/*")  # doctest: +SKIP
    >>> results.progress.groupby(["algorithm", "row"])["AverageReturn"].mean()  # doctest: +SKIP
    """
    runs, faults = find_runs(paths)
    threads = _threads()
    with ThreadPoolExecutor(threads) as pool:
        batches = _batches([run.directory for run in runs], threads)
        reading = [pool.submit(read_batch, batch) for batch in batches]
        records = [read_record(run) for run in runs]
        read = [future.result() for future in reading]
        counts = _counts(read, len(runs))
        table = runs_table(runs, records, counts)
        blocks = [block for batch in read for block in batch.blocks]
        progress = progress_table(table, join(blocks, counts, pool.map), pool.map)
    by_run = [(at, fault) for at, record in enumerate(records) for fault in record.problems]
    by_run += [problem for batch in read for problem in batch.problems]
    faults += [(runs[at].directory, fault) for at, fault in sorted(by_run)]
    for directory, reason in faults:
        _log.warning("%s: %s", directory, reason)
    return SweepResults(table.frame, progress, table.swept, [Problem(*fault) for fault in faults])


def _batches(directories: list[str], threads: int) -> list[list[tuple[int, str]]]:
    """Share the runs out; a batch holds enough of them for small files to be joined."""
    places = list(enumerate(directories))
    size = min(1024, max(16, -(-len(places) // (threads * BATCHES_A_THREAD))))
    return [places[at : at + size] for at in range(0, len(places), size)]


def _counts(read: list[Batch], runs: int) -> list[int]:
    """Return how many rows each run has."""
    counts = [0] * runs
    for batch in read:
        for block in batch.blocks:
            for run, count in zip(block.runs, block.counts, strict=True):
                counts[run] = count
    return counts


def _threads() -> int:
    if hasattr(os, "sched_getaffinity"):
        return min(MOST_THREADS, len(os.sched_getaffinity(0)))
    return min(MOST_THREADS, os.cpu_count() or 1)
