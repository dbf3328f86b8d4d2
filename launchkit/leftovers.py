"""What a launcher that was killed has left of a sweep: processes, and states that are not so."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Collection, Iterable

from launchkit import driver, process_table, processes
from launchkit.driver import Claim
from launchkit.job import Attempt, JobState, end
from launchkit.standing import GONE
from launchkit.states import read_all
from launchkit.sweep import Sweep, SweepError

ROUNDS_S = 5.0


def end_left(sweep: Sweep) -> dict[int, Attempt]:
    """End what is left of a sweep's last run, mark its jobs as lost, and return all states.

    The sweep must be claimed. Two attempts of a job never run together.
    """
    kill_left(sweep)
    attempts = read_all(sweep)
    for job in sweep.jobs:
        if attempts[job.num].state in (JobState.RUNNING, JobState.SUBMITTED):
            attempts[job.num] = end(job, JobState.LOST, error=GONE)
    return attempts


def cancel_left(sweep: Sweep, nums: Collection[int], say: Callable[[str], None]) -> None:
    """Cancel jobs of a sweep that nobody drives.

    Raises
    ------
    Driven
        If somebody does.
    """
    with Claim(sweep, say):
        attempts = end_left(sweep)
        for job in sweep.jobs:
            state = attempts[job.num].state
            if job.num in nums and (not state.final or state is JobState.LOST):
                end(job, JobState.CANCELLED)


def kill_left(sweep: Sweep) -> None:
    """End every process of a sweep that a launcher has left behind on this machine.

    A job's process is known by its identity. What has outlived it is known by its
    environment, or by the session it is in, whose id is not given again while it has members.
    """
    attempts = [known for known in read_all(sweep).values() if known.process is not None]
    deadline = time.monotonic() + ROUNDS_S
    while left := _left(sweep, attempts):
        processes.send(left, signal.SIGKILL)
        if time.monotonic() > deadline:
            raise SweepError(
                f"{sweep.directory}: a killed launcher has left processes that do not end: "
                f"{', '.join(map(str, sorted(left)))}"
            )
        time.sleep(0.01)


def _left(sweep: Sweep, attempts: Iterable[Attempt]) -> set[int]:
    running, ended = _leaders(attempts)
    found = process_table.tagged("LAUNCHKIT_TAG", sweep.tag)
    if running:
        found |= process_table.tree(*running)
    if ended:
        # What has the environment of the launcher is a fork of the job, and runs what it ran.
        found |= set(filter(process_table.runs_the_same, process_table.tree(*ended)))
    if found and (original := driver.elsewhere(sweep)):
        found -= process_table.tree(original)
    return process_table.living(found - {os.getpid()})


def _leaders(attempts: Iterable[Attempt]) -> tuple[set[int], set[int]]:
    """Return the ids of jobs that ran to the end of their launcher, and of those that had ended.

    Whoever else has the id of one by now got it when nobody was left in its session.
    """
    running, ended = set(), set()
    for known in attempts:
        pid = process_table.here(known.process) if known.process is not None else None
        if pid is None:
            continue
        has_its_id = process_table.holds_its_id(known.process or "")
        if not has_its_id and process_table.session_of(pid) is not None:
            continue
        if known.state is JobState.RUNNING:
            running.add(pid)
        elif not process_table.living([pid]):
            # The launcher had no time to end what this one left. One that lives may be that
            # of a mode without processes of its own, and do something else by now.
            ended.add(pid)
    return running, ended
