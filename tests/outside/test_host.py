"""The host of a pack: what it runs, what it is asked, and what it finds when it begins anew."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from engine_helpers import PATIENCE_S, environment, is_alive, wait_until
from mode_case import changes_of
from mode_tasks import Act

from launchkit import payload, value
from launchkit.job import Job, JobError, JobState, Needs, end, read, start
from launchkit.outside import asks, packs
from launchkit.outside.asks import Ask
from launchkit.sweep import Sweep


class Case:
    """A sweep with a pack of jobs that act so, and its host in a process of its own."""

    def __init__(self, directory, actions, *, needs=None, **places):
        self.sweep = Sweep.create(directory, mode="local_docker", settings={}, command=["test"])
        made = [Job(num, (), directory / str(num), needs or Needs()) for num in range(len(actions))]
        self.sweep.add(made)
        payload.save_batch(self.sweep, Act(dict(enumerate(actions))), made)
        self.places = places
        self.programs = []

    def start(self, nums=None, *, stays=False, **variables):
        chosen = [job.num for job in self.sweep.jobs] if nums is None else nums
        (pack,) = packs.add(self.sweep, [chosen], self.places, stays=stays)
        self.pack = pack.num
        return self.start_again(**variables)

    def start_again(self, **variables):
        program = subprocess.Popen(
            [sys.executable, "-m", "launchkit.host", str(self.sweep.directory), str(self.pack)],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={**environment(), **variables},
        )
        self.programs.append(program)
        return program

    def states(self):
        return [str(read(job.directory).state) for job in self.sweep.jobs]

    def wait_for(self, num, state):
        directory = self.sweep.jobs[num].directory
        wait_until(lambda: read(directory).state is state, f"job {num} to be {state}")

    def wait_for_block(self, num):
        path = self.sweep.directory / f"{num}.pids"
        wait_until(path.exists, f"job {num} to block")
        return [int(pid) for pid in path.read_text().split()]


@pytest.fixture
def make_case(tmp_path):
    made = []

    def make(actions, **more):
        made.append(Case(tmp_path / f"sweep{len(made)}", actions, **more))
        return made[-1]

    yield make
    for case in made:
        for program in case.programs:
            program.kill()
            program.communicate()


def code_of(program):
    _, err = program.communicate(timeout=PATIENCE_S)
    assert "Traceback" not in err
    return program.returncode


@pytest.mark.parametrize(
    ("action", "code", "state"),
    [
        ("good", 0, "completed"),
        ("raises", 1, "failed"),
        ("exit_3", 3, "failed"),
        ("killed", 137, "failed"),
    ],
)
def test_the_exit_code_of_one_job_is_its_own(make_case, action, code, state):
    case = make_case([action], n_jobs=1)
    assert code_of(case.start()) == code
    assert case.states() == [state]


def test_of_several_jobs_the_exit_code_tells_whether_all_completed(make_case):
    case = make_case(["good", "exit_3", "good"], n_jobs=2)
    assert code_of(case.start()) == 1
    assert case.states() == ["completed", "failed", "completed"]
    assert code_of(case.start([0, 2])) == 0
    assert [value.load(case.sweep.jobs[num]) for num in (0, 2)] == [0, 20]


def test_so_many_jobs_run_at_a_time_as_the_pack_says(make_case):
    case = make_case(["waits_for_release"] * 3, n_jobs=2)
    program = case.start()
    case.wait_for_block(0)
    case.wait_for_block(1)
    assert case.states() == ["running", "running", "pending"]
    for num in range(3):
        (case.sweep.directory / f"{num}.go").touch()
    assert code_of(program) == 0


def test_asked_to_it_ends_jobs_that_run_and_that_wait(make_case):
    case = make_case(["block", "good", "waits_for_release"], n_jobs=1)
    program = case.start([0, 1, 2])
    pids = case.wait_for_block(0)
    why = JobError("Why", "because")
    asks.ask(case.sweep, case.pack, Ask((1,), 5.0))
    asks.ask(case.sweep, case.pack, Ask((0, 77), 5.0, JobState.TIMEOUT, why))
    case.wait_for(0, JobState.TIMEOUT)
    case.wait_for(1, JobState.CANCELLED)
    assert read(case.sweep.jobs[0].directory).error == why
    assert not any(is_alive(pid) for pid in pids)
    (case.sweep.directory / "2.go").touch()
    assert code_of(program) == 1
    assert case.states() == ["timeout", "cancelled", "completed"]


def test_what_was_asked_before_it_began_is_heard_first(make_case):
    case = make_case(["good", "good"], n_jobs=1)
    asks.ask(case.sweep, 0, Ask((1,), 5.0))
    assert code_of(case.start()) == 1
    assert case.states() == ["completed", "cancelled"]
    assert changes_of(case.sweep.jobs[1]) == [(1, "cancelled")]


def test_one_that_stays_runs_what_it_is_asked_to_until_it_is_told_to_end(make_case):
    case = make_case(["good", "good", "good"], n_jobs=1)
    program = case.start([0], stays=True)
    case.wait_for(0, JobState.COMPLETED)
    assert program.poll() is None
    asks.ask(case.sweep, case.pack, Ask(run=(2, 1)))
    case.wait_for(1, JobState.COMPLETED)
    asks.ask(case.sweep, case.pack, Ask(end=True))
    assert code_of(program) == 0
    assert case.states() == ["completed"] * 3


@pytest.mark.parametrize(("said", "state"), [(None, "cancelled"), ("preempted", "preempted")])
def test_a_signal_ends_its_jobs(make_case, said, state):
    case = make_case(["block", "good"], n_jobs=1)
    program = case.start(**({"LAUNCHKIT_ON_SIGNAL": said} if said else {}))
    pids = case.wait_for_block(0)
    program.send_signal(signal.SIGTERM)
    assert code_of(program) != 0
    assert case.states() == [state] * 2
    assert not any(is_alive(pid) for pid in pids)


def test_begun_anew_it_goes_on_with_what_was_cut_off(make_case):
    case = make_case(["good", "block_at_first", "good"], n_jobs=1)
    program = case.start(LAUNCHKIT_ON_SIGNAL="preempted")
    case.wait_for_block(1)
    program.send_signal(signal.SIGTERM)
    code_of(program)
    assert case.states() == ["completed", "preempted", "preempted"]
    assert code_of(case.start_again()) == 0
    assert case.states() == ["completed"] * 3
    assert [read(job.directory).attempt for job in case.sweep.jobs] == [1, 2, 2]


def test_a_job_whose_host_was_killed_is_lost_and_runs_again(make_case):
    case = make_case(["block_at_first"], n_jobs=1)
    program = case.start()
    pids = case.wait_for_block(0)
    program.kill()
    program.wait()
    for pid in pids:
        if is_alive(pid):
            os.kill(pid, signal.SIGKILL)
    assert code_of(case.start_again()) == 0
    states = [state for _, state in changes_of(case.sweep.jobs[0])]
    assert states == ["running", "lost", "pending", "running", "completed"]


def test_jobs_that_have_ended_are_not_run_again(make_case):
    case = make_case(["good", "good", "good"], n_jobs=1)
    for job, state in zip(case.sweep.jobs, ("completed", "failed", "cancelled"), strict=True):
        start(job)
        end(job, JobState(state), exit_code=0)
    assert code_of(case.start()) == 0
    assert case.states() == ["completed", "failed", "cancelled"]


def test_what_cannot_be_loaded_is_the_failure_of_each_job(make_case):
    case = make_case(["good", "good"], n_jobs=1)
    (case.sweep.own / "payload.pkl").write_bytes(b"{}\n")
    assert code_of(case.start()) == 1
    for job in case.sweep.jobs:
        attempt = read(job.directory)
        assert (attempt.state, attempt.error.type) == (JobState.FAILED, "PayloadError")
        assert "payload.pkl cannot be read" in job.stderr.read_text()


def test_a_job_keeps_the_gpus_of_its_carrier(make_case):
    case = make_case(["good"], needs=Needs(gpus=1), n_jobs=1)
    assert code_of(case.start(CUDA_VISIBLE_DEVICES="3")) == 0


def test_a_pack_that_is_not_there_is_said(make_case):
    case = make_case(["good"])
    case.pack = 7
    _, err = case.start_again().communicate(timeout=PATIENCE_S)
    assert "has no pack 7" in err


def test_packs_have_numbers_of_their_own_and_are_found_again(make_case):
    sweep = make_case(["good"] * 4).sweep
    first = packs.add(sweep, [[0, 1], [2]], {"n_jobs": 2})
    second = packs.add(sweep, [[3]], {}, stays=True)
    assert [pack.num for pack in first + second] == [0, 1, 2]
    assert [packs.find(sweep, num) for num in range(3)] == first + second


def test_a_wish_that_is_being_written_is_read_when_it_is_whole(make_case):
    sweep = make_case(["good"]).sweep
    reader = asks.Asks(sweep, 0)
    assert list(reader.take()) == []
    wish = Ask((1, 2), 3.0, JobState.TIMEOUT, JobError("A", "ü\nb"), (4,), True)
    asks.ask(sweep, 0, wish)
    text = asks.path_of(sweep, 0).read_bytes()
    asks.path_of(sweep, 0).write_bytes(text[:-5])
    assert list(reader.take()) == []
    asks.path_of(sweep, 0).write_bytes(text)
    assert list(reader.take()) == [wish]
    assert list(reader.take()) == []
