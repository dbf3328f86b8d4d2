"""The last row of a progress.csv, whatever its length, while a job goes on writing it."""

from __future__ import annotations

import csv
import os
import time
from collections.abc import Mapping
from pathlib import Path

from launchkit.job import Job
from launchkit.metrics import default_metrics

TAILS = (4096, 65536)
"""Bytes from the end of the file: most rows are short."""
EVERY_S = 2.0


def last_row(path: Path) -> dict[str, str]:
    """Return the last whole row of a progress.csv; nothing where there is none."""
    try:
        with path.open("rb") as stream:
            header = stream.readline()
            size = stream.seek(0, os.SEEK_END)
            for tail in TAILS:
                stream.seek(max(len(header), size - tail))
                rows = stream.read().splitlines(keepends=True)
                if rows and not rows[-1].endswith(b"\n"):
                    del rows[-1]
                # The first is whole only where another ends before it, or all of it was read.
                if len(rows) > 1 or (rows and size - tail <= len(header)):
                    return _row(header, rows[-1])
    except OSError:
        pass
    return {}


def _row(header: bytes, line: bytes) -> dict[str, str]:
    text = [part.decode(errors="replace") for part in (header, line)]
    try:
        names, values = csv.reader(text)
    except (csv.Error, ValueError):  # a file that is not the logger's
        return {}
    return dict(zip(names, values, strict=False))


def metrics_of(row: Mapping[str, str]) -> str:
    """Return the metrics of a row that tell most, in a few words."""
    return "  ".join(f"{name} {number(row[name])}" for name in default_metrics(row))


def number(cell: str) -> str:
    """Return a number in a table's few digits, and any other cell as it is."""
    try:
        return f"{float(cell):.4g}"
    except ValueError:
        return cell


class LatestMetrics:
    """The metrics of running jobs, each looked for only every so often."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[float, str]] = {}

    def of(self, job: Job) -> str:
        """Return the last metrics of a job, at most `EVERY_S` old."""
        now = time.monotonic()
        read, text = self._known.get(job.num, (-EVERY_S, ""))
        if now - read >= EVERY_S:
            text = metrics_of(last_row(job.directory / "progress.csv"))
            self._known[job.num] = (now, text)
        return text

    def forget(self, num: int) -> None:
        """Drop what is known of a job that has ended."""
        self._known.pop(num, None)
