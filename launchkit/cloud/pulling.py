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

Told = Callable[[int, int, int], None]
"""Is told how many files have come, of how many, and how many bytes these were."""


@dataclass
class Pulled:
    """What has come of it.

    Parameters
    ----------
    directory
        The sweep's directory here.
    files, size
        How many files have come, and their bytes.
    left_out
        Why what was left out, which has no place here.
    problems
        What is wrong with what could not be brought.
    lease
        Who drove the sweep last.
    closed
        Whether it is over.
    """

    directory: Path
    files: int = 0
    size: int = 0
    left_out: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    lease: Lease | None = None
    closed: bool = False


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
        self._record = record
        self._told = told
        self._own = record.directory / OWN_DIR
        self._coming = self._own / "coming"
        self._places = Places(name, record.directory, record.make_beside)
        self._done = Pulled(record.directory)
        self._total = 0

    def run(self, objects: dict[str, Object], lease: Lease | None) -> Pulled:
        home = {k: each for k, each in objects.items() if k.startswith(f"{HOME}/")}
        machines = {k: each for k, each in objects.items() if k.startswith(f"{MACHINES}/")}
        plain = {k: each for k, each in objects.items() if k not in home and k not in machines}
        self._done.lease, self._done.closed = lease, f"{HOME}/closed" in home
        for top in sorted({key.partition("/")[0] for key in plain if "/" in key} - {self._name}):
            if not top.startswith("."):
                self._record.make_beside(top)
        self._record.save()
        self._coming.mkdir(mode=0o700, exist_ok=True)
        pool = ThreadPoolExecutor(FETCHERS)
        try:
            self._bring(pool, home, machines, plain)
        finally:
            pool.shutdown(cancel_futures=True)
            shutil.rmtree(self._coming, ignore_errors=True)
            self._record.save()
        pull_driver.note(self._record.directory, lease, closed=self._done.closed)
        return self._done

    def _bring(
        self,
        pool: ThreadPoolExecutor,
        home: dict[str, Object],
        machines: dict[str, Object],
        plain: dict[str, Object],
    ) -> None:
        shared = {k: each for k, each in home.items() if k.startswith(f"{HOME}/sweep/")}
        batches = [key for key in sorted(home) if key.startswith(f"{HOME}/batches/")]
        closing = [f"{HOME}/closing.tar.gz"] if self._done.closed else []
        archives = [key for key in (*batches, *closing) if key in home and self._is_news(home[key])]
        entries = self._looks(pool, machines)
        wanted = self._wanted(plain)
        news = {k: each for k, each in shared.items() if self._is_news(each)}
        self._total = len(news) + len(archives) + len(wanted)
        self._bring_shared(
            pool, {k: each for k, each in news.items() if not k.endswith(f"/{SWEEP}")}
        )
        for key in archives:
            if key in batches:
                self._unpack(home[key])
        self._make_folders(entries)
        self._bring_plain(pool, wanted, entries)
        for key in archives:
            if key in closing:
                self._unpack(home[key])
        # Where it is, there is a sweep.
        self._bring_shared(pool, {k: each for k, each in news.items() if k.endswith(f"/{SWEEP}")})

    def _is_news(self, each: Object) -> bool:
        return self._record.etags.get(each.key) != each.etag

    def _came(self, each: Object, etag: str) -> None:
        self._record.etags[each.key] = etag
        self._done.files += 1
        self._done.size += each.size
        self._told(self._done.files, self._total, self._done.size)

    # What the launcher has left there

    def _bring_shared(self, pool: ThreadPoolExecutor, news: dict[str, Object]) -> None:
        for each, temporary, etag in self._fetched(pool, news.values()):
            name = each.key.removeprefix(f"{self._base}/{HOME}/sweep/")
            try:
                if not SHARED.fullmatch(name.partition("/")[0]):
                    raise Unfit(f"{name!r} is no file of a sweep's own")
                path = self._places.path(f"{self._name}/{OWN_DIR}/{name}", home=True)
            except Unfit as unfit:
                self._done.left_out.append(str(unfit))
                continue
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            temporary.chmod(0o600)
            self._land(temporary, path)
            self._came(each, etag)

    def _unpack(self, each: Object) -> None:
        """Unpack what there is of jobs' directories, but for what is here and newer."""
        temporary = self._coming / os.urandom(8).hex()
        etag = self._store.fetch(each.key, temporary)
        try:
            with tarfile.open(temporary, "r:gz") as archive:
                for member in archive:
                    self._unpack_member(archive, member)
        except (tarfile.TarError, EOFError) as error:
            self._done.problems.append(f"{each.key} cannot be unpacked: {error}")
            return
        self._came(each, etag or each.etag)

    def _unpack_member(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        try:
            path = self._places.path(member.name, home=True)
            if member.issym():
                check_link(member.name, member.linkname)
        except Unfit as unfit:
            self._done.left_out.append(str(unfit))
            return
        if _is_newer(path, member.mtime):
            return
        temporary = self._coming / os.urandom(8).hex()
        if member.issym():
            temporary.symlink_to(member.linkname)
        elif member.isreg() or member.islnk():
            content = archive.extractfile(member)
            assert content is not None
            with temporary.open("xb") as stream:
                shutil.copyfileobj(content, stream)
            _stamp(temporary, member.mode, member.mtime)
        else:
            return
        self._land(temporary, path)

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
                path = self._places.path(name)
            except Unfit as unfit:
                self._done.left_out.append(str(unfit))
                continue
            if self._is_news(each) or not os.path.lexists(path):
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
        held = list(self._fetched(pool, states.values()))
        links = []
        for each, temporary, etag in self._fetched(pool, others.values()):
            entry = entries.get(each.key.removeprefix(f"{self._base}/"))
            if entry is not None and entry.kind == "l":
                links.append((each, temporary, etag))
            else:
                self._place(each, temporary, etag, entry)
        for each, temporary, etag in links:
            self._place_link(each, temporary, etag)
        for each, temporary, etag in held:
            name = each.key.removeprefix(f"{self._base}/")
            self._place(each, temporary, etag, entries.get(name))

    def _place(self, each: Object, temporary: Path, etag: str, entry: Entry | None) -> None:
        """Give a file its name, unless what is here is newer, and not of the same origin."""
        name = each.key.removeprefix(f"{self._base}/")
        changed = entry.changed if entry else each.changed
        try:
            # Asked again: what has come meanwhile may be a link on its way.
            path = self._places.path(name)
        except Unfit as unfit:
            self._done.left_out.append(str(unfit))
            return
        if each.key in self._record.etags or not _is_newer(path, changed):
            own = path.is_relative_to(self._own)
            mode = entry.mode if entry else temporary.stat().st_mode
            _stamp(temporary, 0o600 if own else mode, changed)
            if not self._land(temporary, path):
                return
        self._came(each, etag)

    def _place_link(self, each: Object, temporary: Path, etag: str) -> None:
        name = each.key.removeprefix(f"{self._base}/")
        target = os.fsdecode(temporary.read_bytes())
        try:
            path = self._places.path(name)
            check_link(name, target)
        except Unfit as unfit:
            self._done.left_out.append(str(unfit))
            return
        temporary.unlink()
        temporary.symlink_to(target)
        if self._land(temporary, path):
            self._came(each, etag)

    def _make_folders(self, entries: dict[str, Entry]) -> None:
        for name in sorted(name for name, entry in entries.items() if entry.kind == "d"):
            with contextlib.suppress(Unfit, FileExistsError):
                path = self._places.path(name) if "/" in name else self._places.root(name)
                path.mkdir(0o777, parents=True)
                path.chmod(entries[name].mode | 0o700)

    # Bytes

    def _fetched(
        self, pool: ThreadPoolExecutor, objects: Iterable[Object]
    ) -> Iterator[tuple[Object, Path, str]]:
        """Yield objects, a file with the content of each, and its etag, as they come."""
        coming = {pool.submit(self._fetch, each): each for each in objects}
        for future in as_completed(coming):
            fetched = future.result()
            if fetched is not None:
                yield coming[future], *fetched

    def _fetch(self, each: Object) -> tuple[Path, str] | None:
        temporary = self._coming / os.urandom(8).hex()
        try:
            return temporary, self._store.fetch(each.key, temporary) or each.etag
        except NotThere:  # it has been removed meanwhile
            return None

    def _land(self, temporary: Path, path: Path) -> bool:
        """Give a file its name, and return whether it could be had."""
        try:
            path.parent.mkdir(0o700 if OWN_DIR in path.parts else 0o777, True, True)
            problem = land(temporary, path)
        except OSError as error:
            problem = bearable(error, path)
        if problem:
            self._done.problems.append(problem)
            temporary.unlink(missing_ok=True)
        return not problem


def _is_newer(path: Path, changed: float) -> bool:
    """Tell whether a file here was changed after that."""
    try:
        return path.lstat().st_mtime > changed + EXACT_S
    except (FileNotFoundError, NotADirectoryError):
        return False


def _stamp(path: Path, mode: int, changed: float) -> None:
    path.chmod(mode & 0o777)
    os.utime(path, (changed, changed))
