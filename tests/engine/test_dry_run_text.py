"""What a sweep would do, in words, to the letter."""

from __future__ import annotations

import sys

import pytest

from launchkit import dry_run
from launchkit import job as jobs
from launchkit.driver import Claim, Driven
from launchkit.job import Job, JobState, Needs
from launchkit.modes import registry
from launchkit.policy import Policy
from launchkit.runner import Work
from launchkit.sweep import Sweep, SweepError


@pytest.fixture
def sweep(tmp_path):
    command = ["my train.py", "-m", "lr=1,2", "api_key=sk-1234567890abcdef"]
    return Sweep.create(tmp_path / "sweep", mode="local", settings={}, command=command)


@pytest.fixture
def made(sweep):
    where = sweep.directory
    return [
        Job(0, ("lr=1", "db.password=hunter2"), where / "0"),
        Job(1, (), where / "1", Needs(gpus=0, timeout_min=1.5)),
    ]


LOCAL = registry.create("local", {"n_jobs": 3, "start_method": "fork"})


def test_it_says_all_that_would_happen(sweep, made):
    assert dry_run.describe(Work(sweep, made, None), LOCAL, Policy()) == (
        f"""\
dry run, nothing is started: 2 jobs, mode local
  directory: {sweep.directory}
  program: {sys.executable} 'my train.py' -m lr=1,2 api_key=***
  3 at a time on this machine, a process each: forked from this process
  job 0: lr=1 db.password=***
    in {sweep.directory}/0
  job 1: -  (gpus=0, timeout_min=1.5)
    in {sweep.directory}/1"""
    )


def test_of_a_resumed_sweep_it_says_what_is_left(sweep, made):
    sweep.add(made)
    jobs.change(made[0], JobState.COMPLETED)
    jobs.change(made[1], JobState.FAILED)
    work = Work(sweep, made, None, resumed=True)
    lines = dry_run.describe(work, LOCAL, Policy()).splitlines()
    assert lines[0] == "dry run, nothing is started: 1 job, mode local"
    assert lines[4:] == [
        "  job 1: -  (gpus=0, timeout_min=1.5, failed before)",
        f"    in {sweep.directory}/1",
        "  completed and not run again: 1 job",
    ]


def test_nothing_is_written(sweep, made):
    before = {path: path.stat().st_mtime_ns for path in sweep.directory.rglob("*")}
    dry_run.describe(Work(sweep, made, None), LOCAL, Policy())
    assert {path: path.stat().st_mtime_ns for path in sweep.directory.rglob("*")} == before
    assert sweep.jobs == ()


def test_what_would_forbid_the_sweep_forbids_it_now(sweep, made):
    (made[0].directory).mkdir()
    (made[0].directory / "progress.csv").touch()
    with pytest.raises(SweepError, match=r"already holds a run \(progress.csv\)"):
        dry_run.describe(Work(sweep, made, None), LOCAL, Policy())
    greedy = [Job(0, (), sweep.directory / "new", Needs(gpus=1))]
    with pytest.raises(ValueError, match="job 0 needs 1 GPUs"):
        dry_run.describe(Work(sweep, greedy, None), LOCAL, Policy())
    here = registry.create("here_no_doodad", {})
    with pytest.raises(ValueError, match=r"timeout_min is 1\.5, and mode 'here_no_doodad' cannot"):
        dry_run.describe(Work(sweep, made[1:], None), here, Policy())


def test_a_sweep_that_is_being_driven_is_not_resumed_in_words_either(sweep, made):
    sweep.add(made)
    work = Work(sweep, made, None, resumed=True)
    with Claim(sweep, print), pytest.raises(Driven, match="is being driven by process"):
        dry_run.describe(work, LOCAL, Policy())
    assert dry_run.describe(work, LOCAL, Policy()).startswith("dry run")
