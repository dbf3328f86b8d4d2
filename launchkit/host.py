"""Runs a pack of jobs where they are to run: ``python -m launchkit.host SWEEP PACK``.

It is the first process of a container, a Slurm task, or what ssh starts. It has loaded
what the jobs run once, gives each a process and a place as mode ``local`` does, and says
all it has to say in the jobs' own files.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from launchkit import payload
from launchkit.interrupts import Interrupts, felt
from launchkit.job import Attempt, Job, JobError, JobState, end, read, renew
from launchkit.modes.base import Stop
from launchkit.modes.local import LocalMode
from launchkit.outside import asks, packs
from launchkit.outside.asks import ON_SIGNAL, UNFINISHED_CODE, Asks
from launchkit.outside.packs import Pack
from launchkit.policy import GRACE_S
from launchkit.sweep import Sweep
from launchkit.task import Task

LOOK_S = 0.25
FORGOTTEN_S = 600.0
"""How long a host that waits for more jobs does so without a sign of life of its launcher."""
HOLDING = frozenset(JobState) - {JobState.COMPLETED, JobState.CANCELLED}
"""What makes a host hold further jobs: a job that was cancelled has not gone wrong."""
HOLD_S = 30.0
"""How long a host waits with further jobs for its launcher to hear of one that went wrong."""
DIED = JobError("HostDied", "what ran it was ended with all its jobs, and began anew")


class Host:
    """The jobs of a pack, run here.

    Parameters
    ----------
    sweep
        The sweep.
    pack
        The pack.
    """

    def __init__(self, sweep: Sweep, pack: Pack) -> None:
        self._sweep = sweep
        self._pack = pack
        self._asks = Asks(sweep, pack.num)
        self._mode = LocalMode(**pack.places)
        self._tasks = _Tasks(sweep)
        self._left: set[int] = set()
        self._ended: dict[int, Attempt] = {}
        self._untold: dict[int, Attempt] = {}
        self._unseen: set[int] = set()
        self._held_until = 0.0
        self._begun = time.time()
        self._stays = pack.stays
        self._interrupted = False
        # They have been asked already if another host of this pack was ended, and this one goes on.
        self._wishes = [*self._asks.take()]
        self._unwanted = {num for wish in self._wishes for num in wish.cancel}

    def run(self) -> int:
        """Run the jobs to their end, and return an exit code: the job's own, if it is one."""
        with Interrupts():
            self._run(self._pack.jobs)
            while self._left or self._stays:
                try:
                    self._turn()
                except KeyboardInterrupt:
                    self._interrupt()
        if any(attempt.state is JobState.PREEMPTED for attempt in self._ended.values()):
            return UNFINISHED_CODE
        codes = [attempt.exit_code or 0 for attempt in self._ended.values()]
        bad = [attempt for attempt in self._ended.values() if attempt.state.bad]
        if len(codes) == 1 and codes[0]:
            return codes[0] if codes[0] > 0 else 128 - codes[0]
        return int(bool(bad))

    def _turn(self) -> None:
        wishes, self._wishes = [*self._wishes, *self._asks.take()], []
        for wish in wishes:
            self._mode.cancel(wish.cancel, wish.grace, Stop(wish.state, wish.error))
            self._run(wish.run)
            self._stays = self._stays and not wish.end
            self._unseen.difference_update(wish.seen)
        held = bool(self._unseen) and time.monotonic() < self._held_until
        self._mode.hold(held)
        if not self._left:
            self._stays = self._stays and not self._is_forgotten()
        if not self._left or (held and not self._mode.running()):
            with felt():
                time.sleep(LOOK_S if self._stays or held else 0.0)
        ended = self._mode.poll(LOOK_S)
        self._left.difference_update(ended)
        self._ended.update(ended)
        if self._pack.tells:
            self._tell(ended)

    def _tell(self, ended: Mapping[int, Attempt]) -> None:
        """Tell a launcher elsewhere that jobs have ended, with their processes."""
        self._untold.update(ended)
        bad = [num for num, attempt in ended.items() if attempt.state in HOLDING]
        if bad:
            # After a job that went wrong, nothing more may be wanted.
            self._unseen.update(bad)
            self._held_until = time.monotonic() + HOLD_S
            self._mode.hold(True)
        # A full disk costs time only.
        with contextlib.suppress(OSError):
            if self._untold:
                asks.tell_ended(self._sweep, self._pack.num, self._untold)
            self._untold.clear()

    def _is_forgotten(self) -> bool:
        """Tell whether the launcher has given no sign for long, of which it has to give some."""
        last = asks.last_wanted(self._sweep, self._pack.num)
        return time.time() - max(last or 0.0, self._begun) > FORGOTTEN_S

    def _run(self, nums: Sequence[int]) -> None:
        known = {job.num: job for job in (Sweep.open(self._sweep.directory).jobs if nums else ())}
        jobs = [self._placed(known[num]) for num in nums if self._is_to_run(known[num])]
        if jobs:
            self._tasks.load(jobs)
            self._mode.submit(self._mode.plan(self._sweep, jobs, self._tasks))
            self._left.update(job.num for job in jobs)

    def _is_to_run(self, job: Job) -> bool:
        """Tell whether a job is to run; make it so that it can, where a host died with it."""
        attempt = read(job.directory)
        if attempt.state in (JobState.PENDING, JobState.SUBMITTED):
            return True
        if attempt.state is JobState.RUNNING:
            attempt = end(job, JobState.LOST, error=DIED)
        if attempt.state in (JobState.LOST, JobState.PREEMPTED) or self._is_orphan(job, attempt):
            renew(job)
            return True
        return False

    def _is_orphan(self, job: Job, attempt: Attempt) -> bool:
        """Tell whether a job has ended by a signal that took its host away as well."""
        cancelled = attempt.state is JobState.CANCELLED and job.num not in self._unwanted
        return cancelled and bool(os.environ.get(ON_SIGNAL))

    def _placed(self, job: Job) -> Job:
        """Return a job as placed here: its carrier has its GPUs, unless they are given out."""
        if {"gpus", "gpus_per_job"} & self._pack.places.keys():
            return job
        return replace(job, needs=replace(job.needs, gpus=None))

    def _interrupt(self) -> None:
        state = JobState(os.environ.get(ON_SIGNAL, JobState.CANCELLED.value))
        error = None
        if state is not JobState.CANCELLED:
            error = JobError("Signal", "the machine was taken away")
        # Who takes a machine away may say so to a process twice, and kills what does not end.
        again = self._interrupted and state is JobState.CANCELLED
        self._mode.cancel(self._left, 0.0 if again else GRACE_S, Stop(state, error))
        self._interrupted = True
        self._stays = False


