"""Whether a job costs more in a sweep of many: no-op jobs, local, two at a time.

    python benchmarks/bench_scaling.py [--rounds N] [--jobs N | --sizes N,N,...]

Wall and CPU time of the whole program, divided by the number of jobs. What counts is the
largest size against the one before it; among few jobs, the start of the program is most.
``--jobs N`` measures N and half as many.
"""

from __future__ import annotations

import statistics
from collections import defaultdict

from _measure import Comparison, report
from _sweeps import LOCAL, app, sizes_given

SIZES = (100, 1_000, 10_000)
GROWTH = 1.25


def main() -> int:
    """Measure and return the exit code."""
    given = sizes_given(__doc__, SIZES, rounds=1)
    sizes: list[int] = given.sizes
    walls, cpus = defaultdict(list), defaultdict(list)
    with app() as made:
        made.sweep(LOCAL, 2).discard()
        for _ in range(given.rounds):
            for size in sizes:
                sweep = made.sweep(LOCAL, size)
                sweep.discard()
                walls[size].append(sweep.run.wall / size * 1e3)
                cpus[size].append(sweep.run.cpu / size * 1e3)
    for size in sizes:
        wall, cpu = statistics.median(walls[size]), statistics.median(cpus[size])
        print(f"{size:6} jobs: wall {wall:6.2f} ms, CPU {cpu:6.2f} ms a job")
    most, less = sizes[-1], sizes[-2]
    comparisons = [
        Comparison(f"{what} a job, {most:,} jobs", per_job[most], per_job[less], 1 / GROWTH, "ms")
        for what, per_job in (("wall time", walls), ("CPU time", cpus))
    ]
    return report(
        "bench_scaling",
        comparisons,
        judged=tuple(sizes) == SIZES,
        wall_ms_a_job=walls,
        cpu_ms_a_job=cpus,
    )


if __name__ == "__main__":
    raise SystemExit(main())
