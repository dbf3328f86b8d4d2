"""The files and the terminal that a logger writes to."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from launchkit.logging.table import KeyValueTable
from launchkit.logging.tabular import TabularFile
from launchkit.logging.text import Terminal, TextFile

if TYPE_CHECKING:
    from launchkit.logging.repeats import Resumption
    from launchkit.logging.restoring import Loaded

PathLike = str | os.PathLike[str]


class Outputs:
    """Text files, CSV files and the terminal; each file by its absolute path, once.

    Parameters
    ----------
    resumption
        Of a run that goes on: what its CSV files have already.
    """

    def __init__(self, resumption: Resumption | None = None) -> None:
        self._resumption = resumption
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
            self._tabulars[path] = self._open_tabular(path)

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
        """Write a row to every CSV file that does not have it already."""
        for tabular in self._tabulars.values():
            tabular.write_row(cells)

    def rows(self, directory: str) -> dict[str, int]:
        """Return how many rows each CSV file has; the files by their paths from `directory`."""
        return {
            os.path.relpath(path, directory): tabular.rows
            for path, tabular in self._tabulars.items()
        }

    def restart(self, snapshot: Loaded, directory: str) -> None:
        """Learn that the run takes up again at a snapshot of `directory`."""
        if self._resumption is not None:
            self._resumption.restart(snapshot, directory)

    def saves(self, iteration: int) -> None:
        """Learn that a run saves its snapshot of this iteration."""
        if self._resumption is not None:
            self._resumption.saves(iteration)

    def log_row(self, cells: dict[str, str], start_of_line: str) -> str:
        """Write the table of a row to the text files, and return it."""
        text = self._table.render(cells)
        if start_of_line:
            text = "\n".join(start_of_line + line for line in text.split("\n"))
        self.write_text(text, to_terminal=False)
        return text

    def show_row(self, cells: dict[str, str], table: str, *, scrolling: bool) -> None:
        """Show a row on the terminal: its own table, or a line of one that scrolls."""
        if scrolling:
            self._terminal.show_row(cells)
        else:
            self._terminal.write(table)

    def write_text(self, text: str, *, to_terminal: bool) -> None:
        """Write text to every text file, and to the terminal if wanted."""
        for output in self._texts.values():
            output.write(text)
        if to_terminal:
            self._terminal.write(text)

    def _open_tabular(self, path: str) -> TabularFile:
        if self._resumption is None:
            return TabularFile(path)
        known = self._resumption.known(path)
        tabular = TabularFile(path, goes_on=known is None)
        if known is None:
            self._resumption.add(path, tabular.repeats)
        elif not known.over:
            tabular.repeats = known
        return tabular


def _absolute(file_name: PathLike) -> str:
    """Return a path that stays the same when the program changes its directory."""
    return os.path.abspath(os.fspath(file_name))  # noqa: PTH100 - no Path does this


def _make_folder(path: str) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
