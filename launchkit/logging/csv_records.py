"""Reading CSV as raw records and cells: enough to continue a file and to copy its rows.

Cells stay as they stand in the file, quotes included, so that copying a row to a wider
file cannot change a value.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING

from launchkit.logging.cells import MISSING

if TYPE_CHECKING:
    from launchkit.logging.counters import Counters

_BOM = b"\xef\xbb\xbf"
_MISSING = MISSING.encode()


class Found:
    """What an existing file holds.

    Attributes
    ----------
    header
        The raw cells of its first record; empty if there is no whole one.
    line_end
        How its lines end.
    rows
        How many rows stand below the header, in a file that is sound.
    whole
        The bytes up to the end of the last whole record; what follows is torn.
    repeats
        Whether the header stands in mid-file too, as after a restart of the old logger.
    sound
        Whether all of these bytes are as we would have written them. They are not
        with a header in mid-file, rows of another length, empty cells or a BOM.
    """

    def __init__(
        self, header: list[bytes] | None = None, line_end: bytes = b"\n", whole: int = 0
    ) -> None:
        self.header = header or []
        self.line_end = line_end
        self.rows = 0
        self.whole = whole
        self.repeats = False
        self.sound = True

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""
        return [_name(cell) for cell in self.header]


def inspect(stream: IO[bytes], counters: Counters | None = None) -> Found:
    """Read a whole file and tell what of it can be continued; show its rows to `counters`."""
    found = Found()
    ragged_at: int | None = None
    for record in records(stream):
        cells = split(record)
        if not found.header:
            _take_header(found, record)
            if counters is not None:
                counters.begin(found.columns)
        elif len(cells) != len(found.header):
            found.sound, ragged_at = False, found.whole
        else:
            found.repeats |= cells == found.header
            found.sound &= not found.repeats and b"" not in cells
            ragged_at = None
            found.rows += 1
            if counters is not None:
                counters.add(cells)
        found.whole += len(record)
    if not found.header:
        return Found()
    if ragged_at is not None:
        found.whole = ragged_at
    return found


def copy_rows(stream: IO[bytes], out: IO[bytes], found: Found, width: int) -> None:
    """Copy the rows of a file to one of `width` columns, gaps filled, a row at a time.

    Rows that repeat the header are left out; so are cells beyond the last column.
    """
    offset, below_header = 0, False
    for record in records(stream):
        offset += len(record)
        cells = split(record.removeprefix(_BOM))
        if offset > found.whole:
            return
        if cells == [b""] or (below_header and found.repeats and cells == found.header):
            continue
        if below_header:
            kept = [cell or _MISSING for cell in cells[: len(found.header)]]
            kept += [_MISSING] * (width - len(kept))
            out.write(b",".join(kept) + found.line_end)
        below_header = True


def records(stream: IO[bytes]) -> Iterator[bytes]:
    """Yield every whole record, its line end included; one may span lines within quotes."""
    parts: list[bytes] = []
    quotes = 0
    for line in stream:
        parts.append(line)
        quotes += line.count(b'"')
        if quotes % 2 == 0 and line.endswith(b"\n"):
            yield line if len(parts) == 1 else b"".join(parts)
            parts, quotes = [], 0


def split(record: bytes) -> list[bytes]:
    """Return the raw cells of a record."""
    pieces = record.removesuffix(b"\n").removesuffix(b"\r").split(b",")
    if b'"' not in record:
        return pieces
    cells: list[bytes] = []
    parts: list[bytes] = []
    quotes = 0
    for piece in pieces:
        parts.append(piece)
        quotes += piece.count(b'"')
        if quotes % 2 == 0:
            cells.append(b",".join(parts))
            parts, quotes = [], 0
    return cells


def size_of(path: str) -> int:
    """Return the bytes of a file, 0 if it is not there."""
    try:
        return os.stat(path).st_size  # noqa: PTH116 - a Path costs more than the call
    except FileNotFoundError:
        return 0


def _take_header(found: Found, record: bytes) -> None:
    """Take the first record that is not blank as the header."""
    cells = split(record.removeprefix(_BOM))
    if cells != [b""]:
        found.header = cells
        found.line_end = b"\r\n" if record.endswith(b"\r\n") else b"\n"
    found.sound &= bool(found.header) and not record.startswith(_BOM)


def _name(cell: bytes) -> str:
    text = cell.decode(errors="backslashreplace")
    return text[1:-1].replace('""', '"') if text.startswith('"') else text
