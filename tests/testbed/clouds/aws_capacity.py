"""How many machines the simulated EC2 has to give."""

from __future__ import annotations

import fnmatch
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aws_requests import Refusal

_ERRORS = {
    # boto3 takes it for a failure of the server, and tries again: that is so with AWS, too.
    "InsufficientInstanceCapacity": (
        "We currently do not have sufficient {type} capacity in the Availability Zone you"
        " requested ({zone}). Our system will be working on provisioning additional capacity.",
        500,
    ),
    "MaxSpotInstanceCountExceeded": ("Max spot instance count exceeded", 400),
    "VcpuLimitExceeded": (
        "You have requested more vCPU capacity than your current vCPU limit of 32 allows for the"
        " instance bucket that the specified instance type belongs to. Please visit"
        " http://aws.amazon.com/contact-us/ec2-request to request an adjustment to this limit.",
        400,
    ),
    "InstanceLimitExceeded": ("You have requested more instances than your current limit.", 400),
    "SpotMaxPriceTooLow": (
        "Your Spot request price of {price} is lower than the minimum required Spot request"
        " fulfillment price of 0.0421.",
        400,
    ),
    "Unsupported": (
        "Your requested instance type ({type}) is not supported in your requested Availability"
        " Zone ({zone}).",
        400,
    ),
}


@dataclass(frozen=True)
class Wish:
    """What a RunInstances asks for; the zone may be empty."""

    kind: str
    zone: str
    market: str
    price: str
    least: int
    most: int


@dataclass
class Shortage:
    """A limit.

    Parameters
    ----------
    instance_type, zone
        Patterns: of which machines.
    market
        ``spot`` or ``on-demand``; empty for both.
    left
        So many can still be had; None for no limit of this kind.
    running
        So many may run at a time; None for no limit of this kind.
    error
        What is said where there are no more.
    script
        Only machines with this text in their user-data are meant.
    """

    instance_type: str = "*"
    zone: str = "*"
    market: str = ""
    left: int | None = None
    running: int | None = None
    error: str = "InsufficientInstanceCapacity"
    script: str = ""

    def concerns(self, wish: Wish, script: str) -> bool:
        """Tell whether it limits such machines."""
        return self.is_of(wish.kind, wish.zone, wish.market) and self.script in script

    def is_of(self, kind: str, zone: str, market: str) -> bool:
        """Tell whether it limits machines of a type, in a zone, of a market."""
        return (
            fnmatch.fnmatchcase(kind, self.instance_type)
            and fnmatch.fnmatchcase(zone, self.zone)
            and self.market in ("", market)
        )

    def refusal(self, wish: Wish) -> Refusal:
        """Return the error."""
        text, status = _ERRORS.get(self.error, ("{type} cannot be had in {zone}", 400))
        told = text.format(type=wish.kind, zone=wish.zone, price=wish.price)
        return Refusal(self.error, told, status)


class Capacity:
    """All limits of now; without any, there is no end of machines."""

    def __init__(self) -> None:
        self._shortages: list[Shortage] = []
        self._lock = threading.Lock()

    def add(self, **fields: Any) -> Shortage:
        """Limit something from now on."""
        shortage = Shortage(**fields)
        with self._lock:
            self._shortages.append(shortage)
        return shortage

    def clear(self, script: str = "") -> None:
        """Forget all limits, or those for a script."""
        with self._lock:
            kept = [each for each in self._shortages if script and each.script != script]
            self._shortages = kept

    def grant(
        self,
        wish: Wish,
        script: str,
        zones: Sequence[str],
        running: Sequence[tuple[str, str, str, str]],
    ) -> tuple[int, str]:
        """Return how many machines are given, and in which zone, and count them.

        Parameters
        ----------
        wish
            What is asked for.
        script
            Its user-data.
        zones
            Where to look, if the wish names no zone.
        running
            Type, zone, market and user-data of the machines that run now.

        Raises
        ------
        Refusal
            If fewer can be had than the wish has as the least.
        """
        with self._lock:
            refusal = None
            for zone in [wish.zone] if wish.zone else zones:
                here = Wish(wish.kind, zone, wish.market, wish.price, wish.least, wish.most)
                limits = [each for each in self._shortages if each.concerns(here, script)]
                free = [(_free(limit, running), limit) for limit in limits]
                least, limit = min(free, key=lambda each: each[0], default=(wish.most, None))
                if limit is not None and least < wish.least:
                    refusal = refusal or limit.refusal(here)
                    continue
                granted = min(wish.most, least)
                for each in limits:
                    if each.left is not None:
                        each.left -= granted
                return granted, zone
            assert refusal is not None
            raise refusal

    def told(self) -> list[dict[str, Any]]:
        """Describe them."""
        with self._lock:
            return [dict(vars(each)) for each in self._shortages]


def _free(limit: Shortage, running: Sequence[tuple[str, str, str, str]]) -> int:
    counts = []
    if limit.left is not None:
        counts.append(limit.left)
    if limit.running is not None:
        taken = sum(limit.is_of(*each[:3]) and limit.script in each[3] for each in running)
        counts.append(max(0, limit.running - taken))
    return min(counts, default=0)
