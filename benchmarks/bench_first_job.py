"""Time until the first job of a sweep starts, against joblib.

    python benchmarks/bench_first_job.py [--rounds N] [--jobs N]

From the start of the program's process to the first line of the first job's function,
which writes down the time; the earliest of all jobs counts.
"""

from __future__ import annotations

from collections.abc import Callable

from _measure import compare, report
from _processes import RunFailed
from _sweeps import JOBLIB, LOCAL, App, app, arguments, need_peer

PROGRAM = """
import time
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(config):
    now = time.time()
    (Path(HydraConfig.get().runtime.output_dir) / "started").write_text(repr(now))


if __name__ == "__main__":
    main()
"""


def main() -> int:
    """Measure and return the exit code."""
    given = arguments(__doc__, rounds=5, jobs=300)
    need_peer("hydra-joblib-launcher")
    with app(PROGRAM) as made:
        comparison = compare(
            f"time to the first job's start, of {given.jobs} jobs",
            first_start(made, LOCAL, given.jobs),
            first_start(made, JOBLIB, given.jobs),
            required=5.0,
            rounds=given.rounds,
        )
    return report("bench_first_job", [comparison], judged=given.judged, jobs=given.jobs)


def first_start(made: App, launcher: tuple[str, ...], jobs: int) -> Callable[[], float]:
    """Return what sweeps once, and tells the seconds until the first job started."""

    def measure() -> float:
        sweep = made.sweep(launcher, jobs)
        starts = [float(path.read_text()) for path in sweep.directory.glob("*/started")]
        if len(starts) != jobs:
            raise RunFailed(f"{len(starts)} of {jobs} jobs wrote when they started")
        sweep.discard()
        return min(starts) - sweep.run.began

    return measure


if __name__ == "__main__":
    raise SystemExit(main())
