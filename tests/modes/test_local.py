"""``local``: a process a job, forked or spawned, so many at a time."""

from __future__ import annotations

import os
import threading
from typing import ClassVar

import pytest
from contract import ModeContract
from engine_helpers import PATIENCE_S, environment, run_python, wait_until
from mode_tasks import Same, Unpicklable

from launchkit.job import Job, JobState, Needs
from launchkit.machine.placement import usable_cores
from launchkit.modes import local, registry
from launchkit.modes.base import Stop
from launchkit.modes.local import LocalMode
from launchkit.runner import Work


class LocalContract(ModeContract):
    name = "local"

    def test_every_job_has_a_process_of_its_own(self, tmp_path):
        pids = [outcome.value[0] for outcome in self.run(tmp_path / "sweep", Same("where"), 3)]
        assert len({*pids, os.getpid()}) == 4

    def test_a_running_job_shows_that_it_lives(self, tmp_path, monkeypatch):
        monkeypatch.setattr(local, "HEARTBEAT_S", 0.0)
        sweep, mode = self.make_sweep(tmp_path / "sweep"), self.make_mode()
        (job,) = self.make_jobs(sweep, [0])
        self.submit(mode, sweep, [job], Same("block"))
        try:
            # The first beats come before the job has made its directory.
            wait_until(lambda: mode.poll(0.0) or (job.own / "heartbeat").exists(), "a heartbeat")
        finally:
            mode.cancel([0], 10.0, Stop())
            wait_until(lambda: mode.poll(1.0), "the job to end")


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
        monkeypatch.setattr("launchkit.machine.processes.fork_is_safe", lambda safe=safe: safe)
        (line,) = LocalMode(n_jobs=3).plan(sweep, made, Same("good")).lines
        assert line.startswith("3 at a time")
        assert words in line


def test_auto_runs_what_cannot_be_pickled_where_forking_is_safe(tmp_path, monkeypatch):
    monkeypatch.setattr("launchkit.machine.processes.fork_is_safe", lambda: True)
    outcomes = LocalContract().run(tmp_path / "sweep", Unpicklable(), 2)
    assert {outcome.attempt.state for outcome in outcomes} == {JobState.COMPLETED}


def end_all(mode, nums):
    """End jobs at once, and see them ended."""
    mode.cancel(nums, 0.0, Stop())
    left = set(nums)
    while left:
        left -= mode.poll(PATIENCE_S).keys()


def test_as_many_jobs_run_as_there_are_cores_by_default(tmp_path):
    assert usable_cores() == len(os.sched_getaffinity(0))
    for settings, many in (({}, usable_cores()), ({"n_jobs": 3}, 3)):
        mode = registry.create("local", {**settings, "start_method": "fork"})
        contract = LocalContract()
        sweep = contract.make_sweep(tmp_path / str(many))
        made = contract.make_jobs(sweep, range(many + 1))
        (line,) = mode.plan(sweep, made, Same("good")).lines
        assert line.startswith(f"{many} at a time on this machine")
        contract.submit(mode, sweep, made, Same("block"))
        try:
            mode.poll(0.0)
            assert mode.running() == tuple(range(many))
        finally:
            end_all(mode, range(many + 1))


@pytest.mark.parametrize("n_jobs", [0, -3, "two", 1.5, True, [2]])
def test_a_number_of_jobs_that_is_none_is_refused(n_jobs):
    with pytest.raises(ValueError, match=r"n_jobs is .*; it must be a whole number of 1 or more"):
        registry.create("local", {"n_jobs": n_jobs})
    with pytest.raises(ValueError) as caught:
        LocalMode(n_jobs=n_jobs)
    assert repr(n_jobs) in str(caught.value)


def test_an_unknown_start_method_is_refused_by_name():
    with pytest.raises(ValueError, match=r"start_method is 'forkserver'.* auto, fork, spawn"):
        registry.create("local", {"start_method": "forkserver"})


def test_an_unknown_mode_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match=r"unknown mode 'lokal'.*here_no_doodad, local"):
        registry.create("lokal", {})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"jobs_per_gpu": 0}, r"jobs_per_gpu is 0; .* whole number of 1 or more$"),
        ({"jobs_per_gpu": None}, r"jobs_per_gpu is None; .* of 1 or more$"),
        ({"gpus_per_job": -1}, r"gpus_per_job is -1; .* 0 or more, or null"),
        ({"cpus_per_job": 1.5}, r"cpus_per_job is 1\.5; .* 1 or more, or null"),
        ({"gpus": "all"}, r"gpus is 'all'; it must be a list such as \[0,1\], auto, or null"),
        ({"gpus": "0"}, r"gpus is '0'; it must be a list"),
        ({"gpus": 2}, r"gpus is 2; it must be a list"),
        ({"gpus": [True]}, r"gpus is \[True\]; it must be a list"),
        ({"gpus": [0, "0"]}, r"gpus is \[0, '0'\]; the same GPU is in it twice"),
    ],
)
def test_a_wrong_placement_is_refused_by_name(settings, message):
    with pytest.raises(ValueError, match=message):
        registry.create("local", settings)


