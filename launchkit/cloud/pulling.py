"""Bringing a sweep home that is nowhere but in a bucket."""

from __future__ import annotations

import contextlib
import os
import shutil
import tarfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

from launchkit.cloud import pull_driver
from launchkit.cloud.depot import HOME, MACHINES, Lease, read_lease
from launchkit.cloud.pull_places import Places, Unfit, check_link
from launchkit.cloud.pull_record import Record
from launchkit.cloud.stores import NotThere, Object, Store
from launchkit.job import OWN_DIR
from launchkit.outside.landing import bearable, land
from launchkit.outside.listing import Entry, Look
from launchkit.outside.shared_files import SHARED
from launchkit.outside.ssh import ConnectionLost
from launchkit.sweep import SweepError

FETCHERS = 16
STATE = f"/{OWN_DIR}/state.json"
SWEEP = "sweep.json"
EXACT_S = 0.001
"""What the time of a file may lose on its way."""

def pull(store: Store, base: str, directory: Path | None, told: Told) -> Pulled:
    """Bring a sweep home, or what is new of it.

    Parameters
    ----------
    store
        The bucket.
    base
        The sweep's prefix in it.
    directory
        Where to; None for a directory of the sweep's own name in the current one.
    told
        Is told how it goes on.

    Raises
    ------
    SweepError
        If there is none, or no room for it.
    StoreError
        If the bucket cannot be asked; what is here is whole, and the next pull goes on.
    OSError
        If files cannot be written here.
    """
    begin = len(base) + 1
    objects = {each.key[begin:]: each for each in store.list(f"{base}/")}
    if f"{HOME}/sweep/{SWEEP}" not in objects:
        raise SweepError(f"{store.url}/{base} is no sweep (no {HOME}/sweep/{SWEEP} below it)")
    lease = read_lease(store, base)
    name = _name(objects, lease)
    here = Path(os.path.abspath(directory or name))  # noqa: PTH100 - links are kept as given
    record = Record.open(f"{store.url}/{base}", here)
    return _Pull(store, base, name, record, told).run(objects, lease)


def _name(objects: Iterable[str], lease: Lease | None) -> str:
    """Return what a sweep's directory is called in its bucket."""
    names = {Path(lease.directory).name} if lease else {each.partition("/")[0] for each in objects}
    names -= {HOME, MACHINES, "", "..", "."}
    if len(names) != 1:
        raise SweepError("nobody has driven the sweep yet; try again in a while")
    return names.pop()


