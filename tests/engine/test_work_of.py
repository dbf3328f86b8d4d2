"""Which jobs of a sweep are run when it is resumed, and what they run."""

from __future__ import annotations

import pytest

from launchkit import job as jobs
from launchkit import payload
from launchkit.job import Job, JobState
from launchkit.payload import PayloadError
from launchkit.resume import work_of
from launchkit.sweep import Sweep

STATES = [
    JobState.COMPLETED,
    JobState.FAILED,
    JobState.CANCELLED,
    JobState.PENDING,
    JobState.TIMEOUT,
    JobState.PREEMPTED,
    JobState.LOST,
    JobState.RUNNING,
    JobState.COMPLETED,
]
"""Of the jobs 0 to 8."""


class Batch:
    def __init__(self, name):
        self.name = name

    def run(self, job):
        return f"{self.name}{job.num}"


@pytest.fixture
def sweep(empty_sweep):
    made = [Job(num, (f"x={num}",), empty_sweep.directory / str(num)) for num in range(9)]
    empty_sweep.add(made)
    for job, state in zip(made, STATES, strict=True):
        if state is not JobState.PENDING:
            jobs.change(job, state)
    payload.save_batch(empty_sweep, Batch("a"), made[:4])
    payload.save_batch(empty_sweep, Batch("b"), made[4:])
    return Sweep.open(empty_sweep.directory)


def nums(work):
    return [job.num for job in work.jobs]


def test_what_has_not_completed_is_run(sweep):
    work = work_of(sweep)
    assert nums(work) == [1, 2, 3, 4, 5, 6, 7]
    assert (work.resumed, work.again, work.saved) == (True, False, True)


def test_each_job_runs_what_its_batch_did(sweep):
    work = work_of(sweep)
    assert [work.task.run(job) for job in work.jobs] == ["a1", "a2", "a3", "b4", "b5", "b6", "b7"]


def test_failed_ones_are_those_that_ended_badly_and_were_not_cancelled(sweep):
    assert nums(work_of(sweep, failed=True)) == [1, 4, 5, 6]


def test_only_some_may_be_taken(sweep):
    assert nums(work_of(sweep, only=[3, 0, 1])) == [1, 3]
    assert nums(work_of(sweep, only=[2, 1], failed=True)) == [1]
    assert nums(work_of(sweep, only=[8])) == []


def test_completed_ones_are_taken_again_if_asked_for(sweep):
    work = work_of(sweep, only=[0, 1], again=True)
    assert nums(work) == [0, 1]
    assert work.again
    assert nums(work_of(sweep, again=True)) == list(range(9))


def test_those_that_have_changed_are_taken_though_they_have_completed(sweep):
    work = work_of(sweep, changed=[8])
    assert nums(work) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert [work.runs(job, JobState.COMPLETED) for job in work.jobs] == [False] * 7 + [True]


def test_a_job_that_there_is_not_is_refused_by_number(sweep):
    with pytest.raises(ValueError, match=rf"{sweep.directory} has no job 9; it has 9"):
        work_of(sweep, only=[0, 9, 12])


def test_what_cannot_be_read_is_said_before_anything_is_done(sweep):
    (sweep.own / "payload-4.pkl").write_bytes(b"{}\nx")
    with pytest.raises(PayloadError, match=r"payload-4\.pkl"):
        work_of(sweep)
    assert nums(work_of(sweep, only=[1, 2])) == [1, 2]


def test_nothing_to_run_needs_no_payload(sweep):
    for path in sweep.own.glob("payload*"):
        path.unlink()
    assert work_of(sweep, only=[0, 8]).jobs == ()


def test_looking_changes_nothing(sweep):
    def content():
        return {path: path.read_bytes() for path in sweep.directory.rglob("*") if path.is_file()}

    before = content()
    work_of(sweep)
    assert content() == before
