"""Results of sweeps as pandas tables: what ran, how it ended, and every row it logged."""

from __future__ import annotations

from launchkit.results.load import Problem, SweepResults, load_sweep
from launchkit.results.summary import render_table, summary_table

__all__ = ["Problem", "SweepResults", "load_sweep", "render_table", "summary_table"]
