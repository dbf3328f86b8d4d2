"""A terminal of which a test can see the screen, behind a real pty."""

from __future__ import annotations

import fcntl
import os
import re
import struct
import termios
from typing import TextIO

SEQUENCE = re.compile(r"\x1b\[(\d*)([A-Za-z])|(\r)|(\n)|([^\x1b\r\n])")


class Screen:
    """Knows what this project writes: text, CR, LF, cursor up, erasure; and wraps lines."""

    def __init__(self, columns: int) -> None:
        self.columns = columns
        self.rows = [""]
        self.wrapped = [False]
        self.y = self.x = 0

    def feed(self, text: str) -> None:
        at = 0
        while at < len(text):
            found = SEQUENCE.match(text, at)
            assert found, f"not understood: {text[at : at + 10]!r}"
            at = found.end()
            count, command, back, down, character = found.groups()
            if command == "A":
                assert self.y >= int(count or 1), "the cursor would leave the screen"
                self.y -= int(count or 1)
            elif command == "K":
                self.rows[self.y] = self.rows[self.y][: self.x]
            elif command == "J":
                del self.rows[self.y + 1 :], self.wrapped[self.y + 1 :]
                self.rows[self.y] = self.rows[self.y][: self.x]
            elif command:
                raise AssertionError(f"not understood: {found[0]!r}")
            elif back:
                self.x = 0
            elif down:
                self._go_down(wrapped=False)
            else:
                self._put(character)

    def _put(self, character: str) -> None:
        if self.x >= self.columns:
            self._go_down(wrapped=True)
            self.x = 0
        row = self.rows[self.y].ljust(self.x)
        self.rows[self.y] = row[: self.x] + character + row[self.x + 1 :]
        self.x += 1

    def _go_down(self, *, wrapped: bool) -> None:
        self.y += 1
        if self.y == len(self.rows):
            self.rows.append("")
            self.wrapped.append(wrapped)

    def resize(self, columns: int) -> None:
        """Wrap the lines anew, as terminals do; the cursor is at the start of the last."""
        assert (self.y, self.x) == (len(self.rows) - 1, 0)
        lines: list[str] = []
        for row, wrapped in zip(self.rows, self.wrapped, strict=True):
            if wrapped:
                lines[-1] += row
            else:
                lines.append(row)
        self.columns, self.rows, self.wrapped = columns, [], []
        for line in lines:
            parts = [line[at : at + columns] for at in range(0, len(line), columns)] or [""]
            self.rows += parts
            self.wrapped += [False, *[True] * (len(parts) - 1)]
        self.y = len(self.rows) - 1


class Terminal:
    """A pty and its screen; use as a context."""

    def __init__(self, columns: int = 80, lines: int = 24) -> None:
        self._master, slave = os.openpty()
        os.set_blocking(self._master, False)
        self.stream: TextIO = os.fdopen(slave, "w", encoding="utf-8")
        self._screen = Screen(columns)
        self._set_size(columns, lines)
        self.frames = 0

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *error: object) -> None:
        self.stream.close()
        os.close(self._master)

    def resize(self, columns: int, lines: int = 24) -> None:
        self.shown()
        self._screen.resize(columns)
        self._set_size(columns, lines)

    def shown(self) -> list[str]:
        """Return the rows of the screen, the empty ones at its end left out."""
        while data := self._read():
            self.frames += 1
            self._screen.feed(data)
        rows = [row.rstrip() for row in self._screen.rows]
        while rows and not rows[-1]:
            rows.pop()
        return rows

    def _read(self) -> str:
        try:
            return os.read(self._master, 1 << 20).decode()
        except BlockingIOError:
            return ""

    def _set_size(self, columns: int, lines: int) -> None:
        size = struct.pack("HHHH", lines, columns, 0, 0)
        fcntl.ioctl(self.stream.fileno(), termios.TIOCSWINSZ, size)
