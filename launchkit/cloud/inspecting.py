"""Asks the provider how the machines stand, and sees those gone that have ended."""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace

from launchkit.cloud import stores
from launchkit.cloud.cloud_settings import CloudSettings
from launchkit.cloud.crew import GONE_CODE, Crew, Hired
from launchkit.cloud.ends import fate_of
from launchkit.cloud.hiring import Hiring
from launchkit.cloud.ledger import Ledger
from launchkit.cloud.listening import Listener
from launchkit.cloud.providers import Machine, Provider, Standing
from launchkit.job import JobError
from launchkit.outside import asks
from launchkit.sweep import Sweep

INSPECT_S = 15.0
"""Seconds between two questions to the provider how the machines stand."""
INSPECT_SOON_S = 2.0
UNLISTED_S = 90.0
"""How long a machine that was bought may not be in the provider's list yet."""
HEARD_S = 5.0
"""How long it takes at most until a sign of life in the bucket is seen here."""


class Inspector:
    """Sees how the machines of a sweep stand.

    Parameters
    ----------
    sweep
        The sweep.
    crew
        The machines.
    provider
        Who rents them out.
    ledger
        Where it is written down which of them are gone.
    hiring
        What is bought right now.
    listener
        Who hears their last words.
    settings
        How long they may be silent.
    """

    def __init__(
        self,
        sweep: Sweep,
        crew: Crew,
        provider: Provider,
        ledger: Ledger,
        hiring: Hiring,
        listener: Listener,
        settings: CloudSettings,
    ) -> None:
        self._sweep = sweep
        self._crew = crew
        self._provider = provider
        self._ledger = ledger
        self._hiring = hiring
        self._listener = listener
        self._settings = settings
        self._next = 0.0

    def hurry(self) -> None:
        """Have something to ask: that is due."""
        self._next = 0.0

    def inspect(self) -> None:
        """Ask, if that is due."""
        crew, now = self._crew, time.monotonic()
        if now < self._next or not crew.many:
            return
        ending = False
        listed = {machine.id: machine for machine in self._provider.machines(self._sweep.id)}
        for num, known in list(crew.hired.items()):
            machine = listed.get(known.machine.id)
            if machine is None:
                if now - known.bought > UNLISTED_S:
                    self._gone(num, replace(known.machine, reason="the provider knows it no more"))
            elif machine.standing is Standing.GONE:
                self._gone(num, machine)
            elif machine.standing is Standing.ENDING and num in crew.killed:
                # Whoever wants that at once does not wait for the rest of its end.
                crew.lingering[machine.id] = frozenset(self._hiring.jobs_of(num))
                self._gone(num, machine)
            else:
                known.machine = machine
                ending |= machine.standing is Standing.ENDING or self._is_silent(num, known)
        self._see_off(listed, now)
        self._next = now + (INSPECT_SOON_S if ending or crew.leaving else INSPECT_S)

    def _gone(self, num: int, machine: Machine) -> None:
        """Hear for the last time what the machine of a pack has said, which is gone."""
        crew = self._crew
        with contextlib.suppress(stores.NotThere):  # it may never have said anything
            self._listener.hear({num: " "})
        if num not in crew.hired:
            return
        crew.fates[num] = fate_of(machine, crew.lifetime_error(num))
        crew.end(num, GONE_CODE)

    def _is_silent(self, num: int, known: Hired) -> bool:
        """Tell whether a machine gives no sign of life for too long, which is ended then."""
        settings, until = self._settings, self._listener.until
        silent_s = 60 * settings.unreachable_min + HEARD_S + settings.sync_interval
        if known.machine.standing is Standing.ENDING or num in self._crew.doomed:
            return False
        if not known.has_signed and until - known.bought > 60 * settings.start_timeout_min:
            said = self._provider.last_words(known.machine)
            error = JobError(
                "MachineSilent",
                f"{known.machine.id} has given no sign of life for "
                f"{settings.start_timeout_min:g} min (start_timeout_min)"
                + (f"; its console ends with: {said}" if said else ""),
            )
            asks.refuse(self._sweep, num, error)
        elif not known.has_signed or until - known.heard <= silent_s:
            return False
        self._provider.end([known.machine])
        return True

    def _see_off(self, listed: dict[str, Machine], now: float) -> None:
        """See machines gone that have nothing to do any more."""
        crew = self._crew
        gone = [name for name, machine in listed.items() if machine.standing is Standing.GONE]
        gone += [name for name in crew.leaving if name not in listed]
        self._ledger.are_gone(gone)
        for name in gone:
            crew.leaving.pop(name, None)
            crew.lingering.pop(name, None)
        ours = crew.ids
        strangers = [
            machine
            for name, machine in listed.items()
            if name not in ours
            and machine.standing in (Standing.STARTING, Standing.RUNNING)
            and machine.token != self._hiring.asking
        ]
        late = [machine for machine, until in crew.leaving.values() if now > until]
        ending = [
            machine
            for machine in (*strangers, *late)
            if machine.id not in listed or listed[machine.id].standing is not Standing.ENDING
        ]
        if ending:
            self._provider.end(ending)
