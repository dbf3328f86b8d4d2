"""What can be chosen about a logger, with rlkit's names."""

from __future__ import annotations

from launchkit.logging.snapshots import check_snapshot_gap, check_snapshot_mode


class Settings:
    """The settings of a logger; those of one that nobody set up are rlkit's."""

    # None: chosen by nobody, so that a logger that opens itself can tell.
    _snapshot_mode: str | None
    _snapshot_gap: int
    _log_tabular_only: bool
    _print_table: bool

    def __init__(self) -> None:
        self._restore_settings()

    @staticmethod
    def check_snapshot_settings(snapshot_mode: str, snapshot_gap: int) -> None:
        """Raise ValueError, naming what is allowed, if mode or gap is none; change nothing."""
        check_snapshot_mode(snapshot_mode)
        check_snapshot_gap(snapshot_gap)

    def set_snapshot_mode(self, mode: str) -> None:
        """Choose ``all``, ``last``, ``gap``, ``gap_and_last`` or ``none``."""
        self._snapshot_mode = check_snapshot_mode(mode)

    def get_snapshot_mode(self) -> str:
        """Return the snapshot mode; ``all`` where nobody chose one."""
        return self._snapshot_mode or "all"

    def set_snapshot_gap(self, gap: int) -> None:
        """Set the iterations from one kept snapshot to the next, at least 1."""
        self._snapshot_gap = check_snapshot_gap(gap)

    def get_snapshot_gap(self) -> int:
        """Return the iterations from one kept snapshot to the next."""
        return self._snapshot_gap

    def set_log_tabular_only(self, log_tabular_only: bool) -> None:
        """Choose whether the terminal shows dumped rows as one table, and no other text."""
        self._log_tabular_only = bool(log_tabular_only)

    def get_log_tabular_only(self) -> bool:
        """Return whether the terminal shows dumped rows only."""
        return self._log_tabular_only

    def set_print_table(self, print_table: bool) -> None:
        """Choose whether a dumped row is shown as text; progress.csv gets it either way."""
        self._print_table = bool(print_table)

    def get_print_table(self) -> bool:
        """Return whether a dumped row is shown as text."""
        return self._print_table

    def _restore_settings(self) -> None:
        self._snapshot_mode = None
        self._snapshot_gap = 1
        self._log_tabular_only = False
        self._print_table = True
