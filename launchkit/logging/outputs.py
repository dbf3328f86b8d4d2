"""The files and the terminal that a logger writes to."""

from __future__ import annotations

import os
from pathlib import Path

from launchkit.logging.table import KeyValueTable
from launchkit.logging.tabular import TabularFile
from launchkit.logging.text import Terminal, TextFile

PathLike = str | os.PathLike[str]


class Outputs:
    """Text files, CSV files and the terminal; each file by its absolute path, once."""

    def __init__(self) -> None:
        self._texts: dict[str, TextFile] = {}
        self._tabulars: dict[str, TabularFile] = {}
        self._terminal = Terminal()
        self._table = KeyValueTable()

    @property
    def paths(self) -> set[str]:
        """The paths of the files that are open."""
        return {*self._texts, *self._tabulars}

    @property
    def has_tabular(self) -> bool:
        """Whether there is a CSV file for dumped rows."""
        return bool(self._tabulars)

    def add_text(self, file_name: PathLike) -> None:
        """Write text to this file too; its folder is made, an old file is continued."""
        path = _absolute(file_name)
        if path not in self._texts:
            _make_folder(path)
            self._texts[path] = TextFile(path)

    def add_tabular(self, file_name: PathLike) -> None:
        """Write rows to this CSV file too; its folder is made, an old file is continued."""
        path = _absolute(file_name)
        if path not in self._tabulars:
            _make_folder(path)
            self._tabulars[path] = TabularFile(path)

    def remove_text(self, file_name: PathLike) -> None:
        """Close this text file, if it is open."""
        text = self._texts.pop(_absolute(file_name), None)
        if text is not None:
            text.close()

    def remove_tabular(self, file_name: PathLike) -> None:
        """Close this CSV file, if it is open."""
        tabular = self._tabulars.pop(_absolute(file_name), None)
        if tabular is not None:
            tabular.close()

    def close(self) -> None:
        """Close every file; a second call does nothing."""
        for path in self.paths:
            self.remove_text(path)
            self.remove_tabular(path)

    def write_row(self, cells: dict[str, str]) -> None:
        """Write a row to every CSV file."""
        for tabular in self._tabulars.values():
            tabular.write_row(cells)

    def show_row(self, cells: dict[str, str], start_of_line: str, *, scrolling: bool) -> None:
        """Show a row in the text files, and on the terminal alike or as one scrolling table."""
        text = self._table.render(cells)
        if start_of_line:
            text = "\n".join(start_of_line + line for line in text.split("\n"))
        self.write_text(text, to_terminal=not scrolling)
        if scrolling:
            self._terminal.show_row(cells)

    def write_text(self, text: str, *, to_terminal: bool) -> None:
        """Write text to every text file, and to the terminal if wanted."""
        for output in self._texts.values():
            output.write(text)
        if to_terminal:
            self._terminal.write(text)


def _absolute(file_name: PathLike) -> str:
    """Return a path that stays the same when the program changes its directory."""
    return os.path.abspath(os.fspath(file_name))  # noqa: PTH100 - no Path does this


def _make_folder(path: str) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
