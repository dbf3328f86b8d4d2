"""One progress.csv, read with patience: whatever can be read of it is kept.

What it makes of odd files (`bulk` reads the others, to the same numbers):

- A header repeated in mid-file (a resumed run) is dropped. One that shares at least half
  of its names with the first counts as well; the rows below it are read by its own names.
- An empty cell is NaN. A short row is filled with NaN; cells beyond the header are left out.
- A last line without a line end is dropped if cells are missing, else kept.
- A column is text if most of its cells are. In any other column `True` and `False` are 1 and
  0, and a cell that is no number is NaN.

All but an empty cell, a boolean and an exactly repeated header is reported.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

Column = npt.NDArray[Any]

_NUMBER = re.compile(
    r"[+-]?(([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?|inf|infinity)", re.IGNORECASE
)
_NAN = re.compile(r"([+-]?nan)?", re.IGNORECASE)
_MISSING = frozenset({"", "nan", "NaN", "None", "NA", "N/A", "n/a", "null", "NULL", "-nan", "<NA>"})
_BOOLEANS = {"True": "1", "False": "0", "TRUE": "1", "FALSE": "0", "true": "1", "false": "0"}


@dataclass
class Table:
    """The rows of one file.

    Parameters
    ----------
    columns
        An array a column, float64 or, of texts, object; all of length `rows`.
    rows
        How many rows the file has.
    problems
        What is wrong with the file, a sentence each.
    """

    columns: dict[str, Column] = field(default_factory=dict)
    rows: int = 0
    problems: list[str] = field(default_factory=list)


def parse_table(data: bytes, delimiter: str = ",") -> Table:
    """Read the bytes of one file, however odd."""
    table = Table()
    if b"\0" in data:
        data = data.replace(b"\0", b"")
        table.problems.append("holds NUL bytes, which were left out")
    text = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", errors="replace")
    names, rows = _rows(text, delimiter, table.problems)
    table.rows = len(rows)
    if rows:
        cells = [list(column) for column in zip(*rows, strict=True)]
        named = [(name, column) for name, column in zip(names, cells, strict=True) if name]
        table.columns = _typed(named, table.problems)
    return table


def read_numbers(stream: Any, width: int) -> pd.DataFrame:
    """Read cells that are all numbers or missing, without a header.

    Every number of a load passes through here, so that it comes out the same whichever
    way its file was read.

    Raises
    ------
    ValueError
        If a cell is no number, or a row has more than `width` cells.
    """
    return pd.read_csv(
        stream,
        header=None,
        names=list(range(width)),
        dtype="float64",
        na_values=sorted(_MISSING),
        keep_default_na=False,  # what pandas takes for missing differs between its versions
        low_memory=True,  # piece by piece, in memory that is used again
    )


def header_names(header: Sequence[str]) -> list[str]:
    """Return the columns' names, each once; a nameless column that is last has the name ''."""
    names: list[str] = []
    for place, name in enumerate(header):
        if not name and place == len(header) - 1 and place:
            names.append("")  # a comma at the end of the line
            continue
        distinct, number = name or f"column {place}", 0
        while distinct in names:
            number += 1
            distinct = f"{name or f'column {place}'}.{number}"
        names.append(distinct)
    return names


def is_number(cell: str) -> bool:
    """Tell whether a cell is a number, or missing."""
    stripped = cell.strip()
    return (
        _NUMBER.fullmatch(stripped) is not None
        or _NAN.fullmatch(stripped) is not None
        or stripped in _MISSING
    )


def _rows(text: str, delimiter: str, problems: list[str]) -> tuple[list[str], list[list[str]]]:
    """Return the columns' names and the rows, all of the same length."""
    lines = _lines(text, delimiter, problems)
    header = next(lines, [])
    names = header_names(header)
    if len(set(header)) < len(header):
        problems.append("has two columns of the same name")
    current = list(range(len(names)))
    rows: list[list[str]] = []
    short: list[int] = []
    long: list[int] = []
    for line in lines:
        if line == header:
            current = list(range(len(header)))
        elif _is_header(line, header):
            current = _places(header_names(line), names)
            problems.append(f"has another header after row {len(rows)}; it was followed")
        else:
            if len(line) < len(current):
                if not any(cell.strip() for cell in line):
                    continue
                short.append(len(rows))
            elif any(line[len(current) :]):
                long.append(len(rows))
            row = [""] * len(names)
            for place, cell in zip(current, line, strict=False):
                row[place] = cell
            rows.append(row)
    _check_end(text, rows, short, problems)
    if short:
        problems.append(f"{_rows_text(short)} too few cells; the missing ones are NaN")
    if long:
        problems.append(f"{_rows_text(long)} too many cells; the last ones were left out")
    return names, [row + [""] * (len(names) - len(row)) for row in rows]


