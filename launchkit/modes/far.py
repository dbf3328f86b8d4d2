"""What the modes share whose jobs write to another disk, and what they write comes home."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Collection, Iterable, Sequence
from typing import Protocol, TypeVar

from launchkit.job import Attempt, Job, JobState
from launchkit.modes.base import Plan, Stop, known_state, unwritable
from launchkit.modes.carried import CarriedMode
from launchkit.modes.carriers import Carriers
from launchkit.outside import asks
from launchkit.outside.asks import Ask
from launchkit.outside.settings import Outside
from launchkit.sweep import Sweep

S = TypeVar("S", bound=Outside)


class FarCarriers(Carriers, Protocol):
    """Carriers that bring home what jobs write."""

    @property
    def looks(self) -> int:
        """How often it was looked at what is there."""

    @property
    def ended(self) -> dict[int, Attempt]:
        """How jobs have ended that nobody has asked for yet, whose files are all here."""

    def hurry(self) -> None:
        """Have something to ask: the next exchange is due."""

    def settle(self, nums: Collection[int]) -> None:
        """Take note that jobs have ended, as the launcher sees it."""


class FarMode(CarriedMode[S]):
    """Runs jobs elsewhere; a job has ended once all it has written is here."""

    _carriers: FarCarriers | None

    def __init__(self, **settings: object) -> None:
        super().__init__(**settings)
        self._unwritable: dict[int, Attempt] = {}
        self._bad: dict[int, list[int]] = {}
        self._looked = 0

    @abstractmethod
    def submit(self, plan: Plan) -> None:
        """Hand the jobs over that are not `is_in_the_way`."""

    def poll(self, timeout: float) -> dict[int, Attempt]:
        """Wait until jobs have ended, and all they have written is here."""
        if self._unwritable:
            found, self._unwritable = self._unwritable, {}
            return found
        self._acknowledge()
        return super().poll(timeout)

    def cancel(self, nums: Iterable[int], grace: float, stop: Stop) -> None:
        """Ask the host to end jobs."""
        super().cancel(nums, grace, stop)
        if self._carriers is not None:
            self._carriers.hurry()

    def is_in_the_way(self, job: Job) -> bool:
        """Tell whether what a job writes could not come home."""
        if not os.path.lexists(job.directory) or job.directory.is_dir():
            return False
        error = NotADirectoryError(20, os.strerror(20))
        self._unwritable[job.num] = unwritable(job, error)
        return True

    def _seen(self) -> dict[int, Attempt]:
        """Take what the hosts have told of jobs, whose files are here by now."""
        assert self._carriers is not None
        attempts = {}
        told = dict(self._carriers.ended)
        self._carriers.ended.clear()
        for num, attempt in told.items():
            if num in self._pack_of:
                stop = Stop(attempt.state, attempt.error)
                attempts[num] = self._settle(num, attempt.exit_code or 0, stop)
        if self._looked != self._carriers.looks:
            self._looked = self._carriers.looks
            waiting = self._pack_of.keys() - self._running
            self._running.update(
                num for num in waiting if known_state(self._jobs[num]).state is JobState.RUNNING
            )
        for pack in [pack for pack in self._kill_at if not self._left.get(pack)]:
            del self._kill_at[pack]
        return attempts

    def _acknowledge(self) -> None:
        """Let the hosts go on after jobs that went wrong, if anything more is wanted at all."""
        bad, self._bad = self._bad, {}
        assert self.sweep is not None or not bad
        for pack, nums in bad.items():
            if self._carriers is not None and self.sweep is not None:
                asks.ask(self.sweep, pack, Ask(seen=tuple(nums)))
                self._carriers.hurry()

    def _settle(self, num: int, code: int, died: Stop | None) -> Attempt:
        pack = self._pack_of[num]
        attempt = super()._settle(num, code, died)
        if self._carriers is not None:
            self._carriers.settle([num])
        if attempt.state.bad and attempt.state is not JobState.CANCELLED:
            self._bad.setdefault(pack, []).append(num)
        return attempt


def check_places(sweep: Sweep, jobs: Sequence[Job]) -> None:
    """Raise ValueError if what a job writes could not be told to be the sweep's there."""
    around = sweep.directory.parent
    for job in jobs:
        if not job.directory.is_relative_to(around) or job.directory in (around, sweep.directory):
            raise ValueError(
                f"job {job.num} writes to {job.directory}, which is neither below nor beside the "
                f"sweep's directory {sweep.directory}, and mode {sweep.mode!r} brings home nothing "
                "else; change hydra.sweep.subdir"
            )