class _Pull:
    """A pull."""

    def __init__(self, store: Store, base: str, name: str, record: Record, told: Told) -> None:
        self._store = store
        self._base = base
        self._name = name
        self._landing.record = record
        self._told = told
        self._own = record.directory / OWN_DIR
        self._landing.coming = self._own / "coming"
        self._landing.places = Places(name, record.directory, record.make_beside)
        self._landing.done = Pulled(record.directory)
        self._landing.total = 0

    def run(self, objects: dict[str, Object], lease: Lease | None) -> Pulled:
        home = {k: each for k, each in objects.items() if k.startswith(f"{HOME}/")}
        machines = {k: each for k, each in objects.items() if k.startswith(f"{MACHINES}/")}
        plain = {k: each for k, each in objects.items() if k not in home and k not in machines}
        self._landing.done.lease, self._landing.done.closed = lease, f"{HOME}/closed" in home
        for top in sorted({key.partition("/")[0] for key in plain if "/" in key} - {self._name}):
            if not top.startswith("."):
                self._landing.record.make_beside(top)
        self._landing.record.save()
        self._landing.coming.mkdir(mode=0o700, exist_ok=True)
        pool = ThreadPoolExecutor(FETCHERS)
        try:
            self._bring(pool, home, machines, plain)
        finally:
            pool.shutdown(cancel_futures=True)
            shutil.rmtree(self._landing.coming, ignore_errors=True)
            self._landing.record.save()
        pull_driver.note(self._landing.record.directory, lease, closed=self._landing.done.closed)
        return self._landing.done

    def _bring(
        self,
        pool: ThreadPoolExecutor,
        home: dict[str, Object],
        machines: dict[str, Object],
        plain: dict[str, Object],
    ) -> None:
        shared = {k: each for k, each in home.items() if k.startswith(f"{HOME}/sweep/")}
        batches = [key for key in sorted(home) if key.startswith(f"{HOME}/batches/")]
        closing = [f"{HOME}/closing.tar.gz"] if self._landing.done.closed else []
        archives = [key for key in (*batches, *closing) if key in home and self._landing.is_news(home[key])]
        entries = self._looks(pool, machines)
        wanted = self._wanted(plain)
        news = {k: each for k, each in shared.items() if self._landing.is_news(each)}
        self._landing.total = len(news) + len(archives) + len(wanted)
        self._bring_shared(
            pool, {k: each for k, each in news.items() if not k.endswith(f"/{SWEEP}")}
        )
        for key in archives:
            if key in batches:
                self._landing.unpack(home[key])
        self._make_folders(entries)
        self._bring_plain(pool, wanted, entries)
        for key in archives:
            if key in closing:
                self._landing.unpack(home[key])
        # Where it is, there is a sweep.
        self._bring_shared(pool, {k: each for k, each in news.items() if k.endswith(f"/{SWEEP}")})

    # What the launcher has left there

    def _bring_shared(self, pool: ThreadPoolExecutor, news: dict[str, Object]) -> None:
        for each, temporary, etag in self._landing.fetched(pool, news.values()):
            name = each.key.removeprefix(f"{self._base}/{HOME}/sweep/")
            try:
                if not SHARED.fullmatch(name.partition("/")[0]):
                    raise Unfit(f"{name!r} is no file of a sweep's own")
                path = self._landing.places.path(f"{self._name}/{OWN_DIR}/{name}", home=True)
            except Unfit as unfit:
                self._landing.done.left_out.append(str(unfit))
                continue
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            temporary.chmod(0o600)
            self._landing.land(temporary, path)
            self._landing.came(each, etag)

    # What the machines have left there

    def _looks(self, pool: ThreadPoolExecutor, machines: dict[str, Object]) -> dict[str, Entry]:
        """Return what machines say of the files there, of each what was seen last."""
        found: dict[str, Entry] = {}
        keys = [each.key for key, each in machines.items() if key.endswith("/look")]
        for data in pool.map(self._store.get, keys):
            with contextlib.suppress(ConnectionLost):  # it is not whole: the times are lost
                for entry in Look.parse(data[0]).entries:
                    name = os.fsdecode(entry.name)
                    if name not in found or found[name].touched < entry.touched:
                        found[name] = entry
        return found

    def _wanted(self, plain: dict[str, Object]) -> dict[str, tuple[Object, Path]]:
        wanted = {}
        for name, each in plain.items():
            try:
                path = self._landing.places.path(name)
            except Unfit as unfit:
                self._landing.done.left_out.append(str(unfit))
                continue
            if self._landing.is_news(each) or not os.path.lexists(path):
                wanted[name] = (each, path)
        return wanted

    def _bring_plain(
        self,
        pool: ThreadPoolExecutor,
        wanted: dict[str, tuple[Object, Path]],
        entries: dict[str, Entry],
    ) -> None:
        """Bring what machines wrote: links after what they might lead to, states last.

        States are asked for before anything else: what has ended by then is here whole.
        """
        states = {name: each for name, (each, _) in wanted.items() if name.endswith(STATE)}
        others = {name: each for name, (each, _) in wanted.items() if name not in states}
        held = list(self._landing.fetched(pool, states.values()))
        links = []
        for each, temporary, etag in self._landing.fetched(pool, others.values()):
            entry = entries.get(each.key.removeprefix(f"{self._base}/"))
            if entry is not None and entry.kind == "l":
                links.append((each, temporary, etag))
            else:
                self._landing.place(each, temporary, etag, entry)
        for each, temporary, etag in links:
            self._landing.place_link(each, temporary, etag)
        for each, temporary, etag in held:
            name = each.key.removeprefix(f"{self._base}/")
            self._landing.place(each, temporary, etag, entries.get(name))

    def _make_folders(self, entries: dict[str, Entry]) -> None:
        for name in sorted(name for name, entry in entries.items() if entry.kind == "d"):
            with contextlib.suppress(Unfit, FileExistsError):
                path = self._landing.places.path(name) if "/" in name else self._landing.places.root(name)
                path.mkdir(0o777, parents=True)
                path.chmod(entries[name].mode | 0o700)

