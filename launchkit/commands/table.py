"""``launchkit table``: a row a job."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from launchkit.masking import mask_values


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the parser of the command."""
    parser = commands.add_parser("table", help="a row a job: state, time, swept values, metrics")
    parser.add_argument("directory", nargs="+", help="sweep directories, or globs of them")
    parser.add_argument("--metrics", help="the metrics to show, separated by commas")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--csv", action="store_true", help="print CSV")
    form.add_argument("--json", action="store_true", help="print JSON, an object a job")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the table, and what could not be read to standard error."""
    # pandas takes longer to import than all the other commands to run.
    from launchkit.results import (  # noqa: PLC0415
        load_sweep,
        render_table,
        summary_table,
    )

    results = load_sweep(*options.directory)
    names = options.metrics.split(",") if options.metrics else None
    table = _masked(summary_table(results, metrics=names))
    if options.csv:
        print(table.to_csv(index=False), end="")
    elif options.json:
        print(table.to_json(orient="records", indent=2))
    else:
        # What reads a pipe is no terminal with an edge.
        print(render_table(table, width=None if sys.stdout.isatty() else sys.maxsize))
    for directory, reason in results.problems:
        print(f"launchkit: {directory}: {reason}", file=sys.stderr)
    return 0


def _masked(table: Any) -> Any:
    """Return a data frame without the secrets that settings may hold."""
    for name in table.columns:
        # The masking of a list of numbers changes nothing, and takes its time.
        if table[name].dtype.kind not in "fbmM":
            table[name] = mask_values({name: table[name].tolist()})[name]
    return table
