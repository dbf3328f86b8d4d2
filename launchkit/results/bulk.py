"""Many progress.csv files at once.

A `pandas.read_csv` costs more to call than to let run over a file of this kind, and a frame
a run costs as much again. So files with the same header line are joined and read in one
call, and the calls run in threads (the parser works without the interpreter's lock). That is
right only for files in which nothing is odd; everything else is left to `progress_csv`.
Files that turn out odd only while they are read are found by halving.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from launchkit.results.progress_csv import (
    Column,
    Table,
    header_names,
    is_number,
    parse_table,
    read_numbers,
)

JOINED_BYTES = 2_000_000  # about what stays in a core's cache while it is parsed


@dataclass
class Block:
    """Rows of some runs that have the same columns, run after run.

    Parameters
    ----------
    runs, counts
        The runs' places in the load, ascending, and how many rows each has.
    columns
        An array a column.
    """

    runs: list[int]
    counts: list[int]
    columns: dict[str, Column]


@dataclass
class Batch:
    """What was read of some runs: their rows, and (run, what is wrong with it)."""

    blocks: list[Block] = field(default_factory=list)
    problems: list[tuple[int, str]] = field(default_factory=list)

    def add(self, run: int, table: Table) -> None:
        """Add a run that was read by itself."""
        self.problems += [(run, f"progress.csv {problem}") for problem in table.problems]
        if table.rows:
            self.blocks.append(Block([run], [table.rows], table.columns))


@dataclass(frozen=True)
class _File:
    """A file in which nothing odd was seen so far."""

    run: int
    data: bytes
    start: int  # where the rows begin in `data`
    lines: int


def read_batch(places: Iterable[tuple[int, str]]) -> Batch:
    """Read the rows of some runs, given as (place in the load, directory)."""
    batch = Batch()
    groups: dict[bytes, list[_File]] = {}
    sizes: dict[bytes, int] = {}
    for run, directory in places:
        try:
            data, delimiter = _bytes_of(directory)
        except OSError as error:
            batch.problems.append((run, f"progress.csv cannot be read: {error.strerror}"))
            continue
        file = _regular(run, data) if delimiter == "," else None
        if file is None:
            batch.add(run, parse_table(data, delimiter))
        elif file.lines:
            header = data[: file.start].rstrip(b"\r\n")
            groups.setdefault(header, []).append(file)
            sizes[header] = sizes.get(header, 0) + len(data)
            if sizes[header] >= JOINED_BYTES:
                _read_joined(_names(header), groups.pop(header), batch)
                sizes[header] = 0
    for header, files in groups.items():
        _read_joined(_names(header), files, batch)
    return batch


def join(
    blocks: list[Block], counts: Sequence[int], map_columns: Callable[..., Iterable[Column]] = map
) -> dict[str, Column]:
    """Put the columns of all blocks together, in the order of the runs.

    Parameters
    ----------
    counts
        Rows of every run of the load.
    map_columns
        Builds the columns; the `map` of a pool of threads builds them side by side.
    """
    starts = np.concatenate(([0], np.cumsum(counts, dtype=np.int64))).tolist()
    ordered = sorted(blocks, key=lambda block: block.runs[0])
    moves = [_moves(block, starts) for block in ordered]
    names = list(dict.fromkeys(name for block in ordered for name in block.columns))

    def column(name: str) -> Column:
        parts = [
            (block.columns.pop(name), move)
            for block, move in zip(ordered, moves, strict=True)
            if name in block.columns
        ]
        text = any(part.dtype == object for part, _ in parts)
        filled = np.empty(starts[-1], dtype=object if text else np.float64)
        if text or len(parts) < len(ordered):
            filled.fill(np.nan)
        for part, move in parts:
            for source, target, length in move:
                filled[target : target + length] = part[source : source + length]
        return filled

    return dict(zip(names, map_columns(column, names), strict=True))


def _bytes_of(directory: str) -> tuple[bytes, str]:
    """Return the bytes of a run's table and what separates its cells."""
    try:
        with open(os.path.join(directory, "progress.csv"), "rb", buffering=0) as stream:  # noqa: PTH118, PTH123 - a Path costs more than the call
            data = stream.read()
    except FileNotFoundError:
        return b"", ","
    if not data:
        # rllab's text log holds the table when the CSV was never written, as viskit knows
        log = Path(directory, "log.txt")
        if log.is_file():
            text = log.read_bytes()
            if b"\t" in text.partition(b"\n")[0]:
                return text, "\t"
    return data, ","


def _regular(run: int, data: bytes) -> _File | None:
    """Return the file if it may be read together with others, else None."""
    start = data.find(b"\n") + 1
    if not data:
        return _File(run, data, 0, 0)
    header = data[:start].rstrip(b"\r\n")
    if not start or not data.endswith(b"\n") or b"\0" in data or b"\r" in header:
        return None
    if data.find(b'"', start) >= 0 or not _names(header):
        return None
    if b"\r" in data and data.count(b"\r") != data.count(b"\r\n"):
        return None
    return _File(run, data, start, data.count(b"\n", start))


def _names(header: bytes) -> list[str]:
    """Return the names in a header line; none if it is odd, or could be taken for a row."""
    try:
        line = next(csv.reader([header.decode("utf-8-sig")], strict=True), [])
    except (UnicodeDecodeError, csv.Error):
        return []
    if all(map(is_number, line)) or "" in line or header_names(line) != line:
        return []
    return line


def _read_joined(names: list[str], files: list[_File], batch: Batch) -> None:
    """Read files with the same header in one go; if that cannot be right, in halves."""
    frame = _parse_joined(len(names), files)
    if frame is not None:
        columns = {name: frame[place].to_numpy() for place, name in enumerate(names)}
        runs, counts = [file.run for file in files], [file.lines for file in files]
        batch.blocks.append(Block(runs, counts, columns))
    elif len(files) == 1:
        batch.add(files[0].run, parse_table(files[0].data))
    else:
        middle = len(files) // 2
        _read_joined(names, files[:middle], batch)
        _read_joined(names, files[middle:], batch)


def _parse_joined(width: int, files: list[_File]) -> pd.DataFrame | None:
    """Parse the rows of all files, or return None if a row is not as the header says."""
    data = b"".join([memoryview(file.data)[file.start :] for file in files])
    lines = sum(file.lines for file in files)
    try:
        frame = read_numbers(io.BytesIO(data), width)
    except ValueError:
        return None  # a text, a second header, a row that is too long, not UTF-8
    if len(frame) != lines or not isinstance(frame.index, pd.RangeIndex):
        return None  # blank lines; or the first row is too long
    # A short row ends in NaN. As no row is too long, the commas prove that none is short.
    if frame[width - 1].isna().any() and data.count(b",") != lines * (width - 1):
        return None
    return frame


def _moves(block: Block, starts: list[int]) -> list[tuple[int, int, int]]:
    """Return (from, to, length) of the slices that put a block's rows in their places."""
    moves: list[tuple[int, int, int]] = []
    source = 0
    for run, count in zip(block.runs, block.counts, strict=True):
        target = starts[run]
        if moves and sum(moves[-1][1:]) == target:
            begun, to, length = moves[-1]
            moves[-1] = (begun, to, length + count)
        else:
            moves.append((source, target, count))
        source += count
    return moves
