"""What a sweep may have left beyond this machine's processes, in any mode it was run in."""

from __future__ import annotations

import pytest

from launchkit import cli
from launchkit import job as jobs
from launchkit.job import Job, JobError, JobState, end, start
from launchkit.leftovers import kill_left, mark_gone
from launchkit.modes import registry
from launchkit.sweep import Sweep


@pytest.fixture
def asked(monkeypatch):
    """Note which modes are asked to end what they have left, with which settings."""
    seen = []
    create = registry.create

    def noting(name, settings):
        mode = create(name, settings)
        monkeypatch.setattr(mode, "end_left", lambda sweep: seen.append((name, dict(settings))))
        return mode

    monkeypatch.setattr(registry, "create", noting)
    return seen


def make(directory, mode="local", settings=None):
    sweep = Sweep.create(directory, mode=mode, settings=settings or {}, command=["test"])
    sweep.add([Job(num, (), directory / str(num)) for num in range(3)])
    return sweep


def test_every_mode_that_it_was_run_in_is_asked(tmp_path, asked):
    sweep = make(tmp_path / "sweep")
    docker = {"image": "python:3.11-slim", "n_jobs": 2}
    sweep = sweep.reconfigured(mode="local_docker", settings=docker, policy={})
    sweep = sweep.reconfigured(mode="local_docker", settings=docker, policy={"max_retries": 1})
    sweep.reconfigured(mode="local", settings={"n_jobs": 1}, policy={})
    kill_left(Sweep.open(sweep.directory))
    assert asked == [("local", {}), ("local_docker", docker), ("local", {"n_jobs": 1})]


def test_cancel_ends_what_runs_on_though_its_job_is_said_to_have_ended(tmp_path, asked, capsys):
    sweep = make(tmp_path / "sweep", "local_docker", {"image": "python:3.11-slim"})
    for job in sweep.jobs:
        end(job, JobState.CANCELLED)
    assert cli.main(["cancel", str(sweep.directory)]) == 0
    assert [mode for mode, _ in asked] == ["local_docker"]
    assert "nothing to cancel" in capsys.readouterr().out


def test_cancel_leaves_a_sweep_alone_that_can_have_left_nothing(tmp_path, asked):
    sweep = make(tmp_path / "sweep")
    for job in sweep.jobs:
        end(job, JobState.CANCELLED)
    assert cli.main(["cancel", str(sweep.directory)]) == 0
    assert asked == []


def test_jobs_that_ran_where_nobody_can_look_are_marked_as_lost(tmp_path):
    sweep = make(tmp_path / "sweep")
    here, elsewhere, ended = sweep.jobs
    start(here)
    start(elsewhere)
    jobs.change(elsewhere, JobState.RUNNING, process="another-machine.7.1")
    start(ended)
    jobs.change(ended, JobState.FAILED, process="another-machine.8.1", error=JobError("A", "b"))
    mark_gone(sweep)
    states = [str(jobs.read(job.directory).state) for job in sweep.jobs]
    assert states == ["running", "lost", "failed"]
