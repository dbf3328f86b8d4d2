"""A handle knows where its job stands, and what it returned once it has."""

from __future__ import annotations

import pickle
import threading

import pytest

from launchkit import handle as handles
from launchkit import job as jobs
from launchkit import value
from launchkit.handle import JobHandle, NotCompleted
from launchkit.job import Job, JobError, JobState


@pytest.fixture
def handle(empty_sweep):
    empty_sweep.add([Job(0, ("lr=1",), empty_sweep.directory / "0")])
    return JobHandle(empty_sweep, empty_sweep.jobs[0])


def complete(job, result):
    jobs.make_own(job)
    value.save(job, result)
    jobs.end(job, JobState.COMPLETED, exit_code=0)


def test_its_state_is_that_of_the_files(handle):
    assert handle.state is JobState.PENDING
    jobs.start(handle.job)
    assert handle.state is JobState.RUNNING
    assert handle.attempt == jobs.read(handle.job.directory)
    complete(handle.job, {"loss": 0.5})
    assert handle.state is JobState.COMPLETED
    assert handle.value == {"loss": 0.5}


@pytest.mark.parametrize("state", [state for state in JobState if state is not JobState.COMPLETED])
def test_without_having_completed_it_has_no_value(handle, state):
    # A value of an earlier attempt may lie there.
    complete(handle.job, 1)
    jobs.change(handle.job, state)
    with pytest.raises(NotCompleted) as caught:
        _ = handle.value
    assert str(caught.value) == f"job 0 is {state}: {handle.job.directory}"


def test_a_wait_ends_when_the_job_does(handle, monkeypatch):
    monkeypatch.setattr(handles, "LOOK_S", 0.001)
    jobs.start(handle.job)
    error = JobError("ValueError", "boom")
    ending = threading.Timer(0.05, jobs.end, (handle.job, JobState.FAILED), {"error": error})
    ending.start()
    attempt = handle.wait()
    ending.join()
    assert (attempt.state, attempt.error) == (JobState.FAILED, error)
    assert handle.wait(0) == attempt


def test_a_wait_gives_up_in_time(handle):
    jobs.start(handle.job)
    with pytest.raises(TimeoutError, match=r"job 0 is running after 0\.01 s"):
        handle.wait(0.01)


def test_it_is_good_in_another_process(handle):
    again = pickle.loads(pickle.dumps(handle))
    assert again == handle
    complete(handle.job, 7)
    assert again.value == 7


def test_it_shows_what_it_is(handle):
    assert repr(handle) == f"<job 0 handed over, pending: {handle.job.directory}>"
