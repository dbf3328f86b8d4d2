"""CPU time of a sweep of no-op jobs: a process a job, against Hydra's basic launcher.

    python benchmarks/bench_sweep_cpu.py [--rounds N] [--jobs N]

User and system time of the program and of all it started. The basic launcher starts
nothing: it runs the jobs one after the other in its own process.
"""

from __future__ import annotations

from collections.abc import Callable

from _measure import compare, report
from _sweeps import BASIC, LOCAL, App, app, arguments


def main() -> int:
    """Measure and return the exit code."""
    given = arguments(__doc__, rounds=7, jobs=100)
    with app() as made:
        comparison = compare(
            f"CPU time of a sweep of {given.jobs} no-op jobs",
            cpu(made, LOCAL, given.jobs),
            cpu(made, BASIC, given.jobs),
            required=2.0,
            rounds=given.rounds,
        )
    return report("bench_sweep_cpu", [comparison], judged=given.judged, jobs=given.jobs)


def cpu(made: App, launcher: tuple[str, ...], jobs: int) -> Callable[[], float]:
    """Return what sweeps once, and tells the seconds of CPU time it took."""

    def measure() -> float:
        sweep = made.sweep(launcher, jobs)
        sweep.discard()
        return sweep.run.cpu

    return measure


if __name__ == "__main__":
    raise SystemExit(main())
