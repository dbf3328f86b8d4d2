"""The interface of rlkit's logger, writing files that viskit reads.

An experiment records metrics by name and dumps them, a row at a time, to
``progress.csv``; text and the printed table go to ``debug.log`` and the terminal, and
snapshots to ``params.pkl`` and ``itr_<n>.pkl``, all in the directory of one job.

>>> from launchkit import logger
>>> logger.record_dict({"epoch": 0, "loss": 0.5})
>>> logger.dump_tabular()
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from typing import Any

from launchkit.logging.job_files import JobFiles, NotOpenError
from launchkit.logging.restoring import Restored, newest
from launchkit.logging.snapshots import save_extra, save_snapshot, snapshot_names
from launchkit.logging.stats import misc_stats
from launchkit.logging.text import timestamp
from launchkit.logging.trailer import Trailer
from launchkit.logging.variant import write_variant
from launchkit.stopping import shield

__all__ = ["Logger", "NotOpenError", "logger"]

PathLike = str | os.PathLike[str]


class Logger(JobFiles):
    """Metrics, text, snapshots and the variant of one job at a time.

    `open` sets it up for a directory. In a Hydra job where nobody did, it opens itself
    in the job's output directory at first use, and follows Hydra to the next job's.
    """

    # Files beside those of `open`

    def add_text_output(self, file_name: PathLike) -> None:
        """Write text to this file too; its folder is made, an old file is continued."""
        self._outputs.add_text(file_name)

    def remove_text_output(self, file_name: PathLike) -> None:
        """Close this text file, if it is open."""
        self._outputs.remove_text(file_name)

    def add_tabular_output(
        self, file_name: PathLike, relative_to_snapshot_dir: bool = False
    ) -> None:
        """Write dumped rows to this CSV file too; an old file is continued."""
        self._outputs.add_tabular(self._located(file_name, relative_to_snapshot_dir))

    def remove_tabular_output(
        self, file_name: PathLike, relative_to_snapshot_dir: bool = False
    ) -> None:
        """Close this CSV file, if it is open."""
        self._outputs.remove_tabular(self._located(file_name, relative_to_snapshot_dir))

    # Text

    def push_prefix(self, prefix: str) -> None:
        """Put `prefix` before each line of text from now on."""
        self._attend()
        self._prefixes.append(prefix)
        self._prefix = "".join(self._prefixes)

    def pop_prefix(self) -> None:
        """Take back the last prefix; raises IndexError if there is none."""
        self._prefixes.pop()
        self._prefix = "".join(self._prefixes)

    @contextlib.contextmanager
    def prefix(self, key: str) -> Iterator[None]:
        """Put `key` before each line of text within the block."""
        self.push_prefix(key)
        try:
            yield
        finally:
            if self._prefixes:  # empty if the logger was opened anew in the block
                self.pop_prefix()

    def log(self, s: Any, with_prefix: bool = True, with_timestamp: bool = True) -> None:
        """Write a line of text to the text files and the terminal."""
        self._attend()
        line = self._start_of_line(with_prefix, with_timestamp) + str(s)
        self._outputs.write_text(line, to_terminal=not self._log_tabular_only)

    # Metrics

    def record_tabular(self, key: Any, val: Any) -> None:
        """Add one metric to the row."""
        self._attend()
        self._row.record({key: val})

    def record_dict(self, d: Mapping[Any, Any], prefix: str | None = None) -> None:
        """Add metrics to the row, `prefix` before each name."""
        self._attend()
        self._row.record(d, prefix)

    def record_tabular_misc_stat(self, key: str, values: Any, placement: str = "back") -> None:
        """Add Average, Std, Median, Min and Max of `values`.

        Their names are `key` and these words; with ``placement='front'`` these words
        and `key`. Without values all five are ``nan``.
        """
        front = placement == "front"
        stats = misc_stats(values).items()
        self.record_dict({(f"{w}{key}" if front else f"{key}{w}"): number for w, number in stats})

    def push_tabular_prefix(self, key: str) -> None:
        """Put `key` before the names of the metrics that are recorded from now on."""
        self._attend()
        self._row.push_prefix(key)

    def pop_tabular_prefix(self) -> None:
        """Take back the last tabular prefix; raises IndexError if there is none."""
        self._row.pop_prefix()

    @contextlib.contextmanager
    def tabular_prefix(self, key: str) -> Iterator[None]:
        """Put `key` before the names of the metrics that are recorded within the block."""
        self.push_tabular_prefix(key)
        try:
            yield
        finally:
            if self._row.prefixes:
                self.pop_tabular_prefix()

    def get_table_dict(self) -> dict[str, str]:
        """Return the row recorded so far, its cells as text."""
        return dict(self._row.cells)

    def get_table_key_set(self) -> set[str]:
        """Return the names of the metrics recorded so far."""
        return set(self._row.cells)

    def dump_tabular(
        self,
        with_prefix: bool = False,
        with_timestamp: bool = False,
        write_header: bool | None = None,
    ) -> None:
        """Write the recorded metrics as one row, and start the next.

        In a run that was opened with ``resume=True``, a row that ``progress.csv`` has
        from an earlier attempt is shown, and not written again.

        Parameters
        ----------
        with_prefix, with_timestamp
            Whether the prefixes and the time stand before each line of the printed table.
        write_header
            Without effect: the header always stands in the file exactly once.

        Raises
        ------
        NotOpenError
            If nothing is set up. The row is kept.
        OSError
            If a file cannot be written; its earlier rows are as they were.
        """
        self._attend()
        if not self._is_set_up():
            raise NotOpenError("dump_tabular")
        cells = self._row.cells
        if not cells:
            return
        table = ""
        # Not the terminal: one that blocks would hold back a request to stop for ever.
        with shield():
            self._outputs.write_row(cells)
            self._row.cells = {}
            if self._print_table:
                start = self._start_of_line(with_prefix, with_timestamp)
                table = self._outputs.log_row(cells, start)
        if table:
            self._outputs.show_row(cells, table, scrolling=self._log_tabular_only)

    # Snapshots and the variant

    def save_itr_params(self, itr: int, params: Any) -> None:
        """Save the snapshot of iteration `itr`, where the snapshot mode wants one.

        Raises
        ------
        NotOpenError
            If there is no directory to save it to.
        pickle.PicklingError
            If `params` cannot be pickled; the previous snapshot is as it was.
        """
        self._attend()
        names = snapshot_names(itr, self.get_snapshot_mode(), self._snapshot_gap)
        self._outputs.saves(int(itr))
        if names:
            directory = self._job_directory("save_itr_params")
            with shield():
                rows = self._outputs.rows(str(directory))
                stands = Trailer(int(itr), rows, pending=bool(self._row.cells))
                save_snapshot(directory, names, params, stands)

    def restore(self) -> Restored | None:
        """Return iteration and object of the newest whole snapshot, or None without one.

        Raises
        ------
        NotOpenError
            If there is no directory to look into.
        RestoreError
            If the snapshot is whole and cannot be loaded: a module is missing, say.
        """
        self._attend()
        directory = self._job_directory("restore")
        snapshot = newest(directory)
        if snapshot is None:
            return None
        self._outputs.restart(snapshot, str(directory))
        return snapshot.restored

    def save_extra_data(
        self, data: Any, file_name: str = "extra_data.pkl", mode: str = "pickle"
    ) -> str:
        """Save an object that does not vary with time, and return the path of its file.

        The mode is ``pickle``, ``joblib``, ``json``, or ``cloudpickle``, which adds
        ``.cpkl`` to the name. `file_name` is a path below the job's directory.
        """
        self._attend()
        directory = self._job_directory("save_extra_data")
        with shield():
            return str(save_extra(directory, data, file_name, mode))

    def log_variant(self, log_file: PathLike, variant_data: Any) -> None:
        """Write the settings of the run to `log_file`, as viskit reads them."""
        write_variant(log_file, variant_data)

    def _located(self, file_name: PathLike, relative_to_snapshot_dir: bool) -> PathLike:
        if not relative_to_snapshot_dir:
            return file_name
        self._attend()
        return self._job_directory("add_tabular_output(relative_to_snapshot_dir=True)") / file_name

    def _start_of_line(self, with_prefix: bool, with_timestamp: bool) -> str:
        start = self._name + self._prefix if with_prefix else ""
        return f"{timestamp()} | {start}" if with_timestamp else start


logger = Logger()
