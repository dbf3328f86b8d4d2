"""Bringing a sweep home that is nowhere but in a bucket."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from launchkit.cloud import pull_driver
from launchkit.cloud.depot import HOME, MACHINES, Lease, read_lease
from launchkit.cloud.pull_landing import Landing, Pulled, Told
from launchkit.cloud.pull_places import Unfit, is_fit
from launchkit.cloud.pull_record import Record
from launchkit.cloud.stores import Object, Store
from launchkit.job import OWN_DIR
from launchkit.outside.listing import Entry, Look
from launchkit.outside.ssh_route import ConnectionLost
from launchkit.sweep import SweepError

FETCHERS = 16
SHARED = f"{HOME}/sweep/"
SWEEP = f"{SHARED}sweep.json"
BATCHES = f"{HOME}/batches/"
CLOSING = f"{HOME}/closing.tar.gz"
CLOSED = f"{HOME}/closed"
STATE = f"/{OWN_DIR}/state.json"


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
    if SWEEP not in objects:
        raise SweepError(f"{store.url}/{base} is no sweep (no {SWEEP} below it)")
    lease = read_lease(store, base)
    name = _name(objects, lease)
    here = Path(os.path.abspath(directory or name))  # noqa: PTH100 - links are kept as given
    record = Record.open(f"{store.url}/{base}", here)
    plain = {key: each for key, each in objects.items() if not key.startswith((HOME, MACHINES))}
    _see_beside(plain, name, record)
    record.save()
    pool = ThreadPoolExecutor(FETCHERS)
    landing = Landing(store, base, name, record, pool, told)
    landing.done.lease, landing.done.closed = lease, CLOSED in objects
    try:
        _bring(landing, objects, plain)
    finally:
        pool.shutdown(cancel_futures=True)
        shutil.rmtree(landing.coming, ignore_errors=True)
        record.save()
    pull_driver.note(here, lease, closed=landing.done.closed)
    return landing.done


def _name(objects: Iterable[str], lease: Lease | None) -> str:
    """Return what a sweep's directory is called in its bucket."""
    names = {Path(lease.directory).name} if lease else {each.partition("/")[0] for each in objects}
    names -= {HOME, MACHINES, "", "..", "."}
    if len(names) != 1:
        raise SweepError("nobody has driven the sweep yet; try again in a while")
    return names.pop()


def _see_beside(plain: Iterable[str], name: str, record: Record) -> None:
    """See to it, before anything is written, that there is room beside the sweep's directory."""
    tops = {key.partition("/")[0] for key in plain if is_fit(key)}
    for top in sorted(tops - {name}):
        record.make_beside(top)


def _bring(landing: Landing, objects: Mapping[str, Object], plain: Mapping[str, Object]) -> None:
    """Bring what launcher and machines have left, in the order of its time."""
    wanted = {key: each for key, each in plain.items() if landing.is_wanted(key, each)}
    news = {key: each for key, each in objects.items() if landing.is_news(each)}
    shared = {key: each for key, each in news.items() if key.startswith(SHARED) and key != SWEEP}
    batches = [news[key] for key in sorted(news) if key.startswith(BATCHES)]
    closing = [news[key] for key in (CLOSING,) if key in news and landing.done.closed]
    sweep = {key: news[key] for key in (SWEEP,) if key in news}
    landing.total = len(wanted) + len(shared) + len(batches) + len(closing) + len(sweep)
    entries = _entries(landing, objects)
    _bring_shared(landing, shared)
    for each in batches:
        landing.unpack(each)
    _make_folders(landing, entries)
    _bring_plain(landing, wanted, entries)
    for each in closing:
        landing.unpack(each)
    # Where it is, there is a sweep.
    _bring_shared(landing, sweep)


def _bring_shared(landing: Landing, shared: Mapping[str, Object]) -> None:
    for key, temporary, etag in landing.fetched(shared):
        landing.place_shared(shared[key], key.removeprefix(SHARED), temporary, etag)


def _entries(landing: Landing, objects: Mapping[str, Object]) -> dict[str, Entry]:
    """Return what machines say of the files there, of each what was seen last."""
    looks = {
        key: each
        for key, each in objects.items()
        if key.startswith(f"{MACHINES}/") and key.endswith("/look")
    }
    found: dict[str, Entry] = {}
    for _, temporary, _ in landing.fetched(looks):
        with contextlib.suppress(ConnectionLost):  # it is not whole: modes and times are lost
            for entry in Look.parse(temporary.read_bytes()).entries:
                name = os.fsdecode(entry.name)
                if name not in found or found[name].touched < entry.touched:
                    found[name] = entry
    return found


def _make_folders(landing: Landing, entries: Mapping[str, Entry]) -> None:
    """Make the directories that there are: empty ones are nowhere else."""
    for name in sorted(name for name, entry in entries.items() if entry.kind == "d"):
        with contextlib.suppress(Unfit, FileExistsError):
            path = landing.places.path(name)
            path.mkdir(parents=True)
            path.chmod(entries[name].mode & 0o777 | 0o700)


def _bring_plain(
    landing: Landing, wanted: Mapping[str, Object], entries: Mapping[str, Entry]
) -> None:
    """Bring what machines wrote: links after what they might lead to, states last.

    States are asked for before anything else: a job that has ended by then is here whole.
    """
    states = {key: each for key, each in wanted.items() if key.endswith(STATE)}
    others = {key: each for key, each in wanted.items() if key not in states}
    held = [*landing.fetched(states)]
    links = []
    for key, temporary, etag in landing.fetched(others):
        entry = entries.get(key)
        if entry is not None and entry.kind == "l":
            links.append((key, temporary, etag))
        else:
            landing.place(others[key], key, temporary, etag, entry)
    for key, temporary, etag in links:
        landing.place_link(others[key], key, temporary, etag)
    for key, temporary, etag in held:
        landing.place(states[key], key, temporary, etag, entries.get(key))
