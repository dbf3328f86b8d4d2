"""Buying machines of Compute Engine: zone by zone, and none of them twice."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from launchkit.cloud import gce_look, gce_names
from launchkit.cloud.gce_bodies import Request
from launchkit.cloud.gce_look import History, Look
from launchkit.cloud.gcp_errors import AlreadyThere, failure
from launchkit.cloud.patience import waiting
from launchkit.cloud.providers import Machine, NoCapacity, Order, ProviderError, Refused, Standing

_log = logging.getLogger(__name__)

AT_ONCE = 8
WAVE = 128
"""So many are asked for in a zone before it is heard whether it has any."""
WAIT_S = 180.0
"""Seconds after which a request that is under way is taken to go well."""
LOOK_S = 0.5
LONGEST_LOOK_S = 4.0

Compose = Callable[[Order, int, str, int], Request]
"""Makes the request for a pack in a zone, where it has failed so often."""
Operation = Mapping[str, Any]


class Buying:
    """The buying of the machines of an order.

    Parameters
    ----------
    look
        What there is already.
    order
        What is wanted.
    insert
        Asks for one machine, and returns the operation that makes it.
    compose
        Makes the request for one machine.
    """

    def __init__(
        self,
        look: Look,
        order: Order,
        insert: Callable[[Request], Operation],
        compose: Compose,
    ) -> None:
        self._look = look
        self._order = order
        self._insert = insert
        self._compose = compose
        self._stem = gce_names.stem(order.sweep, order.token)
        self._histories: dict[str, History] = {}
        self._found: dict[int, Machine] = {}
        self._lacking: ProviderError | None = None
        self._refused: ProviderError | None = None

    def run(self, zones: Sequence[str]) -> list[Machine]:
        """Buy what is not there yet, from zone to zone, and return what there is then.

        Raises
        ------
        NoCapacity
            If no zone has any.
        Refused
            If what is asked for cannot be had.
        """
        first = self._order.boot.first_pack
        packs = range(first, first + self._order.many)
        self._recall(packs)
        for zone in zones:
            wanted = [pack for pack in packs if pack not in self._found]
            while wanted and self._refused is None:
                wave, wanted = wanted[:WAVE], wanted[WAVE:]
                self._ask_for(wave, zone)
                if any(pack not in self._found for pack in wave):
                    break
        if not self._found:
            raise self._refused or self._lacking or NoCapacity("no zone was asked")
        if self._refused or self._lacking:
            _log.info(
                "%d of %d machines: %s",
                len(self._found), len(packs), self._refused or self._lacking,
            )  # fmt: skip
        return [self._found[pack] for pack in sorted(self._found)]

    def _recall(self, packs: range) -> None:
        """Find what an earlier request has bought, be it there or not."""
        names = {gce_names.name(self._order.sweep, self._order.token, pack): pack for pack in packs}
        self._histories = self._look.histories(self._stem)
        for name, history in self._histories.items():
            if name in names and history.bought is not None:
                make = _coming if history.pending else gce_look.gone
                self._found[names[name]] = make(name, history, self._order.sweep)
        # Looked at last: what the histories tell of and is not here is gone indeed.
        for machine in self._look.present(self._order.sweep):
            if machine.id in names:
                self._found[names[machine.id]] = machine

    def _ask_for(self, packs: Sequence[int], zone: str) -> None:
        """Ask for machines in a zone, and note what comes of it."""
        requests = {pack: self._request(pack, zone) for pack in packs}
        with ThreadPoolExecutor(AT_ONCE) as threads:
            asked = {
                pack: threads.submit(self._insert, request) for pack, request in requests.items()
            }
        operations: dict[int, Operation] = {}
        for pack, each in asked.items():
            try:
                operations[pack] = each.result()
            except (NoCapacity, Refused) as error:
                self._settle(requests[pack], pack, error)
        for pack, operation in self._wait(operations).items():
            self._settle(requests[pack], pack, failure(operation))

    def _request(self, pack: int, zone: str) -> Request:
        name = gce_names.name(self._order.sweep, self._order.token, pack)
        history = self._histories.get(name)
        return self._compose(self._order, pack, zone, history.failed.get(zone, 0) if history else 0)

    def _settle(self, request: Request, pack: int, error: ProviderError | None) -> None:
        """Note what has come of a request."""
        if error is None or isinstance(error, AlreadyThere):
            self._found[pack] = Machine(
                id=request.name,
                zone=request.zone,
                token=self._order.token,
                pack=pack,
                standing=Standing.STARTING,
                launched=time.time(),
                sweep=self._order.sweep,
                base=request.metadata.get(gce_names.BASE, ""),
            )
        elif isinstance(error, NoCapacity):
            self._lacking = NoCapacity(f"{request.zone} has none now: {error}")
        else:
            self._refused = error

    def _wait(self, operations: Mapping[int, Operation]) -> dict[int, Operation]:
        """Return operations once they are done, asking for all of them with one call."""
        found = dict(operations)
        deadline = time.monotonic() + WAIT_S
        pause = LOOK_S
        while any(each.get("status") != "DONE" for each in found.values()):
            if time.monotonic() > deadline:
                _log.warning("Google Cloud is slow to make machines; they are taken to come")
                break
            with waiting():
                time.sleep(pause)
            pause = min(2 * pause, LONGEST_LOOK_S)
            told = self._look.operations(self._stem)
            found = {pack: told.get(each["name"], each) for pack, each in found.items()}
        return found


def _coming(name: str, history: History, sweep: str) -> Machine:
    """Return a machine whose request is under way, and that cannot be seen yet."""
    gone = gce_look.gone(name, history, sweep)
    return replace(gone, standing=Standing.STARTING, reason="", reclaimed=False)
