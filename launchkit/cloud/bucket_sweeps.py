"""The sweeps that there are below a prefix of a bucket."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from launchkit.cloud.depot import HOME, LEASE_S, Lease, is_closed, read_lease
from launchkit.cloud.stores import NotThere, Store

LOOKERS = 16


@dataclass(frozen=True)
class Kept:
    """A sweep in a bucket.

    Parameters
    ----------
    id
        The sweep's.
    jobs
        How many it has.
    lease
        Who drove it last; None if nobody has yet.
    closed
        Whether it is over.
    """

    id: str
    jobs: int
    lease: Lease | None
    closed: bool

    @property
    def name(self) -> str:
        """What its directory is called."""
        return Path(self.lease.directory).name if self.lease else "-"

    @property
    def driven(self) -> str:
        """Whether it is over, or who drives it."""
        if self.closed:
            return "closed"
        if self.lease is None:
            return "not begun"
        silent = time.time() - self.lease.time
        if silent <= LEASE_S:
            return f"driven by {self.lease.describe()}"
        return f"left by {self.lease.describe()}, {silent / 3600:.1f} h ago"


def find(store: Store, prefix: str) -> list[Kept]:
    """Return the sweeps whose prefixes are just below one."""
    begin = f"{prefix}/" if prefix else ""
    folders = [
        each.key.removesuffix("/")
        for each in store.list(begin, delimiter="/")
        if each.key.endswith("/")
    ]
    with ThreadPoolExecutor(LOOKERS) as pool:
        found = pool.map(lambda base: _look(store, base), folders)
        return [each for each in found if each is not None]


def _look(store: Store, base: str) -> Kept | None:
    try:
        content, _ = store.get(f"{base}/{HOME}/sweep/sweep.json")
    except NotThere:
        return None
    return Kept(
        id=json.loads(content)["id"],
        jobs=_count(store, base),
        lease=read_lease(store, base),
        closed=is_closed(store, base),
    )


def _count(store: Store, base: str) -> int:
    try:
        content, _ = store.get(f"{base}/{HOME}/sweep/jobs.jsonl")
    except NotThere:
        return 0
    return len({json.loads(line)["num"] for line in content.splitlines() if line})
