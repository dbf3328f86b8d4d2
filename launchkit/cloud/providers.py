"""What a provider of machines is asked, whichever it is."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from launchkit.cloud.boot import Boot


class ProviderError(Exception):
    """A provider has not done what it was asked to."""


class Refused(ProviderError):
    """The provider does not do it: asking again does not help."""


class Expired(Refused):
    """Our credentials have expired: it helps to log in anew, and to ask again."""


class NoCapacity(ProviderError):
    """The provider has no such machine to give now, anywhere it was asked to look."""


class Unreachable(ProviderError):
    """The provider could not be asked, although this was tried again for a while."""


class Standing(enum.Enum):
    """How a machine stands."""

    STARTING = "starting"
    RUNNING = "running"
    ENDING = "ending"
    GONE = "gone"


@dataclass(frozen=True)
class Machine:
    """A rented machine.

    Parameters
    ----------
    id
        The provider's name for it.
    zone
        Where it is: an availability zone, or a zone; the region is part of that.
    token
        The token of the request that it came of; empty if it cannot be told.
    pack
        The pack it runs.
    standing
        How it stands.
    launched
        Seconds since the epoch.
    kind
        The type of machine.
    reason
        Why it is gone, in the provider's words; empty if nothing was said.
    reclaimed
        Whether the provider has taken it back.
    sweep
        The id of its sweep.
    base
        The address of the sweep in its bucket.
    stopped
        Whether it is stopped, and does not go away by itself: its disk is paid for.
    """

    id: str
    zone: str
    token: str
    pack: int
    standing: Standing
    launched: float
    kind: str = ""
    reason: str = ""
    reclaimed: bool = False
    sweep: str = ""
    base: str = ""
    stopped: bool = False


@dataclass(frozen=True)
class Offer:
    """What machines would cost, and what they would be, found out without buying any.

    Parameters
    ----------
    price_per_hour
        The most that one machine costs an hour, in USD; None where that cannot be told.
    price_source
        Where the price is from, in words; or why there is none.
    image
        The machine image.
    lines
        The machines in words, a line each.
    most
        How many of them may run at a time by the account's quota; None if that is not known.
    """

    price_per_hour: float | None
    price_source: str
    image: str
    lines: tuple[str, ...] = ()
    most: int | None = None


@dataclass(frozen=True)
class Order:
    """A request for machines, of which each runs one pack.

    Parameters
    ----------
    token
        What tells the request from every other; a second request with it buys nothing new.
        At most 48 characters of a-z, 0-9 and ``-``.
    boot
        What the machines are told; the machine of number i runs pack ``boot.first_pack + i``.
    many
        How many machines.
    sweep
        The sweep's id, for their tags.
    zones
        Where to look for them, in order; empty for wherever the provider likes.
    """

    token: str
    boot: Boot
    many: int
    sweep: str
    zones: Sequence[str] = field(default_factory=tuple)


class Provider(Protocol):
    """A provider of machines.

    Every method raises `Unreachable` where the provider cannot be asked, after having tried for
    a while, and `Refused` where it says no.
    """

    def check(self, many: int) -> Offer:
        """Ask everything that can be asked without buying: nothing is bought.

        Parameters
        ----------
        many
            How many machines are wanted.

        Raises
        ------
        ValueError
            If they could not be had: the message names the setting, its value, and the way out.
        """

    def start(self, order: Order) -> list[Machine]:
        """Buy machines; fewer than asked for, if there are no more now.

        Asked again with the same token and `many`, it returns the machines of the first time.

        Raises
        ------
        NoCapacity
            If there is none at all now.
        """

    def machines(self, sweep: str | None = None) -> list[Machine]:
        """Return the machines of a sweep, gone ones too as long as the provider knows them.

        Parameters
        ----------
        sweep
            The sweep's id; None for all that bear launchkit's tag and are not gone, wherever.
        """

    def end(self, machines: Sequence[Machine]) -> None:
        """End machines at once; those that are gone are no error."""

    def last_words(self, machine: Machine) -> str:
        """Return the last line that a machine has printed to its console; empty if unknown."""