class _Tasks:
    """What the jobs run, each batch of them loaded once, before any of them is started."""

    def __init__(self, sweep: Sweep) -> None:
        self._sweep = sweep
        self._batches: dict[int, Task | BaseException] = {}
        self._batch_of: dict[int, int] = {}

    def load(self, jobs: Sequence[Job]) -> None:
        """Load what jobs run; what keeps it from being loaded is their failure."""
        known = payload.batches(self._sweep)
        self._batch_of.update((job.num, payload.batch_of(job.num, known)) for job in jobs)
        for first in set(self._batch_of.values()).difference(self._batches):
            try:
                self._batches[first] = payload.load(self._sweep, first, other_versions=True)
            except Exception as error:  # the user's code is imported, and may raise anything
                self._batches[first] = error

    def run(self, job: Job) -> Any:
        loaded = self._batches[self._batch_of[job.num]]
        if isinstance(loaded, BaseException):
            raise loaded
        return loaded.run(job)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a pack of a sweep."""
    parser = argparse.ArgumentParser(prog="python -m launchkit.host", description=main.__doc__)
    parser.add_argument("sweep", help="the sweep directory")
    parser.add_argument("pack", type=int, help="the number of the pack")
    options = parser.parse_args(arguments)
    sweep = Sweep.open(options.sweep)
    return Host(sweep, packs.find(sweep, options.pack)).run()


if __name__ == "__main__":
    sys.exit(main())
