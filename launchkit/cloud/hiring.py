"""Buying the machines of packs: one request for many, never twice, never beyond the limits."""

from __future__ import annotations

import hashlib
import logging
import random
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from launchkit.cloud.boot import Boot
from launchkit.cloud.cloud_settings import CloudSettings
from launchkit.cloud.ledger import Ledger
from launchkit.cloud.providers import Expired, Machine, NoCapacity, Order, Provider, Refused
from launchkit.job import JobError
from launchkit.outside.packs import Pack

log = logging.getLogger(__name__)

ASK_AGAIN_S = (15.0, 60.0)
"""The shortest and the longest time between two requests where there is no capacity."""


class NotBought(Exception):
    """No machine is to be had for packs."""

    def __init__(self, packs: Collection[int], error: JobError) -> None:
        super().__init__(error.message)
        self.packs = tuple(packs)
        self.error = error


@dataclass(frozen=True)
class _Waiting:
    pack: Pack
    boot: Boot


class Hiring:
    """The packs of a sweep that wait for machines.

    Parameters
    ----------
    sweep
        The sweep's id.
    provider
        Who rents machines out.
    ledger
        Where it is written down.
    settings
        What is rented, and for how much at most.
    price
        The most that a machine costs an hour, in USD; None if that is not known.
    """

    def __init__(
        self,
        sweep: str,
        provider: Provider,
        ledger: Ledger,
        settings: CloudSettings,
        price: float | None,
    ) -> None:
        self._sweep = sweep
        self._provider = provider
        self._ledger = ledger
        self._settings = settings
        self._price = price
        self._waiting: dict[int, _Waiting] = {}
        self._jobs: dict[int, tuple[int, ...]] = {}
        self._order: Order | None = None
        self._tries = self._had = 0
        self._lacking_since = self._next = 0.0

    @property
    def waiting(self) -> tuple[int, ...]:
        """The packs that have no machine."""
        return tuple(self._waiting)

    @property
    def asking(self) -> str | None:
        """The token of the request of which it is not known yet what it brings; None, mostly."""
        return None if self._order is None else self._order.token

    def jobs_of(self, pack: int) -> tuple[int, ...]:
        """Return the numbers of the jobs of a pack."""
        return self._jobs[pack]

    def add(self, packs: Sequence[Pack], boot: Boot) -> None:
        """Take packs, whose machines are to be told the same but for the pack."""
        self._waiting.update((pack.num, _Waiting(pack, boot)) for pack in packs)
        self._jobs.update((pack.num, pack.jobs) for pack in packs)

    def remove(self, nums: Collection[int]) -> None:
        """Give packs up. What a request has brought of which nothing is known is ended later."""
        for num in nums:
            self._waiting.pop(num, None)
        order = self._order
        if order is not None and not any(num in self._waiting for num in _packs(order)):
            self._order = None

    def buy(self, many: int) -> list[Machine]:
        """Buy machines, if any are wanted and may be bought now.

        Parameters
        ----------
        many
            How many there are already.

        Raises
        ------
        NotBought
            If there will be none for some packs.
        Unreachable, Expired
            If it is not known whether something was bought: the next call asks the same again.
        """
        if many < self._had:  # one has ended, and another may be had instead
            self._had, self._next = 0, 0.0
        if not self._waiting or time.monotonic() < self._next:
            return []
        order = self._order or self._next_order(many)
        if order is None:
            return []
        if self._order is None:
            self._ledger.intends(order, self._price)
            self._order = order
        try:
            machines = self._provider.start(order)
        except NoCapacity as error:
            self._void(order)
            self._wait_for_capacity(order, error, many)
            return []
        except Expired:
            raise
        except Refused as error:
            self._void(order)
            refused = [num for num in _packs(order) if self._waiting.pop(num, None)]
            raise NotBought(refused, JobError("MachineRefused", str(error))) from error
        self._ledger.got(order.token, machines)
        self._order = None
        self._lacking_since = 0.0
        wanted = [machine for machine in machines if self._waiting.pop(machine.pack, None)]
        # What was given up meanwhile is not run.
        unwanted = [machine for machine in machines if machine not in wanted]
        if unwanted:
            self._provider.end(unwanted)
        return wanted

    def _void(self, order: Order) -> None:
        self._ledger.got(order.token, [])
        self._order = None

    def _next_order(self, many: int) -> Order | None:
        """Return the next request: packs that follow each other, as many as may be."""
        first = next(iter(self._waiting.values()))
        run = [first.pack.num]
        while (after := self._waiting.get(run[-1] + 1)) is not None and after.boot == first.boot:
            run.append(after.pack.num)
        most = self._most(many)
        if most <= 0:
            return None
        self._tries += 1
        mark = hashlib.sha256(f"{self._sweep} {run[0]} {self._tries} {time.time()}".encode())
        return Order(
            token=f"{mark.hexdigest()[:16]}-{run[0]}",
            boot=replace(first.boot, first_pack=run[0]),
            many=min(most, len(run)),
            sweep=self._sweep,
            zones=self._settings.zones,
        )

    def _most(self, many: int) -> int:
        """Return how many machines may be bought now; 0 to wait for others to end.

        Raises
        ------
        NotBought
            If waiting does not help.
        """
        settings, price = self._settings, self._price
        most = len(self._waiting)
        if settings.max_machines is not None:
            most = min(most, settings.max_machines - many)
        if price is None:
            return most
        if settings.max_price_per_hour is not None:
            most = min(most, int(settings.max_price_per_hour / price + 1e-9) - many)
        if settings.max_total_price is not None:
            left = settings.max_total_price - self._ledger.cost()
            affordable = int(left / (price * settings.max_lifetime_min / 60) + 1e-9)
            # What ends before its time has cost less than was reckoned with.
            if affordable <= 0 and many == 0:
                packs = self.waiting
                self._waiting.clear()
                raise NotBought(
                    packs,
                    JobError(
                        "PriceLimit",
                        f"max_total_price is {settings.max_total_price:g} USD, and up to "
                        f"{self._ledger.cost():.2f} USD are spent; another machine could cost "
                        f"{price * settings.max_lifetime_min / 60:.2f} USD",
                    ),
                )
            most = min(most, affordable)
        return most

    def _wait_for_capacity(self, order: Order, error: NoCapacity, many: int) -> None:
        now = time.monotonic()
        limit_min = self._settings.capacity_wait_min
        if not self._lacking_since:
            log.warning("%s; asked again for up to %g min (capacity_wait_min)", error, limit_min)
        # While there are others of ours, theirs is what we wait for.
        if many or not self._lacking_since:
            self._lacking_since = now
        self._had = many
        waited = now - self._lacking_since
        if waited > 60 * limit_min:
            packs = [num for num in _packs(order) if self._waiting.pop(num, None)]
            self._lacking_since = 0.0
            raise NotBought(
                packs,
                JobError("NoCapacity", f"{error}; waited {limit_min:g} min (capacity_wait_min)"),
            ) from error
        shortest, longest = ASK_AGAIN_S
        pause = random.uniform(shortest, min(longest, max(shortest, waited)))
        self._next = now + min(pause, max(1.0, 60 * limit_min - waited))


def _packs(order: Order) -> range:
    first = order.boot.first_pack
    return range(first, first + order.many)
