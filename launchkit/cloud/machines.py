"""Carries packs on rented machines, one each: buys, listens, and sees every machine gone.

All that is asked of the provider and the bucket is asked in `Machines.wait`, and can be asked
again: what was interrupted, by a signal or by an outage, is begun anew the next time.
"""

from __future__ import annotations

import contextlib
import logging
import random
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from launchkit import interrupts
from launchkit.cloud import providers, stores
from launchkit.cloud.boot import Boot
from launchkit.cloud.bucket_exchange import BucketExchange
from launchkit.cloud.cloud_settings import CloudSettings
from launchkit.cloud.depot import Depot
from launchkit.cloud.ends import Fate, end_all, fate_of
from launchkit.cloud.hiring import Hiring, NotBought
from launchkit.cloud.ledger import Ledger
from launchkit.cloud.providers import Machine, Provider, Standing
from launchkit.job import Attempt, Job, JobError
from launchkit.machine.pool import Ended
from launchkit.outside import asks
from launchkit.outside.packs import Pack
from launchkit.outside.ssh import ConnectionLost
from launchkit.sweep import Sweep

log = logging.getLogger(__name__)

GONE_CODE = -9
SHORTEST_S = 1.0
LONGEST_S = 5.0
INSPECT_S = 15.0
"""Seconds between two questions to the provider how the machines stand."""
INSPECT_SOON_S = 2.0
LEASE_S = 30.0
SELF_END_S = 120.0
"""How long a machine whose pack has ended has to end itself."""
UNLISTED_S = 90.0
"""How long a machine that was bought may not be in the provider's list yet."""
PATIENT_S = 60.0
EARLY_S = 140.0
"""How long before its end a machine has its jobs stop, at most; else a quarter of its life."""
LOOKERS = 8
FETCHERS = 16

TROUBLE = (
    stores.StoreError,
    providers.Unreachable,
    providers.Refused,
    ConnectionLost,
    OSError,
)


@dataclass
class _Hired:
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


