"""Where the logger's text goes: debug.log and other text files, and the terminal."""

from __future__ import annotations

import os
import sys
from collections import deque
from datetime import datetime

from launchkit.logging.fd import open_append, write_whole
from launchkit.logging.table import format_table


def timestamp() -> str:
    """Return the local time as the old logger wrote it, ``2026-11-22 10:00:00.000000 UTC``."""
    return datetime.now().astimezone().strftime("%Y-%m-%d %H:%M:%S.%f %Z")


class TextFile:
    """A text file that is only appended to, a write a message.

    Nothing is buffered: a message is in the file when `write` returns, and a forked
    child has nothing of its parent's to write twice.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._fd: int | None = open_append(path)

    def write(self, text: str) -> None:
        """Append `text`, a line or several, and end the last one."""
        if self._fd is not None:
            write_whole(self._fd, f"{text}\n".encode(errors="backslashreplace"), self._path)

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


class Terminal:
    """Standard output, and the rows of the scrolling table of ``log_tabular_only``."""

    def __init__(self) -> None:
        self._shown: deque[dict[str, str]] = deque(maxlen=200)

    def write(self, text: str) -> None:
        """Print `text`; a character that the terminal lacks is printed as its escape."""
        stream = sys.stdout
        if stream is None:  # a program without a console
            return
        try:
            stream.write(text + "\n")
        except UnicodeEncodeError:
            encoding = getattr(stream, "encoding", None) or "ascii"
            stream.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
        stream.flush()

    def show_row(self, cells: dict[str, str]) -> None:
        """Show a dumped row below the earlier ones, under their common header.

        On a terminal the table is drawn anew, as many rows as fit. Elsewhere (a pipe, a
        file) the row is printed, with a header when the columns are new.
        """
        if sys.stdout is not None and sys.stdout.isatty():
            self._shown.append(cells)
            self.write("\x1b[2J\x1b[H" + self._screen())
            return
        new = not self._shown or tuple(self._shown[-1]) != tuple(cells)
        self._shown.append(cells)
        table = format_table([list(cells.values())], list(cells))
        self.write(table if new else table.rpartition("\n")[2])

    def _screen(self) -> str:
        room = max(1, _lines() - 3)
        rows = list(self._shown)[-room:]
        columns = list(dict.fromkeys(key for row in rows for key in row))
        return format_table([[row.get(c, "") for c in columns] for row in rows], columns)


def _lines() -> int:
    """Return how many lines the terminal has."""
    import shutil  # noqa: PLC0415 - only where there is a terminal

    return shutil.get_terminal_size().lines
