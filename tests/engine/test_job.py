"""A job's state: what is written, by whom it is changed, and what is read back."""

from __future__ import annotations

import json
import os
import socket
import stat
import time

import pytest

from launchkit import job as jobs
from launchkit.job import Attempt, Job, JobError, JobState

KEYS = ["state", "attempt", "host", "pid", "started", "ended", "exit_code", "error"]


@pytest.fixture
def job(tmp_path):
    return Job(3, ("lr=0.1", "seed=2"), tmp_path / "3")


def test_a_job_without_a_state_file_is_pending(job, tmp_path):
    assert jobs.read(job.directory) == Attempt(JobState.PENDING)
    (tmp_path / "3").write_text("a file where the directory should be")
    assert jobs.read(job.directory) == Attempt(JobState.PENDING)


def test_there_are_nine_states_and_six_of_them_are_final():
    assert [str(state) for state in JobState] == (
        [
            "pending",
            "submitted",
            "running",
            "completed",
            "failed",
            "cancelled",
            "timeout",
            "preempted",
            "lost",
        ]
    )
    assert {str(state) for state in JobState if not state.final} == (
        {"pending", "submitted", "running"}
    )
    assert {str(state) for state in JobState if state.bad} == (
        {"failed", "cancelled", "timeout", "preempted", "lost"}
    )


def test_a_state_file_says_where_and_when(job):
    before = time.time()
    jobs.start(job)
    content = json.loads((job.own / "state.json").read_text())
    assert set(KEYS) <= set(content)
    assert (content["state"], content["attempt"]) == ("running", 1)
    assert (content["host"], content["pid"]) == (socket.gethostname(), os.getpid())
    assert before <= content["started"] <= time.time()
    assert content["ended"] is content["exit_code"] is content["error"] is None


def test_a_failure_is_written_with_the_last_line_of_its_traceback(job):
    jobs.start(job)
    jobs.end(job, JobState.FAILED, exit_code=1, error=JobError("ValueError", "boom\nand more"))
    content = json.loads((job.own / "state.json").read_text())
    assert content["state"] == "failed"
    assert content["exit_code"] == 1
    assert content["ended"] >= content["started"]
    assert content["error"] == {
        "type": "ValueError",
        "message": "boom\nand more",
        "last_line": "ValueError: boom",
    }
    assert jobs.read(job.directory).error == JobError("ValueError", "boom\nand more")


def test_an_error_without_a_message_is_its_type():
    assert JobError("KeyboardInterrupt", " \n").last_line == "KeyboardInterrupt"


def test_what_is_written_is_read_back(job):
    written = jobs.change(
        job,
        JobState.LOST,
        attempt=2,
        host="a",
        pid=5,
        started=1.5,
        ended=2.25,
        exit_code=-9,
        error=JobError("ProcessKilled", "ü\udc80"),
    )
    assert jobs.read(job.directory) == written
    assert written.seconds == 0.75


def test_events_are_only_ever_added(job):
    jobs.change(job, JobState.SUBMITTED)
    jobs.start(job)
    first = (job.own / "events.jsonl").read_bytes()
    jobs.end(job, JobState.COMPLETED, exit_code=0)
    assert (job.own / "events.jsonl").read_bytes().startswith(first)
    seen = list(jobs.events(job.directory))
    assert [event["state"] for event in seen] == ["submitted", "running", "completed"]
    times = [event["time"] for event in seen]
    assert times == sorted(times)
    assert seen[-1]["exit_code"] == 0


def test_a_new_start_forgets_how_the_job_ended_before(job):
    jobs.start(job)
    jobs.end(job, JobState.FAILED, exit_code=1, error=JobError("ValueError", "boom"))
    again = jobs.start(job)
    assert (again.state, again.ended, again.exit_code, again.error) == (
        (JobState.RUNNING, None, None, None)
    )


def test_keys_of_a_later_version_are_left_out(job):
    jobs.start(job)
    path = job.own / "state.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "zone": "a", "retries": [1]}))
    assert jobs.read(job.directory).state is JobState.RUNNING
    path.write_text(json.dumps({"state": "completed"}))
    assert jobs.read(job.directory) == Attempt(JobState.COMPLETED)


def test_only_the_owner_may_read_what_an_error_says(job):
    jobs.start(job)
    for name in ("state.json", "events.jsonl"):
        assert stat.S_IMODE((job.own / name).stat().st_mode) == 0o600


def test_a_state_that_cannot_be_written_leaves_the_old_one(job, monkeypatch):
    jobs.start(job)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(jobs.files, "write_json", full)
    with pytest.raises(OSError, match="No space left"):
        jobs.end(job, JobState.COMPLETED)
    assert jobs.read(job.directory).state is JobState.RUNNING


def test_a_heartbeat_is_the_time_of_a_file(job):
    assert jobs.last_sign(job) is None
    jobs.start(job)
    jobs.beat(job)
    os.utime(job.own / "heartbeat", (1000, 1000))
    os.utime(job.own / "state.json", (900, 900))
    assert jobs.last_sign(job) == 1000
    jobs.beat(job)
    assert jobs.last_sign(job) == pytest.approx(time.time(), abs=60)


def test_a_heartbeat_of_a_job_without_a_directory_is_no_error(job):
    # A process that has been started has not made its directory yet.
    jobs.beat(job)
    assert not job.directory.exists()


def test_a_job_describes_itself_by_its_overrides(job, tmp_path):
    assert job.describe() == "lr=0.1 seed=2"
    assert Job(0, (), tmp_path).describe() == "-"
