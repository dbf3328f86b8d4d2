"""Nothing of a sweep outlives its launcher, however that ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest
from engine_helpers import PATIENCE_S, environment, is_alive, start_python, wait_until
from leftover_tasks import KINDS, SLEEPER

from launchkit import driver, leftovers, process_table
from launchkit import job as jobs
from launchkit.driver import Claim, Driven
from launchkit.job import Job, JobState
from launchkit.leftovers import cancel_left, end_left, kill_left
from launchkit.sweep import Sweep

LAUNCHER = """
import sys
from launchkit import runner
from launchkit.job import Job
from launchkit.modes import registry
from launchkit.display.progress import Progress
from launchkit.runner import Work
from launchkit.sweep import Sweep
from leftover_tasks import Family
sweep = Sweep.open(sys.argv[1])
mode = registry.create("local", {"n_jobs": 2, "start_method": sys.argv[2]})
made = [Job(num, (), sweep.directory / str(num)) for num in range(3)]
runner.run(Work(sweep, made, Family(sys.argv[3:])), mode, Progress(open("/dev/null", "w")))
"""


@pytest.fixture
def sweep(empty_sweep):
    return empty_sweep


@pytest.fixture
def launch(sweep):
    """Start a launcher of two families and a job that waits, and return it with the families."""
    started, families = [], []

    def launch(start_method, kinds=KINDS):
        path = str(Path(__file__).parent)
        environment_ = environment()
        environment_["PYTHONPATH"] += f"{os.pathsep}{path}"
        program = start_python(LAUNCHER, sweep.directory, start_method, *kinds, env=environment_)
        started.append(program)
        paths = [sweep.directory / f"{num}.family" for num in (0, 1)]
        for path in paths:
            wait_until(lambda: path.exists() or program.poll() is not None, path)  # noqa: B023
            families.append(json.loads(path.read_text()))
        pids = {(num, kind): pid for num in (0, 1) for kind, pid in families[num].items()}
        assert all(map(is_alive, pids.values()))
        return program, pids

    yield launch
    for program in started:
        program.kill()
        program.communicate()
    for family in families:
        for pid in filter(is_alive, family.values()):
            os.kill(pid, signal.SIGKILL)


def alive(pids):
    return sorted(known for known, pid in pids.items() if is_alive(pid))


def wait_for_end(pids):
    try:
        wait_until(lambda: not alive(pids), "all processes to end")
    except AssertionError as error:
        raise AssertionError(f"these live on: {alive(pids)}") from error


def states(sweep):
    return [str(attempt.state) for attempt in Sweep.open(sweep.directory).attempts().values()]


@pytest.mark.parametrize("start_method", ["fork", "spawn"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_when_the_launcher_is_ended(launch, sweep, start_method, number):
    launcher, pids = launch(start_method)
    launcher.send_signal(number)
    launcher.wait(PATIENCE_S)
    wait_for_end(pids)
    if number is signal.SIGTERM:
        assert states(sweep) == ["cancelled"] * 3
        return
    known = driver.current(sweep)
    wait_until(lambda: not process_table.is_alive(known.warden), "the warden to end")
    # What it cannot know it does not say: the next driver does.
    assert states(sweep) == ["running", "running", "pending"]


@pytest.mark.parametrize("start_method", ["fork", "spawn"])
def test_nothing_is_left_when_a_job_is_killed(launch, sweep, start_method):
    _, pids = launch(start_method)
    first = {known: pid for known, pid in pids.items() if known[0] == 0}
    os.kill(pids[0, "job"], signal.SIGKILL)
    wait_for_end(first)
    assert len(alive(pids)) == len(KINDS) + 1


@pytest.mark.parametrize("start_method", ["fork", "spawn"])
def test_what_is_left_when_the_warden_is_killed_too_is_ended_by_the_next_one(
    launch, sweep, start_method
):
    launcher, pids = launch(start_method)
    last = driver.current(sweep)
    os.kill(process_table.here(last.warden), signal.SIGKILL)
    launcher.kill()
    launcher.wait(PATIENCE_S)
    # The system itself has ended the jobs' own processes.
    wait_for_end({known: pid for known, pid in pids.items() if known[1] == "job"})
    sweep = Sweep.open(sweep.directory)
    with Claim(sweep, print):
        attempts = end_left(sweep)
    assert alive(pids) == []
    assert [str(attempt.state) for attempt in attempts.values()] == ["lost", "lost", "pending"]
    assert states(sweep) == ["lost", "lost", "pending"]
    assert attempts[0].reason.startswith("ProcessGone: its process has ended without saying how")


def test_a_launcher_whose_warden_is_killed_goes_on(launch, sweep):
    launcher, pids = launch("fork", ["program"])
    os.kill(process_table.here(driver.current(sweep).warden), signal.SIGKILL)
    launcher.terminate()
    launcher.wait(PATIENCE_S)
    wait_for_end(pids)
    assert states(sweep) == ["cancelled"] * 3
    assert driver.current(sweep).released


def test_a_warden_hears_no_signal_that_is_meant_for_the_launcher(launch, sweep):
    launcher, pids = launch("fork", [])
    warden = process_table.here(driver.current(sweep).warden)
    # Ctrl-C goes to the terminal's foreground processes: those of the launcher's group.
    assert os.getpgid(warden) == warden != os.getpgid(launcher.pid)
    assert os.listdir(f"/proc/{warden}/fd")
    targets = {os.readlink(f"/proc/{warden}/fd/{fd}") for fd in os.listdir(f"/proc/{warden}/fd")}
    # Nobody waits in vain for the end of a pipe that it holds.
    assert all(target in ("/dev/null", "anon_inode:[pidfd]") for target in targets)
    launcher.terminate()
    launcher.wait(PATIENCE_S)
    wait_until(lambda: not is_alive(warden), "the warden to end")
    assert alive(pids) == []


# What is known to be left


def test_others_are_never_ended(sweep):
    own = {**os.environ, "LAUNCHKIT_SWEEP": f"{sweep.id}0", "LAUNCHKIT_TAG": f"{sweep.tag}0"}
    bystanders = [
        subprocess.Popen(SLEEPER),
        subprocess.Popen(SLEEPER, env=own, start_new_session=True),
    ]
    try:
        sweep.add([Job(num, (), sweep.directory / str(num)) for num in range(3)])
        # Their ids were those of jobs, before they were given again.
        for job, bystander in zip(sweep.jobs, bystanders, strict=False):
            known, _, started = process_table.identity(bystander.pid).rpartition(".")
            before = f"{known}.{int(started) - 1}"
            jobs.change(job, JobState.RUNNING, process=before)
        # This process runs a job itself, in a mode without processes of their own.
        jobs.change(sweep.jobs[2], JobState.COMPLETED, process=process_table.identity())
        kill_left(sweep)
        assert [bystander.poll() for bystander in bystanders] == [None, None]
    finally:
        for bystander in bystanders:
            bystander.kill()
            bystander.communicate()


def test_what_has_no_environment_of_its_own_is_known_by_its_session(sweep):
    tags = {**os.environ, "LAUNCHKIT_SWEEP": sweep.id, "LAUNCHKIT_TAG": sweep.tag}
    words = ["sh", "-c", 'env -i "$@" & echo $!; wait', "sh", *SLEEPER]
    leader = subprocess.Popen(words, env=tags, start_new_session=True, stdout=subprocess.PIPE)
    try:
        bare = int(leader.stdout.readline())
        environ = Path(f"/proc/{bare}/environ")
        wait_until(lambda: environ.read_bytes() == b"", "its environment to be empty")
        kill_left(sweep)
        assert alive({"leader": leader.pid, "bare": bare}) == []
    finally:
        os.killpg(leader.pid, signal.SIGKILL)
        leader.communicate()


def test_a_process_that_does_not_end_is_named(sweep, monkeypatch):
    monkeypatch.setattr(leftovers, "ROUNDS_S", 0.05)
    monkeypatch.setattr(leftovers.processes, "send", lambda pids, number: None)
    tags = {**os.environ, "LAUNCHKIT_SWEEP": sweep.id, "LAUNCHKIT_TAG": sweep.tag}
    stubborn = subprocess.Popen(SLEEPER, env=tags)
    try:
        # For a moment of its start, a process has no environment that can be read.
        wait_until(lambda: stubborn.pid in process_table.tagged("LAUNCHKIT_TAG", sweep.tag), "it")
        with pytest.raises(leftovers.SweepError, match=rf"do not end: {stubborn.pid}$"):
            kill_left(sweep)
    finally:
        stubborn.kill()
        stubborn.communicate()


def test_jobs_that_nobody_drives_are_cancelled_in_their_launchers_place(sweep):
    sweep.add([Job(num, (), sweep.directory / str(num)) for num in range(6)])
    for job, state in zip(
        sweep.jobs,
        (JobState.COMPLETED, JobState.FAILED, JobState.RUNNING, JobState.LOST, JobState.RUNNING),
        strict=False,
    ):
        jobs.change(job, state)
    cancel_left(sweep, {0, 1, 2, 3, 5}, print)
    # Job 4 is none of those, but it runs no more.
    assert states(sweep) == ["completed", "failed", "cancelled", "cancelled", "lost", "cancelled"]
    assert driver.current(sweep).released


def test_those_of_a_sweep_that_is_driven_are_left_to_its_launcher(sweep):
    sweep.add([Job(0, (), sweep.directory / "0")])
    with Claim(sweep, print), pytest.raises(Driven):
        cancel_left(sweep, {0}, print)
    assert states(sweep) == ["pending"]


def test_the_warden_can_be_a_program_of_its_own(sweep, tmp_path):
    # As it is where forking is not safe.
    tags = {**environment(), "LAUNCHKIT_SWEEP": sweep.id, "LAUNCHKIT_TAG": sweep.tag}
    left = subprocess.Popen(SLEEPER, env=tags, start_new_session=True)
    program = """
