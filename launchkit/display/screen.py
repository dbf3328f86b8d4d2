"""Text on a stream: lines that stay, and on a terminal a block below them that changes."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Sequence
from typing import TextIO

FALLBACK_SIZE = os.terminal_size((80, 24))
_ERASE_LINE = "\x1b[K"
_ERASE_BELOW = "\x1b[J"


class Screen:
    """A stream that lines are written to, with a block that is redrawn in place.

    The cursor always rests at the start of the line below the block. So whatever comes
    between, a traceback say, or the end of the process, leaves a terminal that needs no repair.

    Parameters
    ----------
    stream
        Where to. If it cannot be written any more, a closed pipe say, nothing is raised:
        what is shown must not decide on what runs.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.live = stream.isatty() and os.environ.get("TERM") != "dumb"
        """Whether there is a block that changes; it may be set to False."""
        self.closed = False
        """Whether the stream could not be written."""
        self._block: list[str] = []

    def print(self, text: str) -> None:
        """Write lines that stay, above the block."""
        self._write(f"{self._erase()}{text}\n{_drawn(self._block)}")

    def draw(self, lines: Sequence[str]) -> None:
        """Replace the block; each line is cut to the width of the terminal."""
        if not self.live:
            return
        columns, rows = self.size()
        block = [fit(line, columns - 1) for line in lines[: max(1, rows - 1)]]
        frame = self._up(columns) + _drawn(block) + _ERASE_BELOW
        self._block = block
        self._write(frame)

    def clear(self) -> None:
        """Take the block away."""
        if self._block:
            frame, self._block = self._erase(), []
            self._write(frame)

    def size(self) -> os.terminal_size:
        """Return the terminal's columns and lines, which change when its window does."""
        try:
            size = os.get_terminal_size(self._stream.fileno())
        except (OSError, ValueError, AttributeError):
            return FALLBACK_SIZE
        return os.terminal_size((size.columns or 80, size.lines or 24))

    def _erase(self) -> str:
        return self._up(self.size().columns) + _ERASE_BELOW if self._block else ""

    def _up(self, columns: int) -> str:
        """Return what moves the cursor to the block's first line."""
        # A window that became narrower has wrapped the lines that no longer fit.
        rows = sum(max(1, -(-cells(line) // columns)) for line in self._block)
        return f"\r\x1b[{rows}A" if rows else "\r"

    def _write(self, text: str) -> None:
        if self.closed:
            return
        try:
            try:
                self._stream.write(text)
            except UnicodeEncodeError:
                encoding = self._stream.encoding
                self._stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
            self._stream.flush()
        except BlockingIOError:
            pass  # a terminal that is stopped, and does not let us wait: the next frame will do
        except (OSError, ValueError):
            self.closed = True


def _drawn(block: Sequence[str]) -> str:
    return "".join(f"{line}{_ERASE_LINE}\n" for line in block)


def fit(text: str, columns: int) -> str:
    """Return `text` on one line, cut where it is wider than `columns`."""
    if text.isascii() and text.isprintable():
        return text if len(text) <= columns else text[: max(0, columns - 1)] + "…"[:columns]
    text = printable(text)
    if cells(text) <= columns:
        return text
    while text and cells(text) > columns - 1:
        text = text[:-1]
    return text + "…"[: max(0, columns)]


def printable(text: str) -> str:
    """Return `text` on one line, without anything that a terminal would take as a command."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def cells(text: str) -> int:
    """Return how many columns of a terminal `text` takes."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF")
        for c in text
    )
