"""Sweeps in all states, made without running anything, and the command as a process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from launchkit import job
from launchkit.driver import Claim
from launchkit.job import Job, JobError, JobState
from launchkit.sweep import Sweep

COMMAND = [sys.executable, "-u", "-m", "launchkit.cli"]


def make_sweep(directory: Path, count: int = 3, policy: dict[str, object] | None = None) -> Sweep:
    """Make a sweep of jobs that have not started, with a secret among their overrides."""
    sweep = Sweep.create(
        directory, mode="local", settings={}, command=["train.py", "-m"], policy=policy
    )
    overrides = [(f"x={num}", "wandb.api_key=s3cr3t") for num in range(count)]
    sweep.add(Job(num, overrides[num], directory / str(num)) for num in range(count))
    return sweep


def complete(*jobs: Job) -> None:
    for known in jobs:
        job.start(known)
        job.end(known, JobState.COMPLETED, exit_code=0)


def fail(known: Job, message: str = "boom") -> None:
    job.start(known)
    job.end(known, JobState.FAILED, exit_code=1, error=JobError("ValueError", message))


def drive(sweep: Sweep) -> Claim:
    """Return a claim to drive the sweep, to be entered."""
    return Claim(sweep, lambda text: None)


def start_elsewhere(known: Job) -> None:
    """Let a process start a job, and end without a word."""
    program = (
        "import sys; from pathlib import Path; from launchkit import job;"
        "job.start(job.Job(int(sys.argv[1]), (), Path(sys.argv[2])))"
    )
    argv = [sys.executable, "-c", program, str(known.num), str(known.directory)]
    subprocess.run(argv, check=True)


def launch(*arguments: object, **options: object) -> subprocess.Popen[str]:
    """Start the command, with what it prints as text."""
    settings = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
    return subprocess.Popen([*COMMAND, *map(str, arguments)], **settings)