import os, subprocess, sys
from launchkit.driver import Claim
from launchkit.sweep import Sweep
from launchkit import warden
from launchkit.machine import processes
processes.fork_is_safe = lambda: False
sweep = Sweep.open(sys.argv[1])
with Claim(sweep, print) as claim, warden.Warden(sweep, claim) as known:
    claim.guarded_by(known)
    print("guarded", flush=True)
    sys.stdin.readline()
"""
    launcher = start_python(program, sweep.directory, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert launcher.stdout.readline() == "guarded\n"
        warden = process_table.here(driver.current(sweep).warden)
        assert is_alive(warden)
        assert left.poll() is None
        launcher.kill()
        assert left.wait(PATIENCE_S) == -signal.SIGKILL
        wait_until(lambda: not is_alive(warden), "the warden to end")
    finally:
        for process in (left, launcher):
            process.kill()
            process.communicate()


def test_the_warden_gives_signs_of_life_for_a_launcher_that_is_busy(sweep):
    program = """
import os, sys
from launchkit import driver, warden
from launchkit.sweep import Sweep
warden.BEAT_S = 0.02
sweep = Sweep.open(sys.argv[1])
with driver.Claim(sweep, print) as claim, warden.Warden(sweep, claim):
    os.utime(claim.path, (1000, 1000))
    while claim.path.stat().st_mtime == 1000:
        pass
"""
    launcher = start_python(program, sweep.directory)
    try:
        assert launcher.wait(PATIENCE_S) == 0
    finally:
        launcher.kill()
