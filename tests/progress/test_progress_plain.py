"""What a person sees of a sweep in a log file: a line a job, and the table at the end."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from progress_sweeps import completed, failed, make_sweep, plan_of

from launchkit.display.progress import Progress
from launchkit.job import Attempt, JobState
from launchkit.sweep import Sweep

OVERRIDES = [["lr=0.1", "wandb.api_key=s3cr3t-key"], ["lr=0.2", "wandb.api_key=s3cr3t-key"]]


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    return make_sweep(tmp_path / "sweep", OVERRIDES)


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


def started(sweep: Sweep, stream: io.StringIO) -> Progress:
    progress = Progress(stream)
    progress.start(plan_of(sweep, "2 at a time"), turns=False)
    return progress


def lines(stream: io.StringIO) -> list[str]:
    found = stream.getvalue().splitlines()
    stream.seek(0)
    stream.truncate()
    return found


def test_a_line_a_job_and_the_table(sweep: Sweep, stream: io.StringIO) -> None:
    progress = started(sweep, stream)
    assert lines(stream) == ["launchkit: 2 jobs, mode local", "  2 at a time"]
    progress.show([0, 1])
    progress.ended(sweep.jobs[1], failed("boom\nbang"))
    progress.ended(sweep.jobs[0], completed())
    assert lines(stream) == [
        "[1/2] job 1 failed in 1.0s  lr=0.2 wandb.api_key=***",
        "[2/2] job 0 completed in 5.0s  lr=0.1 wandb.api_key=***",
    ]
    progress.finish()
    table, end = lines(stream)[:-1], stream
    assert end is stream
    assert table == [
        "job   lr  state      time",
        "---  ---  ---------  ----",
        "  0  0.1  completed  5.0s",
        "  1  0.2  failed     1.0s",
        "job 1 failed: ValueError: boom  [lr=0.2 wandb.api_key=***]",
        f"  log: {sweep.directory}/1/.launchkit/stderr.log",
    ]


def test_the_last_line_has_the_counts_the_time_and_the_place(
    sweep: Sweep, stream: io.StringIO
) -> None:
    progress = started(sweep, stream)
    progress.ended(sweep.jobs[0], completed())
    progress.finish()
    last = lines(stream)[-1]
    assert last.startswith("1 pending, 1 completed in 0.")
    assert last.endswith(f": {sweep.directory}")


def test_retries_are_announced_and_counted_in_the_table(sweep: Sweep, stream: io.StringIO) -> None:
    progress = started(sweep, stream)
    lines(stream)
    progress.retrying(sweep.jobs[0], failed("boom"), 4.0, 3)
    assert lines(stream) == [
        "job 0 failed (ValueError: boom), attempt 2 of 3 in 4.0s  lr=0.1 wandb.api_key=***"
    ]
    progress.ended(sweep.jobs[1], completed())
    progress.ended(sweep.jobs[0], failed("again", attempt=2))
    progress.finish()
    shown = lines(stream)
    assert shown[2:6] == [
        "job   lr  state      attempts  time",
        "---  ---  ---------  --------  ----",
        "  0  0.1  failed            2  1.0s",
        "  1  0.2  completed         1  5.0s",
    ]
    assert shown[6].startswith("job 0 failed after 2 attempts: ValueError: again")


def test_jobs_of_earlier_launchers_are_in_the_counts_and_the_table(
    sweep: Sweep, stream: io.StringIO
) -> None:
    progress = Progress(stream)
    plan = plan_of(sweep)
    rest = type(plan)(**{**vars(plan), "jobs": sweep.jobs[1:]})
    progress.start(rest, turns=False, earlier={0: completed()})
    assert lines(stream) == ["launchkit: 1 job, mode local"]
    progress.ended(sweep.jobs[1], completed())
    assert lines(stream)[0].startswith("[2/2] job 1 completed")
    progress.finish()
    assert lines(stream)[-1].startswith("2 completed in")


def test_verbose_lists_the_jobs_first(sweep: Sweep, stream: io.StringIO) -> None:
    Progress(stream, verbose=True).start(plan_of(sweep), turns=False)
    assert lines(stream)[1:] == [
        "  job 0: lr=0.1 wandb.api_key=***",
        "  job 1: lr=0.2 wandb.api_key=***",
    ]


def test_secrets_are_in_nothing_that_is_shown(
    sweep: Sweep, stream: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERVICE_PASSWORD", "hunter2hunter2")
    progress = Progress(stream, verbose=True)
    progress.start(plan_of(sweep, "python train.py --api-key s3cr3t-key"), turns=False)
    progress.say("asked with hunter2hunter2")
    progress.retrying(sweep.jobs[0], failed("hunter2hunter2 is wrong"), 0.0, 2)
    progress.ended(sweep.jobs[0], failed("token=s3cr3t-key"))
    progress.ended(sweep.jobs[1], completed(warning="hunter2hunter2"))
    progress.finish()
    shown = stream.getvalue()
    assert "s3cr3t-key" not in shown
    assert "hunter2" not in shown
    assert shown.count("***") >= 8


def test_a_cancelled_job_is_counted_and_is_no_failure(sweep: Sweep, stream: io.StringIO) -> None:
    progress = started(sweep, stream)
    for job in sweep.jobs:
        progress.ended(job, Attempt(JobState.CANCELLED))
    progress.finish()
    shown = lines(stream)
    assert shown[-1].startswith("2 cancelled in")
    assert "log:" not in "".join(shown)


def test_a_reader_that_goes_away_does_not_stop_the_sweep(sweep: Sweep) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    stream = os.fdopen(writing, "w")
    progress = Progress(stream)
    progress.start(plan_of(sweep), turns=False)
    progress.ended(sweep.jobs[0], completed())
    progress.finish()
    assert progress.closed
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # for its own end
    stream.close()
