"""`load_sweep` against a loop of pandas.read_csv plus reading variant.json.

    python benchmarks/bench_load_sweep.py [RUNS [ROWS]]

The loop leaves a list of frames; `load_sweep` also finds the runs, and leaves one table of
all rows with their job and swept values, and one of the runs. The second line is the loop
with the concat that brings it to the same table. Then load times of 100, 1,000 and 10,000
small runs show how the cost grows.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1]))

from _measure import compare, report

from launchkit.results import load_sweep

METRICS = 9  # and the epoch: ten columns
SMALL = (100, 1_000, 10_000)


def main() -> int:
    """Measure the lines, print the growth, and return the exit code."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    rows = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
    with tempfile.TemporaryDirectory() as folder:
        tree = make_runs(Path(folder), runs, rows)
        check_equal(tree)
        name = f"load_sweep of {runs} runs x {rows} rows x {METRICS + 1} columns"
        ours, theirs, joined = (discard(side, tree) for side in (load_sweep, loop, loop_and_concat))
        comparisons = [
            compare(name, ours, theirs, required=2.0),
            compare(f"{name}, to one table", ours, joined, required=2.0, rounds=5),
        ]
    return report("bench_load_sweep", comparisons, seconds_of_small_runs=growth())


def make_runs(folder: Path, runs: int, rows: int) -> Path:
    """Write runs whose numbers have all their digits, as the logger writes them."""
    random = np.random.default_rng(0)
    header = ",".join(["epoch", *(f"metric{place}" for place in range(METRICS))])
    for run in range(runs):
        directory = folder / str(run)
        directory.mkdir()
        variant = {"lr": run / 7, "seed": run % 10, "net": {"layers": run % 3}, "exp_name": run}
        (directory / "variant.json").write_text(json.dumps(variant, indent=2))
        values = random.normal(size=(rows, METRICS)).tolist()
        lines = [",".join(map(repr, [epoch, *row])) for epoch, row in enumerate(values)]
        (directory / "progress.csv").write_text("\n".join([header, *lines]) + "\n")
    return folder


def loop(tree: Path) -> list[tuple[pd.DataFrame, dict[str, object]]]:
    """Read every run by itself."""
    loaded = []
    for directory in sorted(tree.iterdir(), key=lambda path: int(path.name)):
        frame = pd.read_csv(directory / "progress.csv")
        with (directory / "variant.json").open() as stream:
            loaded.append((frame, json.load(stream)))
    return loaded


def loop_and_concat(tree: Path) -> pd.DataFrame:
    """Read every run by itself, and make one table of them with the swept values."""
    loaded = loop(tree)
    for job, (frame, variant) in enumerate(loaded):
        frame["job"], frame["lr"], frame["seed"] = job, variant["lr"], variant["seed"]
    return pd.concat([frame for frame, _ in loaded], ignore_index=True)


def check_equal(tree: Path) -> None:
    """Raise if the two sides do not give the same numbers."""
    theirs = loop_and_concat(tree)
    ours = load_sweep(tree).progress[theirs.columns]
    pd.testing.assert_frame_equal(ours, theirs, check_dtype=False, check_exact=True)


def growth() -> dict[int, float]:
    """Return the seconds it takes to load some numbers of runs of ten rows."""
    seconds = {}
    for runs in SMALL:
        with tempfile.TemporaryDirectory() as folder:
            tree = make_runs(Path(folder), runs, 10)
            load_sweep(tree)
            start = time.perf_counter()
            load_sweep(tree)
            seconds[runs] = time.perf_counter() - start
        per_run = seconds[runs] / runs * 1e6
        print(f"{runs} runs of 10 rows: {seconds[runs]:.3f} s, {per_run:.0f} us a run")
    return seconds


def discard(side: Callable[[Path], object], tree: Path) -> Callable[[], None]:
    """Return a call of a side without its result, so that the call is timed."""

    def call() -> None:
        side(tree)

    return call


if __name__ == "__main__":
    sys.exit(main())
