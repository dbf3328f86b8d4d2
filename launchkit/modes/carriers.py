"""What carries packs of jobs to where they run, and programs on this machine that do it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from launchkit.machine.placement import Place, Places
from launchkit.machine.pool import Ended, Pool
from launchkit.outside.packs import Pack


class Carriers(Protocol):
    """What carries packs: a program each, or a batch system."""

    def add(self, packs: Sequence[Pack]) -> None:
        """Take packs, to be started as soon as there is room for them."""

    def remove(self, nums: Iterable[int]) -> list[int]:
        """Give up packs that have not started, and return which these are."""

    def wait(self, timeout: float) -> list[Ended]:
        """Start what can be, and return the packs that have ended, once there is one.

        Only here may a signal interrupt: see `interrupts`.

        Parameters
        ----------
        timeout
            Seconds after which to return although none has.
        """

    def kill(self, nums: Sequence[int]) -> None:
        """End packs at once, with all their jobs; `wait` sees them end."""

    @property
    def running(self) -> tuple[int, ...]:
        """The packs that have started and not ended."""


class Clients:
    """Carries each pack with a program on this machine that runs as long as the pack does.

    Parameters
    ----------
    places
        What there is of this machine for them.
    start
        Starts the program of a pack in its place, and returns the process's id.
    kill
        Ends what the programs of packs have started, where they do not take it with them.
    """

    def __init__(
        self,
        places: Places,
        start: Callable[[Pack, Place], int],
        kill: Callable[[Sequence[int]], None] = lambda nums: None,
    ) -> None:
        self._pool = Pool(places, start)
        self._kill = kill

    def add(self, packs: Sequence[Pack]) -> None:
        """Queue packs."""
        self._pool.add(packs)

    def remove(self, nums: Iterable[int]) -> list[int]:
        """Forget packs that wait."""
        return self._pool.remove(nums)

    def wait(self, timeout: float) -> list[Ended]:
        """Keep the places full until a program ends."""
        return self._pool.wait(timeout)

    def kill(self, nums: Sequence[int]) -> None:
        """End packs, and their programs."""
        # A program that goes on might yet start what is to be ended.
        self._pool.stop(nums, 0.0)
        self._kill(nums)

    @property
    def running(self) -> tuple[int, ...]:
        """The packs that have a program."""
        return self._pool.running
