"""Wall time of a sweep of no-op jobs on Slurm: one allocation for all, against a job each.

    python benchmarks/bench_slurm.py [--rounds N] [--jobs N]

All our jobs are packed into one task of an array, which runs two at a time on the node's own
Python; the other side is hydra-submitit-launcher as it comes. From the start of ``python
app.py -m`` to its end. The nodes must share the disk of ``TMPDIR``. It takes some minutes.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from _measure import compare, report
from _processes import RunFailed
from _sweeps import App, app, arguments, need_peer

from launchkit.modes.slurm import SlurmMode

SUBMITIT = ("hydra/launcher=submitit_slurm",)
FREE_S = 300.0


def main() -> int:
    """Measure and return the exit code."""
    given = arguments(__doc__, rounds=3, jobs=100)
    need_peer("hydra-submitit-launcher")
    lacking = SlurmMode.lacking()
    if lacking:
        raise SystemExit(f"Slurm cannot be measured here: {'; '.join(lacking)}")
    with app() as made:
        comparison = compare(
            f"wall time of a sweep of {given.jobs} no-op jobs on Slurm",
            wall(made, packed(given.jobs), given.jobs),
            wall(made, SUBMITIT, given.jobs),
            required=10.0,
            rounds=given.rounds,
        )
    return report("bench_slurm", [comparison], judged=given.judged, jobs=given.jobs)


def packed(jobs: int) -> tuple[str, ...]:
    """Return what makes one task of all jobs, two of which run at a time."""
    return (
        "hydra/launcher=launchkit_slurm_singularity",
        f"hydra.launcher.jobs_per_task={jobs}",
        "hydra.launcher.n_jobs=2",
        "hydra.launcher.cpus_per_task=2",
    )


def wall(made: App, launcher: tuple[str, ...], jobs: int) -> Callable[[], float]:
    """Return what sweeps once, and tells the seconds it took."""

    def measure() -> float:
        sweep = made.sweep(launcher, jobs)
        # Slurm lets go of a job after its launcher knows that it has ended.
        wait_until_free(made.directory)
        sweep.discard()
        return sweep.run.wall

    return measure


def wait_until_free(directory: Path) -> None:
    """Wait until Slurm has no more jobs that were submitted from a directory.

    Raises
    ------
    RunFailed
        If it still has some after five minutes.
    """
    deadline = time.monotonic() + FREE_S
    while time.monotonic() < deadline:
        listed = subprocess.run(
            ["squeue", "--me", "--noheader", "--format=%Z"],
            capture_output=True,
            text=True,
            check=True,
        )
        if str(directory) not in listed.stdout.splitlines():
            return
        time.sleep(0.5)
    raise RunFailed(f"Slurm still has jobs of {directory}")


if __name__ == "__main__":
    raise SystemExit(main())
