"""Wall time of a sweep of no-op jobs: a process a job, against joblib's reused workers.

    python benchmarks/bench_sweep_wall.py [--rounds N] [--jobs N]

Both run two jobs at a time. From the start of ``python app.py -m`` to its end: start of
Python, Hydra's own work, composition, the jobs, and what each launcher writes.
"""

from __future__ import annotations

from collections.abc import Callable

from _measure import compare, report
from _sweeps import JOBLIB, LOCAL, App, app, arguments, need_peer


def main() -> int:
    """Measure and return the exit code."""
    given = arguments(__doc__, rounds=7, jobs=100)
    need_peer("hydra-joblib-launcher")
    with app() as made:
        comparison = compare(
            f"wall time of a sweep of {given.jobs} no-op jobs",
            wall(made, LOCAL, given.jobs),
            wall(made, JOBLIB, given.jobs),
            required=3.0,
            rounds=given.rounds,
        )
    return report("bench_sweep_wall", [comparison], judged=given.judged, jobs=given.jobs)


def wall(made: App, launcher: tuple[str, ...], jobs: int) -> Callable[[], float]:
    """Return what sweeps once, and tells the seconds it took."""

    def measure() -> float:
        sweep = made.sweep(launcher, jobs)
        sweep.discard()
        return sweep.run.wall

    return measure


if __name__ == "__main__":
    raise SystemExit(main())
