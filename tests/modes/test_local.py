"""``local``: a process a job, forked or spawned, so many at a time."""

from __future__ import annotations

import os
import threading
from typing import ClassVar

import pytest
from contract import ModeContract
from engine_helpers import wait_until
from mode_tasks import Same, Unpicklable

from launchkit.job import JobState
from launchkit.modes import local, registry
from launchkit.modes.local import LocalMode, usable_cores


class LocalContract(ModeContract):
    name = "local"

    def test_every_job_has_a_process_of_its_own(self, tmp_path):
        pids = [outcome.value[0] for outcome in self.run(tmp_path / "sweep", Same("where"), 3)]
        assert len({*pids, os.getpid()}) == 4

    def test_a_running_job_shows_that_it_lives(self, tmp_path, monkeypatch):
        monkeypatch.setattr(local, "HEARTBEAT_S", 0.0)
        sweep, mode = self.make_sweep(tmp_path / "sweep"), self.make_mode()
        (job,) = self.make_jobs(sweep, [0])
        sweep.add([job])
        mode.submit(mode.plan(sweep, [job], Same("block")))
        try:
            # The first beats come before the job has made its directory.
            wait_until(lambda: mode.poll(0.0) or (job.own / "heartbeat").exists(), "a heartbeat")
        finally:
            mode.cancel([0], 10.0)


class TestFork(LocalContract):
    settings: ClassVar = {"n_jobs": 2, "start_method": "fork"}


class TestSpawn(LocalContract):
    settings: ClassVar = {"n_jobs": 2, "start_method": "spawn"}
    pickles = True

    def test_two_threads_here_are_one_there(self, tmp_path):
        release = threading.Event()
        thread = threading.Thread(target=release.wait)
        thread.start()
        try:
            (outcome,) = self.run(tmp_path / "sweep", Same("where"), 1)
        finally:
            release.set()
            thread.join()
        assert outcome.value[2] == 1


def test_auto_spawns_where_forking_is_not_safe(tmp_path, monkeypatch):
    contract = LocalContract()
    sweep = contract.make_sweep(tmp_path / "sweep")
    made = contract.make_jobs(sweep, [0])
    for safe, words in ((True, "forked from this process"), (False, "-m launchkit.worker")):
        monkeypatch.setattr("launchkit.processes.fork_is_safe", lambda safe=safe: safe)
        (line,) = LocalMode(3).plan(sweep, made, Same("good")).lines
        assert line.startswith("3 at a time")
        assert words in line


def test_auto_runs_what_cannot_be_pickled_where_forking_is_safe(tmp_path, monkeypatch):
    monkeypatch.setattr("launchkit.processes.fork_is_safe", lambda: True)
    outcomes = LocalContract().run(tmp_path / "sweep", Unpicklable(), 2)
    assert {outcome.attempt.state for outcome in outcomes} == {JobState.COMPLETED}


def test_as_many_jobs_run_as_there_are_cores_by_default():
    assert LocalMode().slots == usable_cores() == len(os.sched_getaffinity(0))
    assert LocalMode(n_jobs=7).slots == 7


@pytest.mark.parametrize("n_jobs", [0, -3, "two", 1.5, True, [2]])
def test_a_number_of_jobs_that_is_none_is_refused(n_jobs):
    with pytest.raises(ValueError, match=r"n_jobs is .*; it must be a whole number of 1 or more"):
        registry.create("local", {"n_jobs": n_jobs})
    with pytest.raises(ValueError) as caught:
        LocalMode(n_jobs)
    assert repr(n_jobs) in str(caught.value)


def test_an_unknown_start_method_is_refused_by_name():
    with pytest.raises(ValueError, match=r"start_method is 'forkserver'.* auto, fork, spawn"):
        registry.create("local", {"start_method": "forkserver"})


def test_an_unknown_mode_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match=r"unknown mode 'lokal'.*here_no_doodad, local"):
        registry.create("lokal", {})
