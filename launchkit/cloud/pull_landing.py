"""Giving what comes from a bucket its place here, once it is whole, and counting it."""

from __future__ import annotations

import gzip
import os
import shutil
import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

from launchkit.cloud.depot import Lease
from launchkit.cloud.pull_places import Places, Unfit, check_link
from launchkit.cloud.pull_record import Record
from launchkit.cloud.stores import NotThere, Object, Store
from launchkit.job import OWN_DIR
from launchkit.outside.landing import bearable, land
from launchkit.outside.listing import Entry
from launchkit.outside.shared_files import SHARED

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


class Landing:
    """Brings objects to a directory; for one thread, which has a pool fetch them.

    Parameters
    ----------
    store
        The bucket.
    base
        The sweep's prefix in it.
    name
        What the sweep's directory is called there.
    record
        What is here already.
    pool
        Threads.
    told
        Is told how it goes on.
    """

    def __init__(
        self,
        store: Store,
        base: str,
        name: str,
        record: Record,
        pool: ThreadPoolExecutor,
        told: Told,
    ) -> None:
        self._store = store
        self._name = name
        self._record = record
        self._pool = pool
        self._told = told
        self._own = record.directory / OWN_DIR
        self.places = Places(name, record.directory, record.make_beside)
        self.done = Pulled(record.directory)
        self.total = 0
        """How many objects are going to come."""
        self.coming = self._own / "coming"
        """Where what is not whole yet is."""
        self.coming.mkdir(mode=0o700, exist_ok=True)

    def is_news(self, each: Object) -> bool:
        """Tell whether an object is not here as it is there."""
        return self._record.etags.get(each.key) != each.etag

    def is_wanted(self, key: str, each: Object) -> bool:
        """Tell whether a file is to be brought that a machine wrote."""
        try:
            path = self.places.path(key)
        except Unfit as unfit:
            self.done.left_out.append(str(unfit))
            return False
        return self.is_news(each) or not os.path.lexists(path)

    def fetched(self, objects: Mapping[str, Object]) -> Iterator[tuple[str, Path, str]]:
        """Yield names, a file with the content of each, and its etag, as they come."""
        coming = {self._pool.submit(self._fetch, each): name for name, each in objects.items()}
        for future in as_completed(coming):
            fetched = future.result()
            if fetched is not None:
                yield coming[future], *fetched

    def place_shared(self, each: Object, name: str, temporary: Path, etag: str) -> None:
        """Give one of the sweep's own files its name."""
        try:
            if not SHARED.fullmatch(name.partition("/")[0]):
                raise Unfit(f"{name!r} is no file of a sweep's own")
            path = self.places.path(f"{self._name}/{OWN_DIR}/{name}", home=True)
        except Unfit as unfit:
            self.done.left_out.append(str(unfit))
            return
        temporary.chmod(0o600)
        if self._land(temporary, path):
            self._came(each, etag)

    def place(
        self, each: Object, name: str, temporary: Path, etag: str, entry: Entry | None
    ) -> None:
        """Give a file its name, unless what is here is newer, and came another way."""
        changed = entry.changed if entry else each.changed
        try:
            # Asked again: what has come meanwhile may be a link on its way.
            path = self.places.path(name)
        except Unfit as unfit:
            self.done.left_out.append(str(unfit))
            return
        if each.key in self._record.etags or not _is_newer(path, changed):
            mode = entry.mode if entry else temporary.stat().st_mode
            own = path.is_relative_to(self._own)
            _stamp(temporary, 0o600 if own else mode, changed)
            if not self._land(temporary, path):
                return
        self._came(each, etag)

    def place_link(self, each: Object, name: str, temporary: Path, etag: str) -> None:
        """Make a link, whose target is the content of a file."""
        target = os.fsdecode(temporary.read_bytes())
        try:
            path = self.places.path(name)
            check_link(name, target)
        except Unfit as unfit:
            self.done.left_out.append(str(unfit))
            return
        temporary.unlink()
        temporary.symlink_to(target)
        if self._land(temporary, path):
            self._came(each, etag)

    def unpack(self, each: Object) -> None:
        """Unpack directories of jobs as the launcher had them, but for what is newer here."""
        temporary = self._temporary()
        etag = self._store.fetch(each.key, temporary) or each.etag
        try:
            with tarfile.open(temporary, "r:gz") as archive:
                for member in archive:
                    self._unpack(archive, member)
        except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, KeyError) as error:
            self.done.problems.append(f"{each.key} cannot be unpacked: {error}")
            return
        self._came(each, etag)

    def _unpack(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        try:
            path = self.places.path(member.name, home=True)
            if member.issym():
                check_link(member.name, member.linkname)
        except Unfit as unfit:
            self.done.left_out.append(str(unfit))
            return
        if _is_newer(path, member.mtime):
            return
        temporary = self._temporary()
        content = None if member.issym() else archive.extractfile(member)
        if member.issym():
            temporary.symlink_to(member.linkname)
        elif content is not None:
            with temporary.open("xb") as stream:
                shutil.copyfileobj(content, stream)
            _stamp(temporary, member.mode, member.mtime)
        else:
            return
        self._land(temporary, path)

    def _fetch(self, each: Object) -> tuple[Path, str] | None:
        temporary = self._temporary()
        try:
            return temporary, self._store.fetch(each.key, temporary) or each.etag
        except NotThere:  # it has been removed meanwhile
            return None

    def _temporary(self) -> Path:
        return self.coming / os.urandom(8).hex()

    def _land(self, temporary: Path, path: Path) -> bool:
        """Give a file its name, and return whether it could be had."""
        mode = 0o700 if OWN_DIR in path.parts else 0o777
        try:
            path.parent.mkdir(mode, parents=True, exist_ok=True)
            problem = land(temporary, path)
        except OSError as error:
            problem = bearable(error, path)
        if problem:
            self.done.problems.append(problem)
            temporary.unlink(missing_ok=True)
        return not problem

    def _came(self, each: Object, etag: str) -> None:
        self._record.etags[each.key] = etag
        self.done.files += 1
        self.done.size += each.size
        self._told(self.done.files, self.total, self.done.size)


def _is_newer(path: Path, changed: float) -> bool:
    """Tell whether a file here was changed after that."""
    try:
        return path.lstat().st_mtime > changed + EXACT_S
    except (FileNotFoundError, NotADirectoryError):
        return False


def _stamp(path: Path, mode: int, changed: float) -> None:
    path.chmod(mode & 0o777)
    os.utime(path, (changed, changed))
