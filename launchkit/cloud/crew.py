"""The machines that carry packs: who they are, how long they have been there, how they ended."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from launchkit.cloud.bucket_exchange import BucketExchange
from launchkit.cloud.ends import Fate
from launchkit.cloud.providers import Machine
from launchkit.job import Attempt, JobError
from launchkit.machine.pool import Ended
from launchkit.outside import asks
from launchkit.sweep import Sweep

GONE_CODE = -9
SELF_END_S = 120.0
"""How long a machine whose pack has ended has to end itself."""
EARLY_S = 140.0
"""How long before its end a machine has its jobs stop, at most; else a quarter of its life."""


@dataclass
class Hired:
    """A machine that runs a pack, and what is known of it."""

    machine: Machine
    exchange: BucketExchange
    bought: float = field(default_factory=time.monotonic)
    heard: float = field(default_factory=time.monotonic)
    etag: str = ""

    @property
    def has_signed(self) -> bool:
        """Whether it has ever given a sign of life."""
        return bool(self.etag)


class Crew:
    """The machines of a sweep.

    Parameters
    ----------
    sweep
        The sweep.
    lifetime_min
        Minutes after which each of them ends.
    """

    def __init__(self, sweep: Sweep, lifetime_min: float) -> None:
        self._sweep = sweep
        self._lifetime_min = lifetime_min
        self._bought: dict[int, float] = {}
        self.hired: dict[int, Hired] = {}
        """Those that run a pack, by its number."""
        self.leaving: dict[str, tuple[Machine, float]] = {}
        """Those that have nothing to do any more, and until when they have to end themselves."""
        self.lingering: dict[str, frozenset[int]] = {}
        """The jobs of those that end, and whose packs count as ended already."""
        self.doomed: set[int] = set()
        """The packs whose machines are to be ended."""
        self.killed: set[int] = set()
        """The packs whose machines have been ended from here."""
        self.over: list[Ended] = []
        """The packs that have ended, and of which nobody has asked yet."""
        self.ended: dict[int, Attempt] = {}
        """How jobs have ended, of which nobody has asked yet."""
        self.fates: dict[int, Fate] = {}
        """What has become of packs whose machines have ended before them."""

    @property
    def many(self) -> int:
        """How many machines there are, or may be."""
        return len(self.hired) + len(self.leaving)

    @property
    def ids(self) -> set[str]:
        """The ids of all of them."""
        return {known.machine.id for known in self.hired.values()} | self.leaving.keys()

    def join(self, hired: Hired) -> None:
        """Take a machine that was bought."""
        num = hired.machine.pack
        self.hired[num], self._bought[num] = hired, hired.bought

    def end(self, num: int, code: int) -> None:
        """Take note that a pack has ended; its machine is to end itself."""
        self._leave(num, time.monotonic() + SELF_END_S)
        self.over.append(Ended(num, code))

    def dismiss(self, num: int) -> None:
        """Have a machine ended that has not done anything."""
        self._leave(num, 0.0)

    def refuse(self, packs: Iterable[int], error: JobError) -> None:
        """Take note that packs get no machine."""
        for num in packs:
            asks.refuse(self._sweep, num, error)
            self.over.append(Ended(num, GONE_CODE))

    def lifetime_error(self, pack: int) -> JobError | None:
        """Return that the time of a pack's machine is over, if it is, or so nearly that jobs stop.

        Its own clock began later than ours: what it does for that reason is never too early here.
        """
        seconds = time.monotonic() - self._bought.get(pack, float("inf"))
        if seconds < 60 * self._lifetime_min - min(EARLY_S, 15 * self._lifetime_min):
            return None
        return JobError(
            "MachineLifetime",
            f"the time of its machine was over: {self._lifetime_min} min (max_lifetime_min)",
        )

    def _leave(self, num: int, until: float) -> None:
        machine = self.hired.pop(num).machine
        self.leaving[machine.id] = (machine, until)
        self.doomed.discard(num)
