"""Many progress.csv files at once.

A `pandas.read_csv` costs more to call than to let run over a file of this kind, and a frame
a run costs as much again. So files with the same header line are joined and read in one
call, and the calls run in threads (the parser works without the interpreter's lock). That is
right only for files in which nothing is odd; everything else is left to `progress_csv`.
Files that turn out odd only while they are read are found by halving.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from launchkit.results.blocks import Batch, Block
from launchkit.results.landing import Landing
from launchkit.results.progress_csv import (
    header_names,
    is_number,
    parse_table,
    read_numbers,
)

_NEWLINE = ord("\n")
_COMMA = ord(",")
JOINED_BYTES = 6_000_000  # less costs more calls, more costs more new memory in each


@dataclass(frozen=True)
class _File:
    """Where a file's rows lie in the bytes of its group."""

    run: int
    start: int
    end: int
    lines: int


@dataclass
class _Group:
    """Files with the same header line; `data` is used again after they were read."""

    header: bytes
    names: list[str]
    files: list[_File] = field(default_factory=list)
    data: bytearray = field(default_factory=bytearray)

    @property
    def size(self) -> int:
        return self.files[-1].end if self.files else 0

    def add(self, run: int, rows: memoryview, lines: int) -> None:
        start, end = self.size, self.size + len(rows)
        self._make_room(len(rows))
        self.data[start:end] = rows
        self.files.append(_File(run, start, end, lines))

    def take(self, run: int, directory: str) -> bool:
        """Read a run's rows to where they belong, if its file is like the others.

        Most are. Of another one nothing is kept, and it is read again as the first one was.
        """
        header = bytearray(len(self.header) + 1)
        try:
            fd = os.open(os.path.join(directory, "progress.csv"), os.O_RDONLY)  # noqa: PTH118 - a Path costs more than the call
        except OSError:
            return False
        try:
            length = os.fstat(fd).st_size - len(header)
            if length <= 0:
                return False
            self._make_room(length)
            with memoryview(self.data)[self.size : self.size + length] as rows:
                whole = os.readv(fd, [header, rows]) == len(header) + length
                lines = _count(rows, _NEWLINE)
        except OSError:
            return False
        finally:
            os.close(fd)
        start, end = self.size, self.size + length
        if not whole or header != self.header + b"\n" or not _plain(self.data, start, end):
            return False
        self.files.append(_File(run, start, end, lines))
        return True

    def _make_room(self, size: int) -> None:
        end = self.size + size
        if end > len(self.data):
            # enough for a whole group of large files, and little for small ones
            room = max(2 * end, min(16 * size, JOINED_BYTES + size))
            self.data.extend(bytes(room - len(self.data)))


def read_batch(places: Iterable[tuple[int, str]]) -> Batch:
    """Read the rows of some runs, given as (place in the load, directory)."""
    batch = Batch()
    groups: dict[bytes, _Group] = {}
    landing = Landing()
    last: _Group | None = None
    for run, directory in places:
        if last is not None and last.take(run, directory):
            _read_if_full(last, batch)
            continue
        try:
            delimiter = landing.read(directory)
        except OSError as error:
            batch.problems.append((run, f"progress.csv cannot be read: {error.strerror}"))
            continue
        if not landing.size:
            continue
        split = _regular(landing) if delimiter == "," else None
        if split is None:
            batch.add(run, parse_table(landing.content(), delimiter))
            continue
        header, rows, lines = split
        group = groups.get(header) or groups.setdefault(header, _Group(header, _names(header)))
        if not group.names:
            batch.add(run, parse_table(landing.content()))
        elif lines:
            last = group
            group.add(run, rows, lines)
            _read_if_full(group, batch)
    for group in groups.values():
        if group.files:
            _read_joined(group, group.files, batch)
    return batch


def _regular(landing: Landing) -> tuple[bytes, memoryview, int] | None:
    """Split a file into header, rows and number of lines; None if it must be read alone."""
    data, size = landing.data, landing.size
    start = data.find(b"\n", 0, size) + 1
    header = bytes(data[:start]).rstrip(b"\r\n")
    if not start or b"\r" in header or b"\0" in header or not _plain(data, start, size):
        return None
    rows = memoryview(data)[start:size]
    return header, rows, _count(rows, _NEWLINE)


def _plain(data: bytearray, start: int, end: int) -> bool:
    """Tell whether rows are lines of cells without quotes, the last one ended."""
    if data[end - 1] != _NEWLINE or data.find(b"\0", start, end) >= 0:
        return False
    if data.find(b'"', start, end) >= 0:
        return False
    returns = data.find(b"\r", start, end) >= 0 and data.count(b"\r", start, end)
    # a carriage return alone ends a line as well
    return not returns or returns == data.count(b"\r\n", start, end)


def _read_if_full(group: _Group, batch: Batch) -> None:
    if group.size >= JOINED_BYTES:
        _read_joined(group, group.files, batch)
        group.files = []


def _count(data: memoryview, byte: int) -> int:
    """Count a byte: three times faster than bytes.count, and without the interpreter's lock."""
    return int(np.count_nonzero(np.frombuffer(data, np.uint8) == byte))


def _names(header: bytes) -> list[str]:
    """Return the names in a header line; none if it is odd, or could be taken for a row."""
    try:
        line = next(csv.reader([header.decode("utf-8-sig")], strict=True), [])
    except (UnicodeDecodeError, csv.Error):
        return []
    if all(map(is_number, line)) or "" in line or header_names(line) != line:
        return []
    return line


def _read_joined(group: _Group, files: list[_File], batch: Batch) -> None:
    """Read adjoining files of a group in one go; if that cannot be right, in halves."""
    frame = _parse_joined(group, files)
    if frame is not None:
        columns = {name: frame[place].to_numpy() for place, name in enumerate(group.names)}
        runs, counts = [file.run for file in files], [file.lines for file in files]
        batch.blocks.append(Block(runs, counts, columns))
    elif len(files) == 1:
        rows = bytes(group.data[files[0].start : files[0].end])
        batch.add(files[0].run, parse_table(group.header + b"\n" + rows))
    else:
        middle = len(files) // 2
        _read_joined(group, files[:middle], batch)
        _read_joined(group, files[middle:], batch)


def _parse_joined(group: _Group, files: list[_File]) -> pd.DataFrame | None:
    """Parse the rows of all files, or return None if a row is not as the header says."""
    width = len(group.names)
    lines = sum(file.lines for file in files)
    with memoryview(group.data)[files[0].start : files[-1].end] as data:
        try:
            frame = read_numbers(_Pieces(data), width)
        except ValueError:
            return None  # a text, a second header, a row that is too long, not UTF-8
        if len(frame) != lines or not isinstance(frame.index, pd.RangeIndex):
            return None  # blank lines; or the first row is too long
        # A short row ends in NaN. As no row is too long, the commas prove that none is short.
        if frame[width - 1].isna().any() and _count(data, _COMMA) != lines * (width - 1):
            return None
    return frame


class _Pieces:
    """Bytes as a stream that pandas hands to its parser as they are.

    It does so with any object that does not say that it is binary; what an `io.BytesIO` gives
    is decoded, and encoded again for the parser.
    """

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._at = 0

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes, none at the end."""
        end = self._at + size if size >= 0 else len(self._data)
        piece = bytes(self._data[self._at : end])
        self._at += len(piece)
        return piece

    def __iter__(self) -> Iterator[bytes]:
        """Yield what is left; pandas asks whether this is here, and does not call it."""
        yield self.read()
