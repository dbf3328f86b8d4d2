"""Jobs on machines of EC2: one upload and one request a sweep, against doodad's of each job.

    python benchmarks/bench_cloud.py [--rounds N] [--jobs N]

Against doodad's `run_command` for each job, with the app and its packages as mounts. Its machines
are spot ones by EC2's older request, of which nothing is run; what counts is what it does here.

- Time, from the start of the program until the last machine has been bought: a machine a job, on
  a simulated EC2 of its own where machines run nothing. doodad is given thirty of the jobs, and
  each further one is reckoned with what these took.
- Bytes that thirty jobs bring to the bucket: ours those of a whole sweep, from beginning to end.
  The app has as much code beside it as rlkit has: two of Python's own packages.
- Listings of the bucket a minute, while a sweep's jobs sleep on one simulated machine.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
import urllib.parse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from _containers import IMAGE, need_docker
from _doodad_jobs import MACHINE, Jobs
from _measure import Comparison, Limit, Line, compare, report
from _packages import install_packages
from _processes import RunFailed
from _simulated_ec2 import BUCKET, KEY_PAIR, PROGRAMS, Aws, need_ec2, own_aws
from _sweeps import App, app, arguments

from launchkit import files
from launchkit.cloud.ledger import FILE
from launchkit.doodad import engine
from launchkit.job import OWN_DIR

THEIRS = 30
"""Jobs that doodad is given."""
FEW = 3
SLEEP_S = 10
SHORT_SLEEP_S = 2
USER_DATA = 16384
"""Bytes that EC2 takes."""
GROWTH = 1.25
BUY_S = 600.0
END_S = 300.0

SLEEPING = """
import time

import hydra


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(config):
    time.sleep({seconds})


if __name__ == "__main__":
    main()