class Seen:
    """A job that says what it sees of this machine."""

    def run(self, job):
        names = ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "LAUNCHKIT_JOB")
        return [os.environ.get(name) for name in names]


@pytest.mark.parametrize("start_method", ["fork", "spawn"])
def test_each_job_sees_its_own_part_of_the_machine(tmp_path, monkeypatch, start_method):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,6,7")
    monkeypatch.setenv("OMP_NUM_THREADS", "64")
    contract = LocalContract()
    sweep = contract.make_sweep(tmp_path / "sweep")
    needs = [Needs(), Needs(gpus=2, cpus=1), Needs(gpus=0), Needs(cpus=3)]
    made = [Job(num, (), sweep.directory / str(num), need) for num, need in enumerate(needs)]
    mode = registry.create(
        "local",
        {"n_jobs": 1, "gpus": "auto", "cpus_per_job": 2, "start_method": start_method},
    )
    outcomes = contract.drive(Work(sweep, made, Seen()), mode=mode)
    assert [outcome.value for outcome in outcomes] == [
        ["5", "2", "0"],
        ["5,6", "1", "1"],
        ["", "2", "2"],
        ["5", "3", "3"],
    ]
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "5,6,7"


THREADS = """
import io, sys
from pathlib import Path
import numpy
from launchkit import runner
from launchkit.machine import openblas
from launchkit.job import Job
from launchkit.modes.local import LocalMode
from launchkit.display.progress import Progress
from launchkit.runner import Work
from launchkit.sweep import Sweep
class Task:
    def run(self, job):
        return 1 + openblas.extra_threads()
for cpus in (None, 1):
    sweep = Sweep.create(Path(sys.argv[1], str(cpus)), mode="local", settings={}, command=[])
    work = Work(sweep, [Job(0, (), sweep.directory / "0")], Task())
    mode = LocalMode(start_method="fork", cpus_per_job=cpus)
    print(runner.run(work, mode, Progress(io.StringIO()))[0].value)
"""


def test_a_library_that_the_launcher_has_loaded_keeps_to_the_jobs_threads(tmp_path):
    pytest.importorskip("numpy")
    free, placed = run_python(THREADS, tmp_path, env=environment(OPENBLAS_NUM_THREADS="2")).split()
    if free == "1":
        pytest.skip("this numpy has one thread")
    assert (free, placed) == ("2", "1")


def test_without_settings_a_job_sees_what_the_launcher_sees(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,6,7")
    monkeypatch.setenv("OMP_NUM_THREADS", "64")
    contract = LocalContract()
    sweep = contract.make_sweep(tmp_path / "sweep")
    mode = registry.create("local", {"start_method": "fork"})
    (outcome,) = contract.drive(Work(sweep, contract.make_jobs(sweep, [0]), Seen()), mode=mode)
    assert outcome.value == ["5,6,7", "64", "0"]


def test_a_job_that_needs_more_than_there_is_is_refused_before_any_runs(tmp_path):
    contract = LocalContract()
    sweep = contract.make_sweep(tmp_path / "sweep")
    made = contract.make_jobs(sweep, range(2))
    made[1] = Job(1, (), made[1].directory, Needs(gpus=3))
    mode = registry.create("local", {"gpus": [0, 1]})
    with pytest.raises(ValueError, match=r"job 1 needs 3 GPUs and gpus is \['0', '1'\]; set gpus"):
        contract.drive(Work(sweep, made, Same("good")), mode=mode)
    assert not made[0].directory.exists()
    assert sweep.jobs == ()


def test_jobs_share_gpus_as_far_as_that_is_allowed(tmp_path):
    contract = LocalContract()
    sweep = contract.make_sweep(tmp_path / "sweep")
    settings = {"gpus": [0, 1], "jobs_per_gpu": 2, "start_method": "fork"}
    mode = registry.create("local", settings)
    made = contract.make_jobs(sweep, range(5))
    contract.submit(mode, sweep, made, Same("block"))
    try:
        mode.poll(0.0)
        assert mode.running() == (0, 1, 2, 3)
    finally:
        end_all(mode, range(5))
