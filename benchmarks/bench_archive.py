"""What a sweep takes along: the archive's time and size by the number of jobs, bytes a job.

    python benchmarks/bench_archive.py [--rounds N] [--jobs N]

The archive of a sweep of so many jobs is made in this process as ``local_docker`` makes it,
and that of a sweep of one, from a repository of 300 modules. Then two sweeps of no-op jobs
are run in Docker, and the files that launchkit has of the larger are compared with those of
the smaller: what a job adds below the sweep's ``.launchkit`` and in its own.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from _containers import IMAGE, LOCAL_DOCKER, need_docker
from _measure import Comparison, Limit, Line, compare, report
from _sweeps import App, app, arguments

from launchkit.job import OWN_DIR, Job
from launchkit.modes.baggage import FILE
from launchkit.modes.docker import DockerMode
from launchkit.sweep import Sweep

GROWTH = 1.25
BYTES_A_JOB = 10_000
SIZES = (4, 20)
"""Jobs of the two sweeps that are run."""
MODULES = {f"module{num}.py": f"VALUES = {list(range(num, 1500))}\n" for num in range(300)}


def main() -> int:
    """Measure and return the exit code."""
    given = arguments(__doc__, rounds=9, jobs=1000)
    need_docker()
    lines: list[Line] = []
    with app(modules=MODULES) as made:
        archives = Archives(made.directory)
        lines.append(
            compare(
                f"time to make the archive, {given.jobs:,} jobs",
                lambda: archives.make(given.jobs),
                lambda: archives.make(1),
                required=1 / GROWTH,
                rounds=given.rounds,
                unit="ms",
            )
        )
        many, one = archives.sizes[given.jobs], archives.sizes[1]
        name = f"size of the archive, {given.jobs:,} jobs"
        lines.append(Comparison(name, many, one, 1 / GROWTH, "MB"))
    with app() as made:
        few, more = SIZES if given.judged else (1, given.jobs)
        added = (own_bytes(made, more) - own_bytes(made, few)) / (more - few)
        lines.append(Limit("files about a job in Docker", [added], BYTES_A_JOB, "bytes"))
    return report("bench_archive", lines, judged=given.judged, jobs=given.jobs, swept=SIZES)


@dataclass(frozen=True)
class Nothing:
    """What the jobs run of a sweep whose archive is made."""

    def run(self, job: Job) -> None:
        """Do nothing."""


class Archives:
    """Makes archives of sweeps of a repository.

    Parameters
    ----------
    repository
        The code that goes along.
    """

    def __init__(self, repository: Path) -> None:
        self._repository = repository
        self._made = 0
        self.sizes: dict[int, list[float]] = {}
        """The sizes by the number of jobs, in MB."""

    def make(self, size: int) -> float:
        """Make the archive of a sweep of so many jobs, and return the ms that took."""
        self._made += 1
        directory = self._repository / f"sweep{self._made}"
        sweep = Sweep.create(directory, mode=DockerMode.name, settings={}, command=[])
        sweep.add(Job(num, (f"x={num}",), directory / str(num)) for num in range(size))
        mode = DockerMode(image=IMAGE, code_dirs=[str(self._repository)])
        start = time.perf_counter()
        mode.prepare(mode.plan(sweep, sweep.jobs, Nothing()))
        milliseconds = (time.perf_counter() - start) * 1e3
        self.sizes.setdefault(size, []).append((sweep.own / FILE).stat().st_size / 1e6)
        shutil.rmtree(directory)
        return milliseconds


def own_bytes(made: App, jobs: int) -> int:
    """Run a sweep of so many jobs, and return the size of launchkit's files about it."""
    sweep = made.sweep(LOCAL_DOCKER, jobs)
    return sum(
        path.stat().st_size
        for own in (sweep.directory / OWN_DIR, *sweep.directory.glob(f"*/{OWN_DIR}"))
        for path in own.rglob("*")
        if path.is_file()
    )


if __name__ == "__main__":
    raise SystemExit(main())
