"""The exchange about a sweep with the machine of a pack, through a bucket."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from launchkit.cloud.depot import Depot
from launchkit.cloud.stores import NotThere
from launchkit.outside.exchange import Exchange
from launchkit.outside.landing import STAGING, land, make_folders
from launchkit.outside.listing import Entry, Look
from launchkit.sweep import Sweep

FETCHERS = 16
"""How many threads fetch files."""


class BucketExchange(Exchange):
    """The exchange about a sweep with the machine of a pack.

    Parameters
    ----------
    sweep
        The sweep.
    depot
        Its place in the bucket.
    pool
        Threads that fetch.
    pack
        The pack.
    """

    def __init__(self, sweep: Sweep, depot: Depot, pool: ThreadPoolExecutor, pack: int) -> None:
        super().__init__(sweep, BucketWay(sweep, depot, pool))
        self._depot = depot
        self._pack = pack

    def ask(self, known: Mapping[int, int]) -> Look:
        """Read what the machine has said last; it tells all of it each time."""
        look = Look.parse(self._depot.look(self._pack))
        packs = {
            pack: replace(each, told=each.told[known.get(pack, 0) :])
            for pack, each in look.packs.items()
        }
        return replace(look, packs=packs)


class BucketWay:
    """The way of a sweep's files home from a bucket.

    Parameters
    ----------
    sweep
        The sweep.
    depot
        Its place in the bucket.
    pool
        Threads that fetch.
    """

    def __init__(self, sweep: Sweep, depot: Depot, pool: ThreadPoolExecutor) -> None:
        self._depot = depot
        self._pool = pool
        self._home = sweep.directory.parent
        self._staging = sweep.own / STAGING
        self._etags: dict[bytes, str] = {}

    def put(self, names: Sequence[bytes], wiped: Collection[str] = ()) -> None:
        """Do nothing: jobs go to the bucket in batches, before their machines are known."""

    def take(self, wanted: Sequence[Entry]) -> str:
        """Bring files and links home, and return what has gone wrong; nothing, mostly.

        Raises
        ------
        Unreachable, Refused
            If the bucket cannot be asked; what is here is whole.
        OSError
            If they cannot be written here.
        """
        problems = [make_folders(self._home, wanted)]
        coming = [entry for entry in wanted if entry.kind != "d"]
        if coming:
            self._staging.mkdir(mode=0o700, exist_ok=True)
            problems += self._pool.map(self._fetch, coming)
        return next(filter(None, problems), "")

    def read(self, wanted: Sequence[Entry]) -> dict[bytes, tuple[bytes, float]]:
        """Return the content of small files, and when each was changed."""
        found = self._pool.map(self._content, wanted)
        return {
            entry.name: (data, entry.changed)
            for entry, data in zip(wanted, found, strict=True)
            if data is not None
        }

    def clear(self) -> None:
        """Remove what was under way here."""
        shutil.rmtree(self._staging, ignore_errors=True)

    def _fetch(self, entry: Entry) -> str:
        path = self._home / os.fsdecode(entry.name)
        temporary = self._staging / os.urandom(8).hex()
        try:
            if entry.kind == "l":
                target = self._content(entry)
                if target is None:
                    return _missing(path)
                temporary.symlink_to(os.fsdecode(target))
                return land(temporary, path)
            known = self._etags.get(entry.name) if path.is_file() else None
            etag = self._depot.store.fetch(self._key(entry), temporary, unless=known)
            if etag is None:
                return ""
            temporary.chmod(entry.mode & 0o777)
            os.utime(temporary, (entry.changed, entry.changed))
            problem = land(temporary, path)
        except NotThere:
            return _missing(path)
        else:
            if not problem:
                self._etags[entry.name] = etag
            return problem
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink()

    def _content(self, entry: Entry) -> bytes | None:
        try:
            return self._depot.store.get(self._key(entry))[0]
        except NotThere:
            return None

    def _key(self, entry: Entry) -> str:
        return self._depot.key(os.fsdecode(entry.name))


def _missing(path: Path) -> str:
    return f"{path} is not in the bucket yet"
