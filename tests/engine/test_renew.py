"""The next attempt of a job begins afresh, and forgets nothing."""

from __future__ import annotations

import pytest

from launchkit import job as jobs
from launchkit import value
from launchkit.job import Attempt, Job, JobError, JobState, log_of


@pytest.fixture
def job(tmp_path):
    return Job(3, ("lr=0.1",), tmp_path / "3")


def attempt(job, state, said):
    """Play an attempt of a job."""
    jobs.make_own(job)
    job.stdout.write_text(f"{said}\n")
    job.stderr.write_text(f"error {said}\n")
    jobs.start(job)
    if state is JobState.COMPLETED:
        value.save(job, said)
    return jobs.end(job, state, exit_code=1, error=JobError("ValueError", said))


def test_it_is_pending_and_knows_which_attempt_comes(job):
    attempt(job, JobState.FAILED, "one")
    assert jobs.renew(job) == Attempt(JobState.PENDING, attempt=2)
    assert jobs.read(job.directory) == Attempt(JobState.PENDING, attempt=2)
    started = jobs.start(job)
    assert (started.attempt, started.error, started.exit_code) == (2, None, None)


def test_the_logs_of_every_attempt_are_kept(job):
    for said in ("one", "two", "three"):
        attempt(job, JobState.FAILED, said)
        jobs.renew(job)
    for number, said in ((1, "one"), (2, "two"), (3, "three")):
        assert log_of(job.stdout, number).read_text() == f"{said}\n"
        assert log_of(job.stderr, number).read_text() == f"error {said}\n"
    assert log_of(job.stdout, 2).name == "stdout.2.log"
    assert not job.stdout.exists()


def test_every_change_of_every_attempt_is_in_the_events(job):
    attempt(job, JobState.TIMEOUT, "one")
    jobs.renew(job)
    attempt(job, JobState.COMPLETED, "two")
    seen = [(event["attempt"], event["state"]) for event in jobs.events(job.directory)]
    assert seen == [
        (1, "running"),
        (1, "timeout"),
        (2, "pending"),
        (2, "running"),
        (2, "completed"),
    ]


@pytest.mark.parametrize("result", ["plain", {1, 2}])
def test_a_value_of_before_is_not_taken_for_one_of_now(job, result):
    attempt(job, JobState.COMPLETED, "one")
    value.save(job, result)
    assert value.load(job) in ("one", result)
    jobs.renew(job)
    with pytest.raises(FileNotFoundError):
        value.load(job)


def test_what_the_job_has_written_stays(job):
    attempt(job, JobState.FAILED, "one")
    kept = {"progress.csv": "epoch\n1\n", "params.pkl": "p", "model/best.bin": "b"}
    for name, text in kept.items():
        (job.directory / name).parent.mkdir(exist_ok=True)
        (job.directory / name).write_text(text)
    jobs.renew(job)
    assert {name: (job.directory / name).read_text() for name in kept} == kept


def test_one_that_was_interrupted_can_be_done_again(job, monkeypatch):
    attempt(job, JobState.FAILED, "one")

    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(jobs, "change", killed)
        with pytest.raises(KeyboardInterrupt):
            jobs.renew(job)
    assert jobs.read(job.directory).state is JobState.FAILED
    assert jobs.renew(job).attempt == 2
    assert log_of(job.stdout, 1).read_text() == "one\n"


def test_a_job_that_has_printed_nothing_can_be_renewed(job):
    jobs.change(job, JobState.CANCELLED)
    assert jobs.renew(job).attempt == 2
