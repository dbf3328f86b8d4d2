"""The logger against csv.DictWriter with a flush a row: ten float metrics.

    python benchmarks/bench_logger.py [ROWS]

The comparison does no more than put the row into a file: no prefixes, no new columns, no
restart, no text log. With the table on, the logger also lays out the table of each row
and writes it to debug.log and to a discarded stdout.
"""

from __future__ import annotations

import contextlib
import csv
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from _measure import compare, report

from launchkit.logging import Logger

Rows = list[dict[str, float]]


def main() -> int:
    """Measure both lines and return the exit code."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    rows = make_rows(count)
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        reference = dict_writer(rows, directory)
        comparisons = [
            compare(
                "record_dict + dump_tabular, CSV only, a row",
                launchkit_logger(rows, directory, print_table=False),
                reference,
                required=1.0,
                rounds=15,
                unit="us",
            ),
            compare(
                "the same with the table, a row",
                launchkit_logger(rows, directory, print_table=True),
                reference,
                required=1 / 3,
                rounds=15,
                unit="us",
            ),
        ]
    return report("bench_logger", comparisons, rows=count)


def make_rows(count: int) -> Rows:
    """Return rows of ten metrics whose values have all their digits."""
    chance = random.Random(0)
    return [{f"metric_{i}": chance.gauss(0, 100) for i in range(10)} for _ in range(count)]


def dict_writer(rows: Rows, directory: Path) -> Callable[[], float]:
    """Return what writes the rows with csv.DictWriter, and tells microseconds a row."""

    def write() -> float:
        with (directory / "reference.csv").open("w", newline="") as stream:
            writer = csv.DictWriter(stream, list(rows[0]))
            writer.writeheader()
            start = time.perf_counter()
            for row in rows:
                writer.writerow(row)
                stream.flush()
            return (time.perf_counter() - start) / len(rows) * 1e6

    return write


def launchkit_logger(rows: Rows, directory: Path, *, print_table: bool) -> Callable[[], float]:
    """Return what writes the rows with the logger, and tells microseconds a row."""

    def write() -> float:
        run = Path(tempfile.mkdtemp(dir=directory))
        logger = Logger()
        logger.open(run, print_table=print_table)
        with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
            start = time.perf_counter()
            for row in rows:
                logger.record_dict(row)
                logger.dump_tabular()
            elapsed = time.perf_counter() - start
        logger.close()
        if (run / "progress.csv").read_bytes().count(b"\n") != len(rows) + 1:
            raise AssertionError("the logger did not write every row")
        return elapsed / len(rows) * 1e6

    return write


if __name__ == "__main__":
    raise SystemExit(main())
