"""Which rows of a run that goes on its CSV files have already.

A run that restarts at a snapshot, or from scratch, dumps rows again that it dumped before
it was stopped. Where file and row share a column that counts, a row is a repeat if it is
not above the largest value in the file. Rows without one are counted: the first repeats the
file's row at which the snapshot was saved, and so on to the end of the file.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

from launchkit.logging.counters import Counter
from launchkit.logging.restoring import Loaded
from launchkit.logging.warn import inform, warn


class Restart(NamedTuple):
    """Where a run takes up again.

    Attributes
    ----------
    iteration
        That of the snapshot.
    rows
        The rows that each file had then, by its absolute path; None if nobody knows.
    pending
        Whether the iteration's own row was yet to be dumped then.
    """

    iteration: int
    rows: Mapping[str, int] | None
    pending: bool


class Repeats:
    """What one file has already, as against the rows that the run dumps.

    Parameters
    ----------
    path
        The file.
    rows
        How many rows it has.
    counters
        Those of its columns that count, the best first.
    """

    def __init__(self, path: str, rows: int, counters: list[Counter]) -> None:
        self.over = not rows
        self._path = path
        self._rows = rows
        self._counters = counters
        # The file's row that the next dump repeats, and that which the first one did.
        self._position = self._first = 0
        self._dumped = 0
        self._is_placed = self._has_told = False

    @property
    def has_begun(self) -> bool:
        """Whether a row has been dumped since the run took up again."""
        return self._dumped > 0

    def place(self, row: int | None) -> None:
        """Take up at the file's row of this index; behind its last one where it is None."""
        self._first = self._position = self._rows if row is None else min(row, self._rows)
        self._dumped, self._is_placed = 0, True
        for counter in self._counters:
            counter.begin_anew()

    def stands_at(self, rows: int) -> int:
        """Return the rows up to where the run is, in a file that has so many now."""
        return rows if self.over or self._position >= self._rows else self._position

    def has(self, cells: dict[str, str]) -> bool:
        """Tell whether the file has the row that is dumped next."""
        repeated = self._judge(cells)
        self._dumped += 1
        if repeated and not self._has_told:
            self._has_told = True
            self._tell()
        return repeated

    def _judge(self, cells: dict[str, str]) -> bool:
        for counter in tuple(self._counters):
            value = counter.read(cells)
            if value is None:
                continue
            if counter.goes_up(value):
                return self._judge_by(counter, value)
            # It counts something else than the rows of a run: a constant, an inner loop.
            self._counters.remove(counter)
            self._position = min(self._rows, self._first + self._dumped)
        if self._position < self._rows:
            self._position += not any(counter.is_in(self._position) for counter in self._counters)
            return True
        self.over = not self._counters
        return False

    def _judge_by(self, counter: Counter, value: float) -> bool:
        if value > counter.largest:
            self.over = True
            return False
        self._position = counter.after(value)
        return True

    def _tell(self) -> None:
        if self._counters or self._is_placed:
            inform("%s: rows that it has from an earlier attempt are not written again", self._path)
            return
        warn(
            "%s: its first %d rows are taken for those of an earlier attempt, and are not written "
            "again. Call logger.restore(), or record a counter such as epoch, to be sure of it.",
            self._path,
            self._rows,
        )


class Resumption:
    """A run that goes on: what its CSV files have already, and where it takes up again."""

    def __init__(self) -> None:
        self._files: dict[str, Repeats] = {}
        self._restart: Restart | None = None

    def known(self, path: str) -> Repeats | None:
        """Return what is known of a file that was open before in this run, else None."""
        return self._files.get(path)

    def add(self, path: str, repeats: Repeats | None) -> None:
        """Take up a file, or one that the run makes."""
        self._files[path] = repeats or Repeats(path, 0, [])
        if self._restart is not None:
            self._place(path, after=self._restart.pending)

    def restart(self, snapshot: Loaded, directory: str) -> None:
        """Take up again at a snapshot of `directory`, in each of the files."""
        self._restart = _restart(snapshot, directory)
        for path in self._files:
            self._place(path, after=self._restart.pending)

    def saves(self, iteration: int) -> None:
        """Learn from a snapshot that is saved.

        A program that saves a later iteration before it dumps any row is one that saves
        each iteration before its row: that of the snapshot it restarted at is not its next.
        """
        if self._restart is None:
            return
        for path, repeats in self._files.items():
            if not repeats.has_begun:
                self._place(path, after=iteration > self._restart.iteration)

    def _place(self, path: str, *, after: bool) -> None:
        assert self._restart is not None
        rows = self._restart.rows
        # A file that was not open when the snapshot was saved begins anew.
        self._files[path].place(None if rows is None else rows.get(path, 0) + after)


def _restart(snapshot: Loaded, directory: str) -> Restart:
    iteration, trailer = snapshot.restored.iteration, snapshot.trailer
    if trailer is None:
        return Restart(iteration, None, pending=False)
    rows = {
        os.path.normpath(os.path.join(directory, name)): count  # noqa: PTH118 - as text, like the files
        for name, count in trailer.rows.items()
    }
    return Restart(iteration, rows, trailer.pending)
