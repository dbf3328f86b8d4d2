"""What the commands cost in a sweep of many jobs: status, table, resume, and the files' size.

    python benchmarks/bench_commands.py [--rounds N] [--jobs N | --sizes N,N,...]

A sweep of no-op jobs is run, of which ten fail. Then ``launchkit status`` is measured from
files that are not in memory, where this process may drop them (as root), and ``launchkit
table``; at last ``launchkit resume``, which runs the ten. What counts is the time a job of
the largest size against the one before it, and at 10,000 jobs the limits.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

from _measure import Comparison, Limit, Line, report
from _processes import Run, run
from _sweeps import LOCAL, App, app, sizes_given

SIZES = (100, 1_000, 10_000)
FAILING = 10
GROWTH = 1.25
STATUS_S = 2.0
BYTES_A_JOB = 4096

PROGRAM = f"""
import os

import hydra


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(config):
    if config.x < {FAILING} and "MENDED" not in os.environ:
        raise ValueError("as it should")


if __name__ == "__main__":
    main()
"""


def main() -> int:
    """Measure and return the exit code."""
    given = sizes_given(__doc__, SIZES, rounds=5)
    seconds: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    size_of_files = {}
    cold = True
    with app(PROGRAM) as made:
        for size in given.sizes:
            directory = _sweep(made, size)
            size_of_files[size] = _own_bytes(directory) / size
            for _ in range(given.rounds):
                cold = _drop_caches() and cold
                seconds["status"][size].append(_launchkit(made, "status", directory).wall)
                seconds["table"][size].append(_launchkit(made, "table", directory).wall)
            resumed = _launchkit(made, "resume", directory)
            seconds["resume"][size].append(resumed.wall)
    for size in given.sizes:
        said = ", ".join(
            f"{name} {statistics.median(times[size]):.3f} s" for name, times in seconds.items()
        )
        print(f"{size:6} jobs: {said}, {size_of_files[size]:.0f} bytes a job")
    most, less = given.sizes[-1], given.sizes[-2]
    files = "cold" if cold else "warm"
    lines: list[Line] = [
        Comparison(
            f"launchkit {name} a job, {most:,} jobs",
            [one / most * 1e3 for one in times[most]],
            [one / less * 1e3 for one in times[less]],
            1 / GROWTH,
            "ms",
        )
        for name, times in seconds.items()
    ]
    status = f"launchkit status, {most:,} jobs, {files} files"
    lines.append(Limit(status, seconds["status"][most], STATUS_S))
    largest = max(size_of_files.values())
    lines.append(Limit("the sweep's own files, a job", [largest], BYTES_A_JOB, "bytes"))
    return report(
        "bench_commands",
        lines,
        judged=tuple(given.sizes) == SIZES,
        seconds=seconds,
        bytes_a_job=size_of_files,
        cold=cold,
    )


def _sweep(made: App, size: int) -> Path:
    """Run a sweep in which ten jobs fail, and return its directory."""
    directory = made.directory / f"sweep-{size}"
    values = ",".join(map(str, range(size)))
    command = [sys.executable, "app.py", "-m", f"x={values}", f"hydra.sweep.dir={directory}"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    with (made.directory / "output.log").open("wb") as log:
        subprocess.run(
            [*command, *LOCAL],
            cwd=made.directory,
            env=environment,
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    return directory


def _launchkit(made: App, command: str, directory: Path) -> Run:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "MENDED": "1"}
    words = [sys.executable, "-m", "launchkit.cli", command, str(directory)]
    return run(words, made.directory, environment)


def _own_bytes(directory: Path) -> int:
    """Return the size of launchkit's files about a sweep and its jobs."""
    return sum(
        path.stat().st_size
        for own in (directory / ".launchkit", *directory.glob("*/.launchkit"))
        for path in own.rglob("*")
        if path.is_file()
    )


def _drop_caches() -> bool:
    """Drop what the system keeps of files in memory, and tell whether it did."""
    os.sync()
    try:
        Path("/proc/sys/vm/drop_caches").write_text("3\n")
    except OSError:
        return False
    return True


if __name__ == "__main__":
    raise SystemExit(main())
