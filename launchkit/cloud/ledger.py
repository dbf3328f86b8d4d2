"""What a sweep has bought, written down before and after: ``.launchkit/machines.jsonl``.

Before machines are asked for, the request is written down with its token. So a launcher that
is killed in between leaves no machine that nobody knows of.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from launchkit import files
from launchkit.cloud.providers import Machine, Order
from launchkit.sweep import Sweep

FILE = "machines.jsonl"
LEAST_H = 1 / 60
"""What is paid for at least, in hours: a minute."""


@dataclass(frozen=True)
class Bought:
    """A machine that was bought.

    Parameters
    ----------
    id, zone, token, pack
        As of `Machine`.
    price
        The most that it costs an hour, in USD; None if that is not known.
    lifetime_min
        How long it lives at most.
    launched, gone
        Seconds since the epoch; `gone` is None as long as that is not known.
    """

    id: str
    zone: str
    token: str
    pack: int
    price: float | None
    lifetime_min: int
    launched: float
    gone: float | None = None

    def cost(self) -> float:
        """Return the most that it costs in all, in USD; 0 where no price is known."""
        hours = self.lifetime_min / 60
        if self.gone is not None:
            hours = min(hours, max(LEAST_H, (self.gone - self.launched) / 3600))
        return (self.price or 0.0) * hours


class Ledger:
    """What a sweep has bought.

    Parameters
    ----------
    sweep
        The sweep.
    """

    def __init__(self, sweep: Sweep) -> None:
        self._path = sweep.own / FILE
        self._open: dict[str, float] = {}
        self._bought: dict[str, Bought] = {}
        self._orders: dict[str, dict[str, Any]] = {}
        for line in files.read_json_lines(self._path):
            self._take(line)

    @property
    def machines(self) -> tuple[Bought, ...]:
        """All that were bought."""
        return tuple(self._bought.values())

    @property
    def unsettled(self) -> dict[str, float]:
        """The tokens of requests of which it is not known what became of them, and when."""
        return dict(self._open)

    def asked(self, token: str) -> int:
        """Return how many machines a request was for."""
        many: int = self._orders[token]["many"]
        return many

    @property
    def has_left(self) -> bool:
        """Whether there may be machines that are not gone."""
        return bool(self._open) or any(known.gone is None for known in self.machines)

    def cost(self) -> float:
        """Return the most that all of them cost, in USD."""
        return sum(known.cost() for known in self.machines)

    def intends(self, order: Order, price: float | None) -> None:
        """Write down that machines are going to be asked for."""
        self._write(
            {
                "intends": order.token,
                "first_pack": order.boot.first_pack,
                "many": order.many,
                "price": price,
                "lifetime_min": order.boot.lifetime_min,
                "time": time.time(),
            }
        )

    def got(self, token: str, machines: Sequence[Machine]) -> None:
        """Write down what a request has brought; nothing, if it was refused."""
        found = [[each.id, each.zone, each.pack, each.launched] for each in machines]
        self._write({"got": token, "machines": found})

    def are_gone(self, ids: Iterable[str]) -> None:
        """Write down that machines are gone."""
        gone = [each for each in ids if each in self._bought and self._bought[each].gone is None]
        if gone:
            self._write({"gone": gone, "time": time.time()})

    def settle(self, machines: Iterable[Machine]) -> None:
        """Write down what was found of requests of which nothing was known."""
        found = list(machines)
        for token in self.unsettled:
            self.got(token, [each for each in found if each.token == token])

    def _write(self, line: dict[str, Any]) -> None:
        files.append_line(self._path, json.dumps(line), mode=0o600)
        self._take(line)

    def _take(self, line: dict[str, Any]) -> None:
        if "intends" in line:
            self._open[line["intends"]] = line["time"]
            self._orders[line["intends"]] = line
        elif "got" in line:
            self._open.pop(line["got"], None)
            order = self._orders.get(line["got"], {})
            for name, zone, pack, launched in line["machines"]:
                self._bought[name] = Bought(
                    id=name,
                    zone=zone,
                    token=line["got"],
                    pack=pack,
                    price=order.get("price"),
                    lifetime_min=order.get("lifetime_min", 0),
                    launched=launched,
                )
        elif "gone" in line:
            for name in line["gone"]:
                self._bought[name] = replace(self._bought[name], gone=line["time"])
