"""Which of launchkit's machines have nothing to do any more, whichever sweep they were rented for.

No sweep's directory is needed: a machine says where its sweep is in a bucket, and the bucket
says whether the sweep is over, whether its launcher is there, and when the machine last spoke.
"""

from __future__ import annotations

import enum
import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from launchkit.cloud.depot import HOME, LEASE_S, MACHINES, Lease, read_lease
from launchkit.cloud.providers import Machine, Standing
from launchkit.cloud.stores import NotThere, Store, StoreError, open_store, split

SILENT_S = 15 * 60.0
"""For how long a machine may say nothing; also how long it may take to say the first word."""
LIFETIME = "max_lifetime_min"


class Fate(enum.Enum):
    """What is to become of a machine."""

    LEFT = "left"
    """It has nothing to do, and nobody else ends it."""
    WORKING = "working"
    UNKNOWN = "unknown"
    """It cannot be told what it does."""
    ENDING = "ending"


@dataclass(frozen=True)
class Kept:
    """What the bucket says of a sweep.

    Parameters
    ----------
    there
        Whether anything of it is in the bucket.
    closed
        Whether it is over, as its launcher has said.
    lease
        The last sign of life of its launcher; None if there is none.
    looks
        When the machine of each pack last said something, in seconds since the epoch.
    lifetime_min
        How long its machines live at most; None if that is not known.
    problem
        Why the bucket could not be asked; empty if it could.
    """

    there: bool = False
    closed: bool = False
    lease: Lease | None = None
    looks: Mapping[int, float] = field(default_factory=dict)
    lifetime_min: float | None = None
    problem: str = ""


@dataclass(frozen=True)
class Judged:
    """A machine, and what is to become of it.

    Parameters
    ----------
    machine
        The machine.
    fate
        What is to become of it.
    why
        The reason, in words.
    alone
        Whether nobody looks after it, although it may work.
    """

    machine: Machine
    fate: Fate
    why: str
    alone: bool = False


def judge(machine: Machine, kept: Kept, now: float) -> Judged:
    """Say what is to become of a machine.

    Parameters
    ----------
    machine
        The machine.
    kept
        What the bucket says of its sweep.
    now
        Seconds since the epoch.
    """
    if machine.standing in (Standing.ENDING, Standing.GONE) and not machine.stopped:
        return Judged(machine, Fate.ENDING, "it is ending")
    if kept.problem:
        return Judged(machine, Fate.UNKNOWN, kept.problem, alone=True)
    lease = kept.lease
    if lease is not None and now - lease.time <= LEASE_S and not kept.closed:
        return Judged(machine, Fate.WORKING, f"driven by {lease.describe()}")
    reasons = {
        "nothing of its sweep is in the bucket": not kept.there,
        "its sweep is over": kept.closed,
        "it is stopped, and its disk is paid for": machine.stopped,
    }
    why = next((words for words, holds in reasons.items() if holds), "")
    return Judged(machine, Fate.LEFT, why) if why else _without_launcher(machine, kept, now)


def read(store: Store, base: str) -> Kept:
    """Ask a bucket for a sweep: two listings, and two small objects.

    Raises
    ------
    StoreError
        If it does not answer.
    """
    home = f"{base}/{HOME}/"
    keys = {each.key.removeprefix(home) for each in store.list(home)}
    prefix = f"{base}/{MACHINES}/"
    looks = {}
    for each in store.list(prefix):
        pack, _, what = each.key.removeprefix(prefix).partition("/")
        if what == "look" and pack.isdigit():
            looks[int(pack)] = each.changed
    return Kept(
        there=bool(keys or looks),
        closed="closed" in keys,
        lease=read_lease(store, base) if "lease" in keys else None,
        looks=looks,
        lifetime_min=_lifetime(store, home) if "sweep/sweep.json" in keys else None,
    )


def judge_all(
    machines: Iterable[Machine], open_bucket: Callable[[str, str], Store] = open_store
) -> list[Judged]:
    """Say what is to become of machines; each sweep is asked for once.

    Parameters
    ----------
    machines
        As `Provider.machines` returns them.
    open_bucket
        Opens a bucket, from the scheme of its address and its name.
    """
    kept: dict[str, Kept] = {}
    stores: dict[tuple[str, str], Store] = {}
    judged = []
    for machine in machines:
        if machine.base not in kept:
            kept[machine.base] = _ask(machine.base, stores, open_bucket)
        judged.append(judge(machine, kept[machine.base], time.time()))
    return judged


def span(seconds: float) -> str:
    """Return a length of time in words."""
    minutes = max(0, int(seconds // 60))
    if minutes < 60:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest:02} min" if hours < 48 else f"{hours // 24} days"


def _without_launcher(machine: Machine, kept: Kept, now: float) -> Judged:
    said = kept.looks.get(machine.pack)
    silent = now - (machine.launched if said is None else max(said, machine.launched))
    if silent > SILENT_S:
        heard = f"has said nothing for {span(silent)}" if said else "has never said anything"
        return Judged(machine, Fate.LEFT, f"its launcher is gone, and it {heard}")
    end = "by itself"
    if kept.lifetime_min is not None:
        at = time.localtime(machine.launched + 60 * kept.lifetime_min)
        day = "%H:%M" if kept.lifetime_min < 1440 else "%Y-%m-%d %H:%M"
        end = f"itself by {time.strftime(day, at)}"
    return Judged(machine, Fate.WORKING, f"its launcher is gone; it ends {end}", alone=True)


def _ask(
    address: str, stores: dict[tuple[str, str], Store], open_bucket: Callable[[str, str], Store]
) -> Kept:
    try:
        scheme, bucket, base = split(address)
        if (scheme, bucket) not in stores:
            stores[scheme, bucket] = open_bucket(scheme, bucket)
        return read(stores[scheme, bucket], base)
    except ValueError:
        return Kept(problem="it does not say which bucket its sweep is in")
    except StoreError as error:
        return Kept(problem=f"its bucket cannot be asked: {error}")


def _lifetime(store: Store, home: str) -> float | None:
    try:
        settings = json.loads(store.get(f"{home}sweep/sweep.json")[0])["settings"]
        return float(settings[LIFETIME])
    except (NotThere, KeyError, TypeError, ValueError):
        return None
