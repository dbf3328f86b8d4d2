"""What a launcher that was killed has left of a sweep: processes, and states that are not so."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

from launchkit import driver, process_table
from launchkit.driver import Claim
from launchkit.job import HEARTBEAT_S, Attempt, Job, JobState, change, end, last_sign
from launchkit.machine import processes
from launchkit.modes import registry
from launchkit.standing import GONE
from launchkit.states import read_all
from launchkit.sweep import TAG, Sweep, SweepError

ROUNDS_S = 5.0


def end_left(sweep: Sweep) -> dict[int, Attempt]:
    """End what is left of a sweep's last run, mark its jobs as lost, and return all states.

    The sweep must be claimed. Two attempts of a job never run together.
    """
    kill_left(sweep)
    attempts = read_all(sweep)
    for job in sweep.jobs:
        if attempts[job.num].state in (JobState.RUNNING, JobState.SUBMITTED):
            attempts[job.num] = _give_up(job, attempts[job.num])
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


def mark_gone(sweep: Sweep) -> None:
    """Mark jobs as lost that ran where this machine cannot see that they have ended."""
    attempts = read_all(sweep)
    for job in sweep.jobs:
        known = attempts[job.num]
        unseen = known.process is None or process_table.is_alive(known.process) is None
        if unseen and known.state in (JobState.RUNNING, JobState.SUBMITTED):
            _give_up(job, known)


def _give_up(job: Job, known: Attempt) -> Attempt:
    """Mark a job as lost that ran; one that nobody has started can wait for the next launcher."""
    if known.state is JobState.SUBMITTED and known.started is None:
        return change(job, JobState.PENDING)
    return end(job, JobState.LOST, error=GONE)


def kill_left(sweep: Sweep) -> None:
    """End every process of a sweep that a launcher has left behind, wherever it runs.

    On this machine, a job's process is known by its identity. What has outlived it is known
    by its environment, or by having been started in the job's session while the job ran.
    Elsewhere, it is the mode's affair.
    """
    for mode, settings in (*sweep.earlier, (sweep.mode, sweep.settings)):
        registry.create(mode, settings).end_left(sweep)
    left_behind = [_Leader.of(job, known) for job, known in _attempts(sweep)]
    leaders = {leader.pid: leader for leader in left_behind if leader is not None}
    deadline = time.monotonic() + ROUNDS_S
    while left := _left(sweep, leaders):
        # Else one that looks after others could see them end, and take that for their failure.
        processes.send(left, signal.SIGSTOP)
        processes.send(left, signal.SIGKILL)
        if time.monotonic() > deadline:
            raise SweepError(
                f"{sweep.directory}: a killed launcher has left processes that do not end: "
                f"{', '.join(map(str, sorted(left)))}"
            )
        time.sleep(0.01)


@dataclass(frozen=True)
class _Leader:
    """The process of a job, which leads a session.

    Parameters
    ----------
    identity, pid
        Which it is, or was.
    running
        Whether its job's state file says that it runs.
    seconds
        How long it ran, by the last that was heard of it.
    """

    identity: str
    pid: int
    running: bool
    seconds: float

    @classmethod
    def of(cls, job: Job, known: Attempt) -> _Leader | None:
        """Return the process of an attempt; None if it was on another machine, or none."""
        pid = process_table.here(known.process) if known.process is not None else None
        if pid is None or known.process is None or known.started is None:
            return None
        running = not known.state.final
        until = known.ended if known.ended is not None else last_sign(job)
        # The last sign of life may be a while ago.
        slack = 2 * HEARTBEAT_S if running else 1.0
        seconds = max(0.0, (until or known.started) - known.started) + slack
        return cls(known.process, pid, running, seconds)

    def began(self, started: int) -> bool:
        """Tell whether a member of its session, started then, is one it can have begun.

        Whoever has its process id later can lead a session of the same id.
        """
        since = process_table.started(self.identity)
        return since <= started <= since + self.seconds * process_table.TICKS_A_SECOND


def _attempts(sweep: Sweep) -> Iterator[tuple[Job, Attempt]]:
    attempts = read_all(sweep)
    return ((job, attempts[job.num]) for job in sweep.jobs)


def _left(sweep: Sweep, leaders: Mapping[int, _Leader]) -> set[int]:
    begun = {
        pid
        for pid, (session, started) in process_table.members(leaders).items()
        if _is_left(leaders[session], pid, started)
    }
    # With them is what has no environment of theirs, as the program that mounts an image.
    roots = process_table.tagged(TAG, sweep.tag) | begun
    found = process_table.tree(*roots) if roots else set()
    if found and (original := driver.elsewhere(sweep)):
        found -= process_table.tree(original)
    return process_table.living(found - {os.getpid()})


def _is_left(leader: _Leader, pid: int, started: int) -> bool:
    """Tell whether a member of a job's session is one that was left behind."""
    if pid == leader.pid:
        # Where the job had ended, the process may be that of a mode without processes of
        # its own, and do something else by now.
        return leader.running and process_table.is_alive(leader.identity) is True
    if not leader.running and process_table.is_alive(leader.identity):
        return False
    return leader.began(started)
