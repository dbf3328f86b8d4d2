"""How machines end, and what that makes of their jobs."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass

from launchkit import interrupts
from launchkit.cloud.ledger import Ledger
from launchkit.cloud.providers import Machine, Provider, Standing
from launchkit.job import JobError, JobState

LOOK_S = 1.0


@dataclass(frozen=True)
class Fate:
    """What has become of the jobs of a machine that ended before them."""

    state: JobState
    error: JobError


def fate_of(machine: Machine, lifetime: JobError | None) -> Fate:
    """Return what has become of the jobs of a machine that is gone.

    Parameters
    ----------
    machine
        The machine.
    lifetime
        That its time was over, if it was.
    """
    why = f": {machine.reason}" if machine.reason else ""
    if machine.reclaimed:
        error = JobError("MachineReclaimed", f"{machine.id} was taken back{why}")
        return Fate(JobState.PREEMPTED, error)
    if lifetime is not None:
        return Fate(JobState.TIMEOUT, lifetime)
    return Fate(JobState.LOST, JobError("MachineGone", f"{machine.id} is gone{why}"))


def end_all(
    provider: Provider,
    ledger: Ledger,
    sweep: str,
    patience_s: float,
    unsure_s: float = 0.0,
    *,
    ending_will_do: bool = False,
) -> list[Machine]:
    """End all machines of a sweep, and see them gone; return those that are not in time.

    Parameters
    ----------
    provider
        Who rents them out.
    ledger
        What was bought.
    sweep
        The sweep's id.
    patience_s
        Seconds to wait for their end.
    unsure_s
        For how long after a request of which nothing is known its machines may yet appear.
    ending_will_do
        Whether it is enough to see that they end.
    """
    over = {Standing.GONE, Standing.ENDING} if ending_will_do else {Standing.GONE}
    deadline = time.monotonic() + patience_s
    while True:
        listed = provider.machines(sweep)
        ledger.are_gone(machine.id for machine in listed if machine.standing in over)
        known = {machine.id for machine in listed}
        ledger.are_gone(each.id for each in ledger.machines if each.id not in known)
        left = [machine for machine in listed if machine.standing not in over]
        alive = [machine for machine in left if machine.standing is not Standing.ENDING]
        if alive:
            provider.end(alive)
        found = Counter(machine.token for machine in listed)
        unsure = any(
            time.time() - since < unsure_s and found[token] < ledger.asked(token)
            for token, since in ledger.unsettled.items()
        )
        if not left and not unsure:
            ledger.settle(listed)
            return []
        if time.monotonic() > deadline:
            return left
        with interrupts.felt():
            time.sleep(LOOK_S)
