"""Peak memory of a sweep whose task module holds 200 MB, against one such process alone.

    python benchmarks/bench_memory.py [--rounds N] [--jobs N]

Two jobs run at a time. Memory is the sum of the proportional set sizes (PSS) of the
process tree, sampled every 10 ms: of a page that n processes share, each has a n-th, so
the sum is what the tree takes from the machine. (The sum of resident sizes would count
what forks share once for each of them; the largest one would hide what they do not.)
A height counts where three samples have it, so that a process caught half-started does
not make one. The 200 MB are pages that are written to, as the data of an imported package are.
"""

from __future__ import annotations

from collections.abc import Callable

from _measure import compare, report
from _sweeps import LOCAL, App, app, arguments

MB = 2**20
PROGRAM = """
import time

import ballast
import hydra


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(config):
    assert ballast.HELD[config.x]
    time.sleep(0.3)  # long enough to be sampled


if __name__ == "__main__":
    main()
"""
BALLAST = f'HELD = bytearray(b"\\x01") * {200 * MB}\n'


def main() -> int:
    """Measure and return the exit code."""
    given = arguments(__doc__, rounds=5, jobs=6)
    with app(PROGRAM, {"ballast.py": BALLAST}) as made:
        comparison = compare(
            "peak memory of the process tree, task importing 200 MB",
            sweep_peak(made, given.jobs),
            lambda: made.once(sample_memory=True).peak / MB,
            required=1 / 1.25,
            rounds=given.rounds,
            unit="MB",
        )
    return report("bench_memory", [comparison], judged=given.judged, jobs=given.jobs)


def sweep_peak(made: App, jobs: int) -> Callable[[], float]:
    """Return what sweeps once, and tells the highest memory of its processes, in MB."""

    def measure() -> float:
        sweep = made.sweep(LOCAL, jobs, sample_memory=True)
        sweep.discard()
        return sweep.run.peak / MB

    return measure


if __name__ == "__main__":
    raise SystemExit(main())
