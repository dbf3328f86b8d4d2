"""``progress.csv``: a header, once, and below it a row for every dump.

The columns of the first row are sorted by name, those that come later stand behind
them. A row costs one write and is in the file when `TabularFile.write_row` returns. A
row with a new column has the file rewritten, atomically, with ``nan`` in the old rows.
"""

from __future__ import annotations

import operator
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from launchkit.files import atomic_writer
from launchkit.logging.cells import MISSING, join, quote
from launchkit.logging.csv_records import Found, copy_rows, inspect, size_of
from launchkit.logging.fd import open_append, write_whole
from launchkit.logging.warn import warn

if TYPE_CHECKING:
    from launchkit.logging.repeats import Repeats


class TabularFile:
    """A CSV file that rows are added to.

    Parameters
    ----------
    path
        The file, in UTF-8. One that exists is continued, its line ends kept: a torn
        last line is dropped, and what an older writer left (a header in mid-file,
        empty cells, short rows) is put right. A new one is made by its first row.
    goes_on
        Whether the rows that an existing file has are to be told from new ones.

    Attributes
    ----------
    repeats
        What the file has already, as long as a row may be one that it has; else None.
    """

    def __init__(self, path: str, *, goes_on: bool = False) -> None:
        self.repeats: Repeats | None = None
        self._path = os.path.realpath(path)
        self._fd: int | None = None
        self._columns: list[str] = []
        self._rows = 0
        self._line_end = "\n"
        # The names of the last row, in its order, and how its cells are picked.
        self._names: tuple[str, ...] = ()
        self._pick: Callable[[dict[str, str]], Iterable[str]] = dict.values
        self._commas = 0
        if size_of(self._path):
            self._continue(goes_on)

    @property
    def rows(self) -> int:
        """How many rows there are, up to where the run is."""
        return self._rows if self.repeats is None else self.repeats.stands_at(self._rows)

    def write_row(self, cells: dict[str, str]) -> None:
        """Add a row of texts by column name; a column it lacks gets ``nan``.

        A row that the file has from an earlier attempt is left out.

        Raises
        ------
        OSError
            If the row cannot be written. The file, which the error names, is as before.
        """
        if self.repeats is not None and self._has(cells):
            return
        names = tuple(cells)
        if names != self._names:
            new = sorted(cells.keys() - set(self._columns))
            if new:
                self._gain(new, cells)
                self._rows += 1
                return
            self._expect(names)
        if self._fd is None:
            self._fd = open_append(self._path)
        write_whole(self._fd, self._line(cells).encode(errors="backslashreplace"), self._path)
        self._rows += 1

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _has(self, cells: dict[str, str]) -> bool:
        assert self.repeats is not None
        repeated = self.repeats.has(cells)
        if self.repeats.over:
            self.repeats = None
        return repeated

    def _line(self, cells: dict[str, str]) -> str:
        values = self._pick(cells)
        line = ",".join(values)
        if line.count(",") != self._commas or '"' in line or "\n" in line or "\r" in line:
            line = join(values)
        return line + self._line_end

    def _expect(self, names: tuple[str, ...]) -> None:
        """Prepare for rows of these names, all of which have a column."""
        columns = self._columns
        if len(columns) > 1 and len(names) == len(columns):
            self._pick = operator.itemgetter(*columns)
        else:
            self._pick = lambda cells: [cells.get(column, MISSING) for column in columns]
        self._commas = len(columns) - 1
        self._names = names

    def _gain(self, new: list[str], cells: dict[str, str]) -> None:
        """Write a row that brings new columns, the first row among them."""
        before = self._columns
        self._columns = [*before, *new]
        self._expect(tuple(cells))
        try:
            if before:
                self._rewrite(self._found(before), self._line(cells))
            else:
                self._begin(self._line(cells))
        except BaseException:
            self._columns, self._names = before, ()
            raise

    def _begin(self, line: str) -> None:
        """Write header and first row at once: readers fail on a header alone."""
        self._fd = self._fd if self._fd is not None else open_append(self._path)
        text = join(self._columns) + self._line_end + line
        write_whole(self._fd, text.encode(errors="backslashreplace"), self._path)

    def _found(self, columns: list[str]) -> Found:
        """Describe the file, all of which this object has read or written."""
        header = [quote(column).encode(errors="backslashreplace") for column in columns]
        return Found(header, self._line_end.encode(), size_of(self._path))

    def _rewrite(self, found: Found, line: str = "") -> None:
        """Copy the file below the present columns, with `line` at its end."""
        try:
            with Path(self._path).open("rb") as old:
                permissions = os.fstat(old.fileno()).st_mode & 0o777
                with atomic_writer(self._path, mode=permissions) as out:
                    header = join(self._columns) + self._line_end
                    out.write(header.encode(errors="backslashreplace"))
                    copy_rows(old, out, found, len(self._columns))
                    out.write(line.encode(errors="backslashreplace"))
        except OSError as error:
            raise OSError(error.errno, error.strerror, self._path) from error
        self.close()

    def _continue(self, goes_on: bool) -> None:
        """Take up an existing file where its last whole row ends."""
        found = self._read(goes_on)
        self._columns = found.columns
        self._line_end = found.line_end.decode()
        self._drop_torn_end(found)
        if not found.sound:
            self._rewrite(found)
            found = self._read(goes_on)
        self._rows = found.rows

    def _read(self, goes_on: bool) -> Found:
        with Path(self._path).open("rb") as old:
            if not goes_on:
                return inspect(old)
            # Imported for the few runs that go on.
            from launchkit.logging.counters import Counters  # noqa: PLC0415
            from launchkit.logging.repeats import Repeats  # noqa: PLC0415

            counters = Counters()
            found = inspect(old, counters)
        self.repeats = Repeats(self._path, found.rows, counters.found())
        return found

    def _drop_torn_end(self, found: Found) -> None:
        torn = size_of(self._path) - found.whole
        if torn:
            warn("%s: its last row was not whole, %d bytes are dropped", self._path, torn)
            os.truncate(self._path, found.whole)
