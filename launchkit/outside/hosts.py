"""Carries packs on a host that is reached by ssh, whether the connection lasts or not.

All that goes over the connection does so in `Hosts.wait`, and can be done again: what is
interrupted, by a signal or by the connection's end, is begun anew the next time.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Collection, Iterable, Sequence

from launchkit import interrupts
from launchkit.doodad import ssh_mode
from launchkit.job import Attempt, Job, JobError
from launchkit.machine.pool import Ended
from launchkit.outside import asks
from launchkit.outside.host_exchange import HostExchange
from launchkit.outside.listing import PackLook
from launchkit.outside.packs import Pack
from launchkit.outside.remote import NOT_THERE_CODE, Remote
from launchkit.outside.ssh import CommandFailed, Connection
from launchkit.outside.ssh_route import ConnectionLost
from launchkit.sweep import Sweep

log = logging.getLogger(__name__)

SHORTEST_S = 0.3
GROWTH = 1.2
PATIENT_S = 60.0
"""The longest time between two attempts to connect."""
SHARE = 3.0
"""So many times as long as an exchange takes is the time from one to the next, at least."""
RECONNECT_S = 0.5
TRIES_TO_KILL = 3
GONE_CODE = -9


class Hosts:
    """The hosts of packs on a machine, and what is exchanged with them.

    Parameters
    ----------
    sweep
        The sweep.
    connection
        The connection to the machine.
    remote
        The sweep's directory there.
    exchange
        What goes to and fro.
    archive
        The name of the sweep's archive.
    interval_s
        The longest time between two looks, in seconds.
    containers
        Whether the jobs are in containers of Docker.
    """

    def __init__(
        self,
        sweep: Sweep,
        connection: Connection,
        remote: Remote,
        exchange: HostExchange,
        *,
        archive: str,
        interval_s: float,
        containers: bool,
    ) -> None:
        self._sweep = sweep
        self._connection = connection
        self._remote = remote
        self._exchange = exchange
        self._archive = archive
        self._longest = interval_s
        self._containers = containers
        self._made = self._delivered = False
        self._coming: dict[int, Job] = {}
        self._been: set[int] = set()
        self._waiting: dict[int, Pack] = {}
        self._running: dict[int, Pack] = {}
        self._doomed: set[int] = set()
        self._asked = False
        self._interval = SHORTEST_S
        self._took = 0.0
        self._next = 0.0
        self._lost = 0
        self._missed = False
        self._given_up = False
        self.looks = 0
        """How often it was looked at what is there."""
        self.ended: dict[int, Attempt] = {}
        """How jobs have ended that nobody has asked for yet."""

    @property
    def running(self) -> tuple[int, ...]:
        """The packs that have a host."""
        return tuple(self._running)

    @property
    def waiting(self) -> tuple[int, ...]:
        """The packs that are going to have one."""
        return tuple(self._waiting)

    def hand_over(self, jobs: Iterable[Job]) -> None:
        """Bring jobs there before anything is asked of the hosts."""
        self._coming.update((job.num, job) for job in jobs)
        self.hurry()

    def hurry(self) -> None:
        """Have something to ask: the next exchange is due."""
        self._asked = True
        self._interval = SHORTEST_S
        if not self._lost:
            self._next = 0.0

    def add(self, packs: Sequence[Pack]) -> None:
        """Start hosts of packs at the next exchange."""
        self._waiting.update((pack.num, pack) for pack in packs)
        self.hurry()

    def remove(self, nums: Iterable[int]) -> list[int]:
        """Forget packs that have no host yet."""
        return [num for num in nums if self._waiting.pop(num, None) is not None]

    def kill(self, nums: Sequence[int]) -> None:
        """End hosts with all their jobs at the next exchange."""
        self._doomed.update(num for num in nums if num in self._running)
        self.hurry()

    def wait(self, timeout: float) -> list[Ended]:
        """Exchange what there is when that is due, until a host or a job has ended."""
        deadline = time.monotonic() + timeout
        while True:
            if time.monotonic() >= self._next and (self._running or self._waiting):
                ended = self._try()
                if ended or self.ended:
                    return ended
            pause = min(self._next, deadline) - time.monotonic()
            if time.monotonic() >= deadline:
                return []
            with interrupts.felt():
                time.sleep(max(0.0, pause) if self._running or self._waiting else timeout)

    def settle(self, nums: Collection[int]) -> None:
        """Take note that jobs have ended, as the launcher sees it."""
        self._been.update(nums)
        self._exchange.settle(nums)

    def _try(self) -> list[Ended]:
        self._connection.waiting = interrupts.felt
        try:
            ended = self._exchange_all()
        except (ConnectionLost, OSError) as error:
            return self._bear(error)
        except CommandFailed as error:
            return self._refused(error)
        finally:
            self._connection.waiting = contextlib.nullcontext
        if self._lost:
            log.warning("%s is reached again", self._host)
            self._lost = 0
        # A file may vanish between two looks; one that cannot come does not the next time either.
        if self._exchange.problem and self._missed:
            log.warning("not all files come home: %s", self._exchange.problem)
        self._missed = bool(self._exchange.problem)
        self._interval = self._longer()
        self._next = time.monotonic() + self._interval
        return ended

    def _longer(self) -> float:
        """Return the time until the next look: shorter while jobs end, longer while none does."""
        if self.ended:
            grown = self._interval / GROWTH
        else:
            grown = max(self._interval * GROWTH, min(SHARE * self._took, self._longest))
        return min(self._longest, max(SHORTEST_S, grown))

    def _exchange_all(self) -> list[Ended]:
        if not self._delivered:
            self._made = True
            self._exchange.deliver(self._archive)
            self._delivered = True
        if self._coming:
            jobs = list(self._coming.values())
            self._exchange.hand_over(jobs, known=self._been)
            self._coming.clear()
        if self._asked:
            self._exchange.send_shared([*self._running, *self._waiting])
            self._asked = False
        for num in list(self._waiting):
            ssh_mode.start(self._connection, self._remote.start(num, self._sweep.id))
            self._running[num] = self._waiting.pop(num)
        if self._doomed:
            self._exchange.kill(containers=self._containers)
            self._doomed.clear()
        return self._look()

    def finish(self, patience_s: float, *, keep: bool) -> bool:
        """End what is left there, bring home what is, and remove the directory there.

        Returns whether that was possible. Nothing may be asked of it afterwards.

        Parameters
        ----------
        patience_s
            Seconds to wait for a host that cannot be reached.
        keep
            Whether to let the directory be.
        """
        deadline = time.monotonic() + patience_s
        while self._made:
            try:
                self._exchange.kill(containers=self._containers)
                self._exchange.look(())
                self._exchange.remove(there=not keep)
            except CommandFailed as error:
                if error.code != NOT_THERE_CODE:
                    log.warning("%s on %s: %s", self._remote.base, self._host, error)
                    return False
                break
            except (ConnectionLost, OSError) as error:
                if self._given_up or time.monotonic() > deadline:
                    log.warning("%s: %s", self._host, error)
                    return False
                time.sleep(RECONNECT_S)
            else:
                break
        return True

    @property
    def _host(self) -> str:
        return self._connection.route.host

    def _bear(self, error: ConnectionLost | OSError) -> list[Ended]:
        """Try again in a while: what runs there is as it was."""
        if not self._lost:
            lost = isinstance(error, ConnectionLost)
            what = "cannot be reached" if lost else "cannot send what jobs have written"
            log.warning(
                "%s %s: %s; its jobs go on, and this is tried again", self._host, what, error
            )
        self._lost += 1
        self._next = time.monotonic() + min(PATIENT_S, RECONNECT_S * 2 ** min(self._lost - 1, 9))
        if self._lost < TRIES_TO_KILL or not self._doomed:
            return []
        # Asked to end at once: whoever wants that does not wait for a connection.
        self._given_up = True
        doomed, self._doomed = self._doomed, set()
        for num in doomed:
            self._refuse(num, "HostUnreachable", f"{self._host} cannot be reached: {error}")
            del self._running[num]
        return [Ended(num, GONE_CODE) for num in doomed]

    def _refused(self, error: CommandFailed) -> list[Ended]:
        """Give up what cannot be begun there, and what is not there any more."""
        over = []
        if error.code == NOT_THERE_CODE:
            over, self._running = list(self._running), {}
            self._delivered = False
            self._exchange.forget()
        elif not self._waiting:
            return self._bear(ConnectionLost(str(error)))
        for num in self._waiting:
            self._refuse(num, "HostRefused", f"{self._host}: {error}")
        over += self._waiting
        self._waiting.clear()
        return [Ended(num, GONE_CODE) for num in over]

    def _refuse(self, pack: int, kind: str, message: str) -> None:
        asks.refuse(self._sweep, pack, JobError(kind, message))

    def _look(self) -> list[Ended]:
        begun = time.monotonic()
        stands, ended = self._exchange.look(self._running)
        self._took = time.monotonic() - begun
        over = [num for num, stand in stands.items() if not stand.alive]
        if over:
            # What it may have left running must not write any more.
            self._exchange.kill(containers=self._containers)
            stands, more = self._exchange.look(self._running)
            ended |= more
        self.looks += 1
        self.ended.update(ended)
        return [self._end(num, stand) for num, stand in stands.items() if not stand.alive]

    def _end(self, num: int, stand: PackLook) -> Ended:
        del self._running[num]
        self._doomed.discard(num)
        return Ended(num, GONE_CODE if stand.code is None else stand.code)