class Machines:
    """The machines of a sweep.

    Parameters
    ----------
    sweep
        The sweep.
    provider
        Who rents them out.
    depot
        The sweep's place in the bucket.
    settings
        What is rented, and for how much at most.
    boot
        What they are told; the archive and the packs are filled in.
    archive
        The sweep's archive.
    price
        The most that one costs an hour, in USD; None if that is not known.
    """

    def __init__(
        self,
        sweep: Sweep,
        provider: Provider,
        depot: Depot,
        settings: CloudSettings,
        boot: Boot,
        archive: Path,
        price: float | None,
    ) -> None:
        self._sweep = sweep
        self._provider = provider
        self._depot = depot
        self._settings = settings
        self._boot = boot
        self._archive = archive
        self._ledger = Ledger(sweep)
        self._hiring = Hiring(sweep.id, provider, self._ledger, settings, price)
        self._coming: list[Job] = []
        self._batches: list[tuple[tuple[Pack, ...], tuple[Job, ...]]] = []
        self._hired: dict[int, _Hired] = {}
        self._bought: dict[int, float] = {}
        self._leaving: dict[str, tuple[Machine, float]] = {}
        self._lingering: dict[str, frozenset[int]] = {}
        self._killed: set[int] = set()
        self._doomed: set[int] = set()
        self._over: list[Ended] = []
        self._lookers = ThreadPoolExecutor(LOOKERS, "launchkit-look")
        self._fetchers = ThreadPoolExecutor(FETCHERS, "launchkit-fetch")
        self._next = self._next_inspection = 0.0
        # Until when all that machines have said is known here.
        self._listened = time.monotonic()
        self._troubles = 0
        self.fates: dict[int, Fate] = {}
        """What has become of packs whose machines have ended before them."""
        self.looks = 0
        """How often it was looked at what is there."""
        self.ended: dict[int, Attempt] = {}
        """How jobs have ended that nobody has asked for yet."""

    @property
    def running(self) -> tuple[int, ...]:
        """The packs that have a machine."""
        return tuple(self._hired)

    @property
    def waiting(self) -> tuple[int, ...]:
        """The packs that are going to have one."""
        return (*(pack.num for packs, _ in self._batches for pack in packs), *self._hiring.waiting)

    def hand_over(self, jobs: Collection[Job]) -> None:
        """Take jobs, whose packs are going to be added."""
        self._coming += jobs

    def add(self, packs: Sequence[Pack]) -> None:
        """Take packs, of the jobs that have been handed over before."""
        self._batches.append((tuple(packs), tuple(self._coming)))
        self._coming = []
        self.hurry()

    def remove(self, nums: Iterable[int]) -> list[int]:
        """Give up packs that have no machine, or one that has not given a sign of life."""
        wanted = set(nums)
        removed = [num for num in wanted if num in self.waiting]
        self._batches = [
            (tuple(pack for pack in packs if pack.num not in wanted), jobs)
            for packs, jobs in self._batches
        ]
        self._hiring.remove(wanted)
        for num in wanted.difference(removed):
            known = self._hired.get(num)
            if known is not None and not known.has_signed:
                self._dismiss(num)
                removed.append(num)
        self.hurry()
        return removed

    def kill(self, nums: Sequence[int]) -> None:
        """End machines with all their jobs."""
        self._doomed.update(num for num in nums if num in self._hired)
        self.hurry()

    def settle(self, nums: Collection[int]) -> None:
        """Take note that jobs have ended, as the launcher sees it."""
        for known in self._hired.values():
            known.exchange.settle(nums)

    def hurry(self) -> None:
        """Have something to ask: that is due."""
        if not self._troubles:
            self._next = 0.0

    def wait(self, timeout: float) -> list[Ended]:
        """Ask what is due, until a pack or a job has ended."""
        deadline = time.monotonic() + timeout
        while True:
            busy = self._hired or self.waiting or self._leaving
            if busy and time.monotonic() >= self._next:
                self._try()
            if self._over or self.ended:
                over, self._over = self._over, []
                return over
            now = time.monotonic()
            if now >= deadline:
                return []
            pause = min(deadline, self._next) - now if busy else deadline - now
            with interrupts.felt():
                time.sleep(max(0.0, pause))

    def finish(self, jobs: Sequence[Job], patience_s: float, unsure_s: float) -> list[Machine]:
        """End what is left, and leave in the bucket how all has ended.

        Returns the machines that may not be gone.

        Parameters
        ----------
        jobs
            All jobs of the sweep.
        patience_s, unsure_s
            As for `end_all`.
        """
        for num in list(self._hired):
            self._dismiss(num)
        left: list[Machine] = []
        try:
            if self._ledger.has_left:
                # One that ends is paid for no more, and nothing runs in its place.
                left = end_all(
                    self._provider,
                    self._ledger,
                    self._sweep.id,
                    patience_s,
                    unsure_s,
                    ending_will_do=True,
                )
            if self._settings.keep_bucket:
                self._depot.close(jobs)
            else:
                self._depot.remove()
        finally:
            self._lookers.shutdown()
            self._fetchers.shutdown()
        return left

    def cost(self) -> float:
        """Return the most that all machines so far cost, in USD."""
        return self._ledger.cost()

    def lifetime_error(self, pack: int) -> JobError | None:
        """Return that the time of a pack's machine is over, if it is, or so nearly that jobs stop.

        Its own clock began later than ours: what it does for that reason is never too early here.
        """
        lifetime_min = self._settings.max_lifetime_min
        seconds = time.monotonic() - self._bought.get(pack, float("inf"))
        if seconds < 60 * lifetime_min - min(EARLY_S, 15 * lifetime_min):
            return None
        return JobError(
            "MachineLifetime",
            f"the time of its machine was over: {lifetime_min} min (max_lifetime_min)",
        )

    def log(self, pack: int) -> str:
        """Return what the machine of a pack has said of itself."""
        return self._depot.log(pack)

    @property
    def many(self) -> int:
        """How many machines have been bought so far."""
        return len(self._ledger.machines)

    # A round of questions

    def _try(self) -> None:
        interval = min(LONGEST_S, max(SHORTEST_S, self._settings.sync_interval / 3))
        try:
            self._round()
        except TROUBLE as error:
            self._bear(error)
            return
        if self._troubles:
            log.warning("%s is reached again", self._depot.store.url)
            self._troubles = 0
        self._next = time.monotonic() + interval

    def _round(self) -> None:
        """Ask all that is due; where the bucket does not answer the provider may, and vice versa.

        The first trouble is raised once all has been asked.
        """
        bucket, provider = True, False
        troubles: dict[bool, Exception] = {}
        steps: tuple[tuple[bool, Callable[[], object]], ...] = (
            (bucket, lambda: self._depot.renew_lease(LEASE_S)),
            (bucket, self._deliver),
            (bucket, lambda: self._depot.put_asks(self._hired)),
            (provider, self._end_doomed),
            (provider, self._buy),
            (bucket, self._listen),
            (provider, self._inspect),
        )
        for of, ask in steps:
            if of in troubles:
                continue
            try:
                ask()
            except TROUBLE as error:
                troubles[of] = error
        if troubles:
            raise next(iter(troubles.values()))

    def _bear(self, error: Exception) -> None:
        """Try again in a while: what runs there is as it was."""
        hopeless = isinstance(error, stores.Refused | providers.Refused)
        expired = isinstance(error, stores.Expired | providers.Expired)
        if hopeless and not expired and not self._hired:
            self._refuse(self.waiting, JobError("CloudRefused", str(error)))
            self._batches = []
            self._hiring.remove(self._hiring.waiting)
            return
        if not self._troubles:
            log.warning("%s; what runs goes on, and this is tried again", error)
        self._troubles += 1
        pause = min(PATIENT_S, 2.0 ** min(self._troubles, 6))
        self._next = time.monotonic() + random.uniform(pause / 2, pause)

    def _deliver(self) -> None:
        """Bring what jobs need to the bucket, and only then have machines bought for them."""
        while self._batches:
            packs, jobs = self._batches[0]
            if any(job.num in left for job in jobs for left in self._lingering.values()):
                return  # two attempts of a job never run together
            if packs:
                if not self._boot.archive:
                    key, sha256 = self._depot.put_archive(self._archive)
                    self._boot = replace(self._boot, archive=key, sha256=sha256)
                    self._depot.reopen()
                self._depot.put_shared()
                first = packs[0].num
                self._depot.put_batch(first, jobs)
                boot = replace(self._boot, batch=self._depot.batch_key(first))
                self._hiring.add(packs, boot)
            self._batches.pop(0)

    def _end_doomed(self) -> None:
        doomed = [self._hired[num].machine for num in self._doomed if num in self._hired]
        if doomed:
            self._provider.end(doomed)
            self._killed.update(self._doomed)
            self._next_inspection = 0.0
        self._doomed.clear()

    def _buy(self) -> None:
        try:
            bought = self._hiring.buy(len(self._hired) + len(self._leaving))
        except NotBought as problem:
            self._refuse(problem.packs, problem.error)
            return
        known = {job.num: job for job in self._sweep.jobs} if bought else {}
        for machine in bought:
            exchange = BucketExchange(self._sweep, self._depot, self._fetchers, machine.pack)
            exchange.adopt(known[num] for num in self._hiring.jobs_of(machine.pack))
            hired = _Hired(machine, exchange)
            self._hired[machine.pack], self._bought[machine.pack] = hired, hired.bought

    def _refuse(self, packs: Iterable[int], error: JobError) -> None:
        for num in packs:
            asks.refuse(self._sweep, num, error)
            self._over.append(Ended(num, GONE_CODE))

    # What machines say

    def _listen(self) -> None:
        """Bring home what has changed, of the machines that have something to say."""
        if not self._hired:
            return
        began = time.monotonic()
        etags = self._depot.looks()
        news = {
            num: etag
            for num, etag in etags.items()
            if num in self._hired and self._hired[num].etag != etag
        }
        self._hear(news)
        self._listened = began
        self.looks += 1

    def _hear(self, news: dict[int, str]) -> None:
        """Hear machines; what goes wrong with one is raised once all have been heard."""
        coming = {num: self._lookers.submit(self._hired[num].exchange.look, [num]) for num in news}
        problem: Exception | None = None
        for num, future in coming.items():
            known = self._hired[num]
            try:
                stands, ended = future.result()
            except TROUBLE as error:
                problem = error
                continue
            known.heard = time.monotonic()
            self.ended.update(ended)
            if not known.exchange.problem:
                known.etag = news[num]
            elif not known.etag:
                known.etag = " "
            if num in stands and not stands[num].alive:
                code = stands[num].code
                self._end(num, GONE_CODE if code is None else code)
        if problem is not None:
            raise problem

    def _end(self, num: int, code: int) -> None:
        """Take note that a pack has ended; its machine is to end itself."""
        machine = self._hired.pop(num).machine
        self._leaving[machine.id] = (machine, time.monotonic() + SELF_END_S)
        self._doomed.discard(num)
        self._over.append(Ended(num, code))

    def _dismiss(self, num: int) -> None:
        """End a machine before it has done anything."""
        machine = self._hired.pop(num).machine
        self._leaving[machine.id] = (machine, 0.0)
        self._doomed.discard(num)
        self._next_inspection = 0.0

    # How machines stand

    def _inspect(self) -> None:
        """Ask the provider how the machines stand, and see those gone that have ended."""
        if time.monotonic() < self._next_inspection or not (self._hired or self._leaving):
            return
        now = time.monotonic()
        ending = False
        listed = {machine.id: machine for machine in self._provider.machines(self._sweep.id)}
        for num, known in list(self._hired.items()):
            machine = listed.get(known.machine.id)
            if machine is None:
                if now - known.bought > UNLISTED_S:
                    self._gone(num, replace(known.machine, reason="the provider knows it no more"))
            elif machine.standing is Standing.GONE:
                self._gone(num, machine)
            elif machine.standing is Standing.ENDING and num in self._killed:
                # Whoever wants that at once does not wait for the rest of its end.
                self._lingering[machine.id] = frozenset(self._hiring.jobs_of(num))
                self._gone(num, machine)
            else:
                known.machine = machine
                ending |= machine.standing is Standing.ENDING or self._is_silent(num, known)
        self._see_off(listed, now)
        soon = ending or self._leaving
        self._next_inspection = now + (INSPECT_SOON_S if soon else INSPECT_S)

    def _gone(self, num: int, machine: Machine) -> None:
        """Hear for the last time what the machine of a pack has said, which is gone."""
        with contextlib.suppress(stores.NotThere):  # it may never have said anything
            self._hear({num: " "})
        if num not in self._hired:
            return
        self.fates[num] = fate_of(machine, self.lifetime_error(num))
        self._end(num, GONE_CODE)

    def _is_silent(self, num: int, known: _Hired) -> bool:
        """Tell whether a machine gives no sign of life for too long, which is ended then."""
        start_s = 60 * self._settings.start_timeout_min
        silent_s = 60 * self._settings.unreachable_min + LONGEST_S + self._settings.sync_interval
        if known.machine.standing is Standing.ENDING or num in self._doomed:
            return False
        if not known.has_signed and self._listened - known.bought > start_s:
            said = self._provider.last_words(known.machine)
            error = JobError(
                "MachineSilent",
                f"{known.machine.id} has given no sign of life for "
                f"{self._settings.start_timeout_min:g} min (start_timeout_min)"
                + (f"; its console ends with: {said}" if said else ""),
            )
            asks.refuse(self._sweep, num, error)
        elif not known.has_signed or self._listened - known.heard <= silent_s:
            return False
        self._provider.end([known.machine])
        return True

    def _see_off(self, listed: dict[str, Machine], now: float) -> None:
        """See machines gone that have nothing to do any more."""
        gone = [name for name, machine in listed.items() if machine.standing is Standing.GONE]
        gone += [name for name in self._leaving if name not in listed]
        self._ledger.are_gone(gone)
        for name in gone:
            self._leaving.pop(name, None)
            self._lingering.pop(name, None)
        ours = {known.machine.id for known in self._hired.values()} | self._leaving.keys()
        strangers = [
            machine
            for name, machine in listed.items()
            if name not in ours
            and machine.standing in (Standing.STARTING, Standing.RUNNING)
            and machine.token != self._hiring.asking
        ]
        late = [machine for machine, until in self._leaving.values() if now > until]
        ending = [
            machine
            for machine in (*strangers, *late)
            if machine.id not in listed or listed[machine.id].standing is not Standing.ENDING
        ]
        if ending:
            self._provider.end(ending)
