"""Wall time of no-op jobs in Docker: one archive a sweep, against doodad's `run_command` a job.

    python benchmarks/bench_docker.py [--rounds N] [--jobs N]

Each job is the same Hydra app in a container of an image that has nothing but Python. On our
side it is a sweep of ``local_docker``, two containers at a time, a job each or, packed, half of
the jobs each; on doodad's a program that calls `run_command` for every job, with the app, its
packages and the output directory as its mounts. That waits for each job, so it is measured as
it is; and at last from two threads, whose jobs find the packages there, compiled, as if the
image had them.

From the start of each program to its end. What doodad leaves behind, a container a job, is
removed outside of the measurement.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from _containers import IMAGE, LOCAL_DOCKER, need_docker
from _doodad_jobs import Jobs
from _measure import Comparison, compare, report
from _packages import install_packages
from _processes import RunFailed, run
from _sweeps import App, app, arguments

from launchkit.doodad import engine
from launchkit.outside import docker

LABEL = f"launchkit-bench={os.getpid()}"
AT_A_TIME = 2


@dataclass(frozen=True)
class Variant:
    """What is measured against what.

    Parameters
    ----------
    required
        How many times faster ours must be.
    theirs
        How doodad runs the jobs.
    packed
        Whether ours share as few containers as run at a time.
    """

    required: float
    theirs: Jobs
    packed: bool = False


VARIANTS = {
    "against one of theirs after the other": Variant(3.0, Jobs(threads=1)),
    "packed into two containers, against the same": Variant(3.0, Jobs(threads=1), packed=True),
    "against two of theirs at a time, whose packages are in place": Variant(
        0.67, Jobs(threads=2, in_place=True)
    ),
}


def main() -> int:
    """Measure and return the exit code."""
    given = arguments(__doc__, rounds=3, jobs=50)
    need_docker()
    with app() as made:
        theirs = Doodad(made, given.jobs)
        lines = [
            measured(made, theirs, given.jobs, given.rounds, name, variant)
            for name, variant in VARIANTS.items()
        ]
    return report("bench_docker", lines, judged=given.judged, jobs=given.jobs, image=IMAGE)


def measured(
    made: App, theirs: Doodad, jobs: int, rounds: int, name: str, variant: Variant
) -> Comparison:
    """Measure a sweep of ours against doodad."""
    packed = [f"hydra.launcher.jobs_per_container={-(-jobs // AT_A_TIME)}"] * variant.packed
    return compare(
        f"wall time of {jobs} no-op jobs in Docker, {name}",
        ours(made, jobs, *packed),
        lambda: theirs.run(variant.theirs),
        required=variant.required,
        rounds=rounds,
    )


def ours(made: App, jobs: int, *more: str) -> Callable[[], float]:
    """Return what sweeps once, and tells the seconds it took."""

    def measure() -> float:
        sweep = made.sweep((*LOCAL_DOCKER, *more), jobs)
        sweep.discard()
        return sweep.run.wall

    return measure


class Doodad:
    """Runs an app with doodad, a call for each job.

    Parameters
    ----------
    made
        The app.
    jobs
        How many jobs a run has.
    """

    def __init__(self, made: App, jobs: int) -> None:
        root = engine.find()
        assert root is not None
        self._made = made
        self._jobs = jobs
        self._root = root
        self._output = made.directory.parent / "doodad-output"
        self._packages = made.directory.parent / "packages"
        self._output.mkdir()
        install_packages(self._packages)

    def run(self, how: Jobs) -> float:
        """Run all jobs once, and return the seconds it took."""
        spec = {
            **asdict(how),
            "doodad": str(self._root),
            "image": IMAGE,
            "app": str(self._made.directory),
            "packages": str(self._packages),
            "output": str(self._output),
            "jobs": self._jobs,
            "label": LABEL,
        }
        program = Path(__file__).with_name("_doodad_jobs.py")
        command = [sys.executable, str(program), json.dumps(spec)]
        try:
            done = run(command, self._made.directory.parent, os.environ)
            ran = len(list(self._output.glob("*/.hydra/overrides.yaml")))
            if ran != self._jobs:
                raise RunFailed(f"{ran} of {self._jobs} jobs ran:\n{done.output[-4000:]}")
        finally:
            self._clean()
        return done.wall

    def _clean(self) -> None:
        docker.remove_labelled(LABEL)
        # What the jobs have written there is root's.
        mount = f"type=bind,source={self._output},target=/output"
        remove = ["find", "/output", "-mindepth", "1", "-delete"]
        subprocess.run(["docker", "run", "--rm", "--mount", mount, IMAGE, *remove], check=True)


if __name__ == "__main__":
    raise SystemExit(main())