"""
LIBRARY = {
    f"{name}_{path.name}": path.read_text()
    for name in ("asyncio", "xml")
    for path in sorted(Path(sysconfig.get_path("stdlib"), name).rglob("*.py"))
}
EC2 = (
    "hydra/launcher=launchkit_ec2",
    f"hydra.launcher.s3_bucket={BUCKET}",
    f"hydra.launcher.instance_type={MACHINE}",
    f"hydra.launcher.image={IMAGE}",
    "hydra.launcher.confirm=false",
)


def main() -> int:
    """Measure and return the exit code."""
    given = arguments(__doc__, rounds=3, jobs=1000)
    need_docker()
    need_ec2()
    jobs, some = given.jobs, min(THEIRS, given.jobs)
    seconds = SLEEP_S if given.judged else SHORT_SLEEP_S
    with app(SLEEPING.format(seconds=seconds), LIBRARY) as made:
        polled = Polled(made)
        few = min(FEW, some - 1)
        growth = polled.sweep(some) / polled.sweep(few)
        place = made.directory.parent / "machines"
        with own_aws(place) as aws:
            ours, theirs = Ours(made, aws), Doodad(made, aws, some)
            submitted = compare(
                f"time to submit {jobs:,} jobs to the simulated EC2, theirs by {some} of them",
                lambda: ours.submit(jobs),
                lambda: theirs.submit(jobs),
                required=10.0,
                rounds=given.rounds,
            )
    lines: list[Line] = [
        submitted,
        Comparison(
            f"bytes uploaded for {some} jobs on EC2",
            [polled.uploaded[some] / 1e6],
            [each / 1e6 for each in theirs.uploaded],
            some / 2,
            "MB",
        ),
        Limit(f"user-data of the machines of {jobs:,} jobs", ours.user_data, USER_DATA, "bytes"),
        Limit(
            f"listings of the bucket a minute while {some} jobs run, against {few} jobs",
            [growth],
            GROWTH,
            "times",
        ),
    ]
    return report("bench_cloud", lines, judged=given.judged, jobs=jobs, theirs=some)


class Polled:
    """Runs sweeps on a simulated machine, and counts what is asked of the bucket meanwhile.

    Parameters
    ----------
    made
        The app.
    """

    def __init__(self, made: App) -> None:
        self._made = made
        self._aws = Aws()
        self._prefix = f"bench-{os.getpid()}"
        self.uploaded: dict[int, int] = {}
        """Bytes by the number of jobs."""

    def sweep(self, jobs: int) -> float:
        """Sweep so many jobs, and return how often a minute the bucket was listed."""
        prefix = f"{self._prefix}-{jobs}"
        settings = {"s3_log_path": prefix, "num_exps_per_instance": jobs, "sync_interval": 3}
        more = [f"hydra.launcher.{name}={value}" for name, value in settings.items()]
        self._aws.begin()
        try:
            self._made.sweep((*EC2, *more), jobs).discard()
            self.uploaded[jobs] = self._aws.uploaded(prefix)
            return self._listings(prefix)
        finally:
            self._aws.remove(f"{prefix}/")

    def _listings(self, prefix: str) -> float:
        times = [
            each["time"]
            for each in self._aws.requests(prefix)
            if each["action"] == "ListObjectsV2"
            and "/.machines/" in urllib.parse.unquote(each["path"])
        ]
        if len(times) < 2:
            raise RunFailed(f"the bucket was listed {len(times)} times")
        return 60 * (len(times) - 1) / (times[-1] - times[0])


class Ours:
    """Submits sweeps to machines that run nothing.

    Parameters
    ----------
    made
        The app.
    aws
        The simulated AWS.
    """

    def __init__(self, made: App, aws: Aws) -> None:
        self._made = made
        self._aws = aws
        self.user_data: list[float] = []
        """Bytes of what the machines start with, a number a sweep."""

    def submit(self, jobs: int) -> float:
        """Sweep so many jobs, a machine each; return the seconds until all have been bought."""
        self._aws.begin(anew=True)
        words, directory = self._made.command(EC2, jobs)
        log = self._made.directory / "output.log"
        with log.open("wb") as stream:
            start = time.perf_counter()
            program = subprocess.Popen(
                words,
                cwd=self._made.directory,
                env={**self._made.env, **self._aws.environment},
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
            )
            try:
                while len(bought(directory)) < jobs:
                    if program.poll() is not None or time.perf_counter() - start > BUY_S:
                        raise RunFailed(f"no machines for {jobs} jobs:\n{log.read_text()[-4000:]}")
                    time.sleep(0.02)
                seconds = time.perf_counter() - start
                script = self._aws.user_data(bought(directory)[0])
                self.user_data.append(float(len(script)))
            finally:
                self._end(program)
        # The other side packs all there is.
        shutil.rmtree(directory)
        log.unlink()
        return seconds

    def _end(self, program: subprocess.Popen[bytes]) -> None:
        # Without its machines, which take moto long to end, it has little to do.
        self._aws.begin(anew=True)
        program.send_signal(signal.SIGTERM)
        try:
            program.wait(END_S)
        finally:
            program.kill()


def bought(directory: Path) -> list[str]:
    """Return the ids of the machines that a sweep has bought."""
    lines = files.read_json_lines(directory / OWN_DIR / FILE)
    return [each[0] for line in lines for each in line.get("machines", ())]


class Doodad:
    """Submits jobs with doodad, a call for each.

    Parameters
    ----------
    made
        The app.
    aws
        The simulated AWS.
    jobs
        How many jobs there are.
    """

    def __init__(self, made: App, aws: Aws, jobs: int) -> None:
        root = engine.find()
        assert root is not None
        self._aws = aws
        self._jobs = jobs
        self._folder = made.directory.parent
        self._spec = Jobs(
            doodad=str(root),
            image=IMAGE,
            app=str(made.directory),
            packages=str(self._folder / "packages"),
            output="/output",
            jobs=jobs,
            bucket=BUCKET,
            key_pair=KEY_PAIR,
        )
        path = os.pathsep.join((str(PROGRAMS), os.environ["PATH"]))
        self._env = {**os.environ, **aws.environment, "PATH": path}
        install_packages(self._folder / "packages")
        self.uploaded: list[int] = []
        """Bytes, a number a run."""

    def submit(self, jobs: int) -> float:
        """Submit the jobs; return the seconds that so many would take."""
        self._aws.begin(anew=True)
        spec = json.dumps({**asdict(self._spec), "ami": self._aws.image()})
        program = Path(__file__).with_name("_doodad_jobs.py")
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, program, spec],
            cwd=self._folder,
            env=self._env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        seconds = time.perf_counter() - start
        times = [each["time"] for each in self._requests()]
        if done.returncode != 0 or len(times) != self._jobs:
            said = done.stdout.decode(errors="replace")
            raise RunFailed(f"{len(times)} of {self._jobs} machines asked for:\n{said[-4000:]}")
        self.uploaded.append(self._aws.uploaded(BUCKET))
        each = (times[-1] - times[0]) / (len(times) - 1)
        return seconds + each * (jobs - self._jobs)

    def _requests(self) -> list[dict[str, Any]]:
        asked = self._aws.requests()
        return [one for one in asked if one["action"] == "RequestSpotInstances"]


if __name__ == "__main__":
    raise SystemExit(main())
