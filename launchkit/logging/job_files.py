"""Which directory a logger writes to, and how it finds it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from launchkit.logging.hydra_job import current_config, current_job
from launchkit.logging.leftovers import remove_leftovers
from launchkit.logging.outputs import Outputs
from launchkit.logging.row import Row
from launchkit.logging.settings import Settings
from launchkit.logging.snapshots import check_snapshot_gap, check_snapshot_mode
from launchkit.logging.variant import read_variant

PathLike = str | os.PathLike[str]


class NotOpenError(RuntimeError):
    """The logger was to write or read a file, and has no directory for it."""

    def __init__(self, call: str) -> None:
        super().__init__(
            f"logger.{call} needs the directory of a job, and none is open. In a Hydra program, "
            "add hydra/callbacks=launchkit to the command line or to the defaults list; elsewhere, "
            "call launchkit.launcher_util.setup_logger(...) or logger.open(directory) first."
        )


class JobFiles(Settings):
    """The files of one job at a time, and what is being recorded for it."""

    _outputs: Outputs
    _row: Row
    _name: str
    _prefix: str
    _prefixes: list[str]
    _snapshot_dir: str | None
    # The config of the Hydra job in which the logger opened itself, and its files.
    _own_config: Any
    _own_paths: set[str]

    def __init__(self) -> None:
        super().__init__()
        self._outputs = Outputs()
        self._forget_job()

    def open(
        self,
        directory: PathLike,
        *,
        exp_name: str | None = None,
        snapshot_mode: str = "last",
        snapshot_gap: int = 1,
        print_table: bool = True,
        log_tabular_only: bool = False,
        text_file: str = "debug.log",
        tabular_file: str = "progress.csv",
        resume: bool = False,
    ) -> None:
        """Close what is open, and write to the files of `directory` from now on.

        Files that are there are continued. A row that was recorded while nothing was
        set up is kept.

        Parameters
        ----------
        directory
            The directory of one job, made if it is not there.
        exp_name
            What stands in brackets before each line of text; by default the
            ``exp_name`` of the variant.json that is there, else the directory's name.
        snapshot_mode
            ``all``, ``last``, ``gap``, ``gap_and_last`` or ``none``.
        snapshot_gap
            Iterations from one kept snapshot to the next.
        print_table
            Whether a dumped row is also shown in the text file and on the terminal.
        log_tabular_only
            Whether the terminal shows dumped rows as one table, and no other text.
        text_file, tabular_file
            Names of the two files in `directory`; the first is made at once, the
            second with its first row.
        resume
            Whether this is a later attempt of a run that was stopped. Rows that it dumps
            again are not written again, and what a killed writer left half-written is
            removed. It is for one process at a time.

        Raises
        ------
        ValueError
            If the snapshot mode or gap is none. Nothing is closed or opened then.
        OSError
            If `directory` cannot be written to.
        """
        check_snapshot_mode(snapshot_mode)
        gap = check_snapshot_gap(snapshot_gap)
        kept = {} if self._is_set_up() else self._row.cells
        self.reset()
        self._row.cells = kept
        try:
            if resume:
                self._resume(directory)
            self._open_files(directory, exp_name, text_file, tabular_file)
        except BaseException:
            self._outputs.close()
            raise
        self._snapshot_mode, self._snapshot_gap = snapshot_mode, gap
        self.set_print_table(print_table)
        self.set_log_tabular_only(log_tabular_only)

    def close(self) -> None:
        """Close every file and forget the directory; a second call does nothing more.

        Every dumped row is in its file already. What was recorded and not dumped is
        dropped, like the prefixes; settings return to their defaults.
        """
        self.reset()

    def reset(self) -> None:
        """Close every file, and return to the state of a new logger."""
        self._forget_job()
        self._restore_settings()

    @property
    def directory(self) -> Path | None:
        """The directory of the job, or None if nothing is open."""
        return None if self._snapshot_dir is None else Path(self._snapshot_dir)

    def set_snapshot_dir(self, dir_name: PathLike | None) -> None:
        """Write snapshots and extra data to `dir_name` from now on.

        What the logger opened by itself in a Hydra job is closed.
        """
        self._disown_job()
        self._snapshot_dir = None if dir_name is None else str(_absolute(dir_name))

    def get_snapshot_dir(self) -> str | None:
        """Return the directory of the job as text, or None if nothing is set up."""
        self._attend()
        return self._snapshot_dir

    def _attend(self) -> None:
        """See to it that the files are those of the Hydra job that runs now, if one does."""
        if self._own_config is not None:
            if current_config() is not self._own_config:
                self._follow()
        elif self._snapshot_dir is None and not self._outputs.has_tabular:
            self._open_itself()

    def _follow(self) -> None:
        """Go over to the job that Hydra runs now; between jobs, stay."""
        job = current_job()
        if job is None:
            return
        if job.output_dir == self._snapshot_dir:
            self._own_config = job.config
            return
        self._forget_job()
        self._open_itself()

    def _open_itself(self) -> None:
        job = current_job()
        if job is None:
            return
        others = self._outputs.paths
        self._open_files(job.output_dir, None, "debug.log", "progress.csv")
        self._own_config, self._own_paths = job.config, self._outputs.paths - others
        self._snapshot_mode = self._snapshot_mode or "last"

    def _open_files(
        self, directory: PathLike, exp_name: str | None, text_file: str, tabular_file: str
    ) -> None:
        root = _absolute(directory)
        self._outputs.add_text(root / text_file)
        self._outputs.add_tabular(root / tabular_file)
        self._name = f"[{exp_name or _name_of(root)}] "
        self._snapshot_dir = str(root)

    def _resume(self, directory: PathLike) -> None:
        # Imported for the few runs that go on.
        from launchkit.logging.repeats import Resumption  # noqa: PLC0415

        remove_leftovers(_absolute(directory))
        self._outputs = Outputs(Resumption())

    def _disown_job(self) -> None:
        """Close what the logger opened by itself, and follow Hydra no more."""
        if self._own_config is None:
            return
        for path in self._own_paths:
            self._outputs.remove_text(path)
            self._outputs.remove_tabular(path)
        self._own_config, self._own_paths, self._name = None, set(), ""

    def _forget_job(self) -> None:
        """Close every file, and drop what was recorded for it; settings stay."""
        self._outputs.close()
        self._outputs = Outputs()
        self._row = Row()
        self._name, self._prefix = "", ""
        self._prefixes, self._snapshot_dir = [], None
        self._own_config, self._own_paths = None, set()

    def _is_set_up(self) -> bool:
        return self._snapshot_dir is not None or bool(self._outputs.paths)

    def _job_directory(self, call: str) -> Path:
        if self._snapshot_dir is None:
            raise NotOpenError(call)
        return Path(self._snapshot_dir)


def _absolute(directory: PathLike) -> Path:
    """Return a path that stays the same when the program changes its directory."""
    return Path(os.path.abspath(directory))  # noqa: PTH100 - no Path does this


def _name_of(directory: Path) -> str:
    """Return the exp_name that the job's variant.json has, else the directory's name."""
    variant = read_variant(directory / "variant.json") or {}
    return str(variant.get("exp_name") or directory.name)
