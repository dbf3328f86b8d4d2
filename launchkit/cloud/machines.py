"""Carries packs on rented machines, one each: brings, buys, listens, and sees each of them gone.

All that is asked of the provider and the bucket is asked in `Machines.wait`, and can be asked
again: what was interrupted, by a signal or by an outage, is begun anew the next time.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from launchkit import interrupts
from launchkit.cloud import providers, stores
from launchkit.cloud.boot import Boot
from launchkit.cloud.bucket_exchange import FETCHERS, BucketExchange
from launchkit.cloud.cloud_settings import CloudSettings
from launchkit.cloud.crew import Crew, Hired
from launchkit.cloud.delivery import Delivery
from launchkit.cloud.depot import Depot
from launchkit.cloud.ends import Fate, end_all
from launchkit.cloud.hiring import Hiring, NotBought
from launchkit.cloud.inspecting import HEARD_S, Inspector
from launchkit.cloud.ledger import Ledger
from launchkit.cloud.listening import Listener
from launchkit.cloud.providers import Machine, Provider
from launchkit.cloud.trouble import TROUBLE
from launchkit.job import Attempt, Job, JobError
from launchkit.machine.pool import Ended
from launchkit.outside.packs import Pack
from launchkit.sweep import Sweep

log = logging.getLogger(__name__)

SHORTEST_S = 1.0
LEASE_S = 30.0
PATIENT_S = 60.0


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
        self._ledger = Ledger(sweep)
        self._crew = Crew(sweep, settings.max_lifetime_min)
        self._delivery = Delivery(depot, boot, archive)
        self._hiring = Hiring(sweep.id, provider, self._ledger, settings, price)
        self._listener = Listener(self._crew, depot)
        self._inspector = Inspector(
            sweep, self._crew, provider, self._ledger, self._hiring, self._listener, settings
        )
        self._fetchers = ThreadPoolExecutor(FETCHERS, "launchkit-fetch")
        self._next = 0.0
        self._troubles = 0

    @property
    def fates(self) -> dict[int, Fate]:
        """What has become of packs whose machines have ended before them."""
        return self._crew.fates

    @property
    def ended(self) -> dict[int, Attempt]:
        """How jobs have ended that nobody has asked for yet."""
        return self._crew.ended

    @property
    def looks(self) -> int:
        """How often it was looked at what is there."""
        return self._listener.looks

    @property
    def running(self) -> tuple[int, ...]:
        """The packs that have a machine."""
        return tuple(self._crew.hired)

    @property
    def waiting(self) -> tuple[int, ...]:
        """The packs that are going to have one."""
        return (*self._delivery.waiting, *self._hiring.waiting)

    @property
    def many(self) -> int:
        """How many machines have been bought so far."""
        return len(self._ledger.machines)

    def hand_over(self, jobs: Collection[Job]) -> None:
        """Take jobs, whose packs are going to be added."""
        self._delivery.hand_over(jobs)

    def add(self, packs: Sequence[Pack]) -> None:
        """Take packs, of the jobs that have been handed over before."""
        self._delivery.add(packs)
        self.hurry()

    def remove(self, nums: Iterable[int]) -> list[int]:
        """Give up packs that have no machine, or one that has not given a sign of life."""
        wanted = set(nums)
        removed = [num for num in wanted if num in self.waiting]
        self._delivery.remove(wanted)
        self._hiring.remove(wanted)
        for num in wanted.difference(removed):
            known = self._crew.hired.get(num)
            if known is not None and not known.has_signed:
                self._dismiss(num)
                removed.append(num)
        self.hurry()
        return removed

    def kill(self, nums: Sequence[int]) -> None:
        """End machines with all their jobs."""
        self._crew.doomed.update(num for num in nums if num in self._crew.hired)
        self.hurry()

    def settle(self, nums: Collection[int]) -> None:
        """Take note that jobs have ended, as the launcher sees it."""
        for known in self._crew.hired.values():
            known.exchange.settle(nums)

    def hurry(self) -> None:
        """Have something to ask: that is due."""
        if not self._troubles:
            self._next = 0.0

    def wait(self, timeout: float) -> list[Ended]:
        """Ask what is due, until a pack or a job has ended."""
        crew = self._crew
        deadline = time.monotonic() + timeout
        while True:
            busy = crew.many or self.waiting
            if busy and time.monotonic() >= self._next:
                self._try()
            if crew.over or crew.ended:
                over, crew.over = crew.over, []
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
        for num in self.running:
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
            self._listener.close()
            self._fetchers.shutdown()
        return left

    def cost(self) -> float:
        """Return the most that all machines so far cost, in USD."""
        return self._ledger.cost()

    def lifetime_error(self, pack: int) -> JobError | None:
        """Return that the time of a pack's machine is over, if it is: see `Crew`."""
        return self._crew.lifetime_error(pack)

    def log(self, pack: int) -> str:
        """Return what the machine of a pack has said of itself."""
        return self._depot.log(pack)

    def _try(self) -> None:
        interval = min(HEARD_S, max(SHORTEST_S, self._settings.sync_interval / 3))
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
            (bucket, lambda: self._depot.put_asks(self._crew.hired)),
            (provider, self._end_doomed),
            (provider, self._buy),
            (bucket, self._listener.listen),
            (provider, self._inspector.inspect),
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
        if hopeless and not expired and not self._crew.hired:
            waiting = self.waiting
            self._crew.refuse(waiting, JobError("CloudRefused", str(error)))
            self._delivery.remove(waiting)
            self._hiring.remove(waiting)
            return
        if not self._troubles:
            log.warning("%s; what runs goes on, and this is tried again", error)
        self._troubles += 1
        pause = min(PATIENT_S, 2.0 ** min(self._troubles, 6))
        self._next = time.monotonic() + random.uniform(pause / 2, pause)

    def _deliver(self) -> None:
        for packs, boot in self._delivery.bring(self._crew.lingering.values()):
            self._hiring.add(packs, boot)

    def _end_doomed(self) -> None:
        crew = self._crew
        doomed = [crew.hired[num].machine for num in crew.doomed if num in crew.hired]
        if doomed:
            self._provider.end(doomed)
            crew.killed.update(crew.doomed)
            self._inspector.hurry()
        crew.doomed.clear()

    def _buy(self) -> None:
        try:
            bought = self._hiring.buy(self._crew.many)
        except NotBought as problem:
            self._crew.refuse(problem.packs, problem.error)
            return
        known = {job.num: job for job in self._sweep.jobs} if bought else {}
        for machine in bought:
            exchange = BucketExchange(self._sweep, self._depot, self._fetchers, machine.pack)
            exchange.adopt(known[num] for num in self._hiring.jobs_of(machine.pack))
            self._crew.join(Hired(machine, exchange))

    def _dismiss(self, num: int) -> None:
        """End a machine before it has done anything."""
        self._crew.dismiss(num)
        self._inspector.hurry()
