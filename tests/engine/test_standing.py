"""Where the jobs of a sweep stand, by their files and by who is there to run them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from launchkit import driver, process_table, standing
from launchkit import job as jobs
from launchkit.job import Job, JobState


@pytest.fixture
def sweep(empty_sweep):
    empty_sweep.add([Job(num, (), empty_sweep.directory / str(num)) for num in range(4)])
    return empty_sweep


@pytest.fixture
def gone():
    """The identity of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    known = process_table.identity(process.pid)
    process.communicate()
    return known


def of(sweep):
    known = standing.standing(sweep)
    for job in sweep.jobs:
        assert standing.standing_of(sweep, job) == known[job.num]
    return [str(attempt.state) for attempt in known.values()]


def elsewhere(known):
    return "ffffffff.1." + known.split(".", 2)[2]


def test_a_job_whose_process_and_launcher_are_gone_is_lost(sweep, gone):
    jobs.change(sweep.jobs[0], JobState.RUNNING, process=gone, pid=1)
    jobs.change(sweep.jobs[1], JobState.COMPLETED, process=gone)
    jobs.change(sweep.jobs[2], JobState.RUNNING, process=process_table.identity())
    assert of(sweep) == ["lost", "completed", "running", "pending"]
    attempt = standing.standing(sweep)[0]
    assert attempt.reason.startswith("ProcessGone: its process has ended without saying how")
    # Nothing is written: whoever looks need not be allowed to.
    assert jobs.read(sweep.jobs[0].directory).state is JobState.RUNNING


def test_where_somebody_drives_the_sweep_the_files_are_believed(sweep, gone):
    jobs.change(sweep.jobs[0], JobState.RUNNING, process=gone)
    with driver.Claim(sweep, print):
        # It has ended a moment ago, and its launcher is about to say how.
        assert of(sweep)[0] == "running"
        assert standing.driven(sweep)
    assert of(sweep)[0] == "lost"
    assert not standing.driven(sweep)


def test_what_cannot_be_seen_from_here_is_not_lost(sweep, gone):
    jobs.change(sweep.jobs[0], JobState.RUNNING, process=elsewhere(gone))
    jobs.change(sweep.jobs[1], JobState.RUNNING)
    jobs.change(sweep.jobs[2], JobState.SUBMITTED)
    assert of(sweep)[:3] == ["running", "running", "submitted"]


def test_an_id_that_was_given_again_does_not_keep_a_job_running(sweep):
    own = process_table.identity()
    known, _, started = own.rpartition(".")
    jobs.change(sweep.jobs[0], JobState.RUNNING, process=f"{known}.{int(started) - 7}")
    jobs.change(sweep.jobs[1], JobState.RUNNING, process=own)
    assert of(sweep)[:2] == ["lost", "running"]


def test_who_drives_it_is_said_in_words(sweep, gone):
    assert standing.describe(sweep) == "no launcher is running"
    with driver.Claim(sweep, print) as claim:
        who = f"process {claim.driver.pid} on {claim.driver.host}"
        assert standing.describe(sweep) == f"{who} drives it"
        claim._rewrite(driver.replace(claim.driver, process=gone))
        assert standing.describe(sweep) == f"its launcher, {who}, has ended without a word"
        claim._rewrite(driver.replace(claim.driver, process=elsewhere(gone)))
        assert standing.describe(sweep).startswith(f"{who} drives it, or did; it cannot be seen")
    assert standing.describe(sweep) == "no launcher is running"