def _check_end(text: str, rows: list[list[str]], short: list[int], problems: list[str]) -> None:
    """Drop a last row that its writer did not come to end."""
    if not rows or text.endswith(("\n", "\r")):
        return
    if short and short[-1] == len(rows) - 1:
        rows.pop()
        short.pop()
        problems.append("is cut off in its last line, which was left out")
    else:
        problems.append("has no end of its last line, whose last cell may be cut off")


def _lines(text: str, delimiter: str, problems: list[str]) -> Iterator[list[str]]:
    """Yield the lines that are not blank, up to one that is not CSV."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        for line in reader:
            if line:
                yield line
    except csv.Error as error:
        problems.append(f"line {reader.line_num} cannot be read ({error}); the rest was left out")


def _is_header(line: list[str], first: list[str]) -> bool:
    known = set(first)
    return (
        line[0] != ""
        and not is_number(line[0])
        and 2 * sum(name in known for name in line) >= max(len(line), len(first))
        and len(set(line)) == len(line)
        and not any(map(is_number, line))
    )


def _places(line: list[str], names: list[str]) -> list[int]:
    """Return where the cells below a later header go, after adding its new names."""
    names.extend(name for name in line if name not in names)
    return [names.index(name) for name in line]


def _rows_text(rows: list[int]) -> str:
    return (
        f"row {rows[0]} has" if len(rows) == 1 else f"row {rows[0]} and {len(rows) - 1} more have"
    )


def _typed(named: list[tuple[str, list[str]]], problems: list[str]) -> dict[str, Column]:
    """Turn columns of cells into arrays, in the given order."""
    columns: dict[str, Column] = {}
    numeric: dict[str, list[str]] = {}
    for name, cells in named:
        cleaned, bad = _numeric_cells(cells)
        present = sum(cell not in _MISSING for cell in cells) if bad else 0
        if bad and 2 * len(bad) > present:
            columns[name] = _texts(cells)
            continue
        if bad:
            count = "a cell that is" if len(bad) == 1 else f"{len(bad)} cells that are"
            problems.append(f"column {name!r} has {count} no number, such as {bad[0][:40]!r}")
        columns[name] = np.empty(0)  # keeps the column's place
        numeric[name] = cleaned
    if numeric:
        rows = zip(*numeric.values(), strict=True)
        text = "\n".join(",".join(row) for row in rows) + "\n"
        frame = read_numbers(io.StringIO(text), len(numeric))
        columns |= {name: frame[place].to_numpy() for place, name in enumerate(numeric)}
    return columns


def _numeric_cells(cells: list[str]) -> tuple[list[str], list[str]]:
    """Return the cells as numbers' texts, and those that are none."""
    try:
        values = list(map(float, cells))
    except ValueError:
        values = []
    # float() takes more than the parser does: 1_000, digits of other scripts, +nan
    if values and not any("_" in cell or not cell.isascii() for cell in cells):
        pairs = zip(cells, values, strict=True)
        return ["nan" if value != value else cell.strip() for cell, value in pairs], []  # noqa: PLR0124 - NaN
    bad = []
    cleaned = []
    for raw in cells:
        cell = raw.strip()
        if cell in _BOOLEANS:
            cleaned.append(_BOOLEANS[cell])
        elif _NUMBER.fullmatch(cell):
            cleaned.append(cell)
        else:
            cleaned.append("nan")
            if not is_number(cell):
                bad.append(raw)
    return cleaned, bad


def _texts(cells: list[str]) -> Column:
    column = np.empty(len(cells), dtype=object)
    column[:] = [np.nan if cell in ("", "nan") else cell for cell in cells]
    return column
