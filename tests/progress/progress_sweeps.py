"""Sweeps in the states that the tests of progress and commands need."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from launchkit.job import Attempt, Job, JobError, JobState
from launchkit.modes.base import Plan
from launchkit.sweep import Sweep


class NoTask:
    """A task that no test runs."""

    def run(self, job: Job) -> None:
        raise AssertionError(f"job {job.num} was run")


def make_sweep(directory: Path, overrides: Sequence[Sequence[str]], **settings: object) -> Sweep:
    """Make a sweep of jobs that have not started."""
    sweep = Sweep.create(
        directory, mode="local", settings={}, command=["train.py", "-m"], **settings
    )
    jobs = [Job(num, tuple(texts), directory / str(num)) for num, texts in enumerate(overrides)]
    sweep.add(jobs)
    return sweep


def plan_of(sweep: Sweep, *lines: str) -> Plan:
    given = {"sweep": sweep, "jobs": sweep.jobs, "task": NoTask(), "lines": lines}
    # A plan may be given more fields; none of them is of interest here.
    known = {field.name for field in dataclasses.fields(Plan)}
    return Plan(**{name: value for name, value in given.items() if name in known})


def completed(seconds: float = 5.0, **values: object) -> Attempt:
    return Attempt(JobState.COMPLETED, started=100.0, ended=100.0 + seconds, exit_code=0, **values)


def failed(message: str = "boom", **values: object) -> Attempt:
    error = JobError("ValueError", message)
    values = {"started": 100.0, "ended": 101.0, **values}
    return Attempt(JobState.FAILED, exit_code=1, error=error, **values)
