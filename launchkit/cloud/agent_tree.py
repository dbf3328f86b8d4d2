"""What there is on a machine of a sweep's files, and what of it the bucket does not have yet."""
# Python 3.6 is to run this: no `from __future__ import annotations`; what it lacks is in quotes.
# Names are bytes here, which a Path does not take.
# ruff: noqa: PTH103, PTH108, PTH115, PTH118, PTH120, PTH123

import contextlib
import errno
import hashlib
import os
import re
import shutil
import time
from typing import NamedTuple

from launchkit.cloud.agent_listing import Entry, Listing

BIG = 64 * 2**20
"""Files from this size on are not copied before they are uploaded, if that can be helped."""
BIG_AGAIN_S = 300.0
"""How often such a file is uploaded that goes on changing."""
SETTLED_S = 2.0
"""From this age on, a change of a file cannot have been followed by one unseen."""
COMPLAINTS = 4
"""How often a file may be complained of."""
BLOCK = 2**20
GONE = frozenset(
    [errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EACCES, errno.ENXIO, errno.ESTALE]
)
"""What is said of a file that has vanished, or become another thing: the next look tells."""
FULL = frozenset([errno.ENOSPC, errno.EDQUOT])


class Known(NamedTuple):
    """What the bucket has of a file."""

    entry: Entry
    digest: bytes
    settled: bool


class Tree:
    """A sweep's files on this machine.

    Parameters
    ----------
    root
        The directory around the sweep's.
    name
        The name of the sweep's directory.
    base
        What names begin with in the bucket.
    """

    def __init__(self, root: str, name: str, base: str) -> None:
        self._root = os.fsencode(root)
        self._listing = Listing(root, name, base)
        self._last = os.fsencode(base.rpartition("/")[2])
        self._known: dict[bytes, Known] = {}
        self._staged: dict[bytes, Known] = {}
        self._since: dict[bytes, float] = {}
        self._complaints: dict[bytes, int] = {}

    def scan(self) -> "list[Entry]":
        """Return all there is to come home, now."""
        return self._listing.scan()

    def stage(self, entries: "list[Entry]", folder: str, *, last: bool, small: bool) -> int:
        """Put copies of what has changed into a folder, and return how many bytes that is.

        Parameters
        ----------
        entries
            What there is.
        folder
            The folder; it must be empty.
        last
            Whether nothing writes to the files any more.
        small
            Whether to leave out what is large.
        """
        self._staged = {}
        size = 0
        for entry in entries:
            if entry.kind == "d" or (small and entry.size >= BIG):
                continue
            if self._is_news(entry, last):
                target = os.path.join(os.fsencode(folder), entry.name)
                if self._stage(entry, target, last):
                    size += entry.size
        return size

    @property
    def staged(self) -> bool:
        """Whether anything has changed."""
        return bool(self._staged)

    def note(self) -> None:
        """Take note that what was staged is in the bucket."""
        now = time.monotonic()
        self._known.update(self._staged)
        self._since.update((name, now) for name in self._staged)
        self._complaints.clear()
        self._staged = {}

    def lines(self, entries: "list[Entry]") -> "list[bytes]":
        """Return the lines of a look: of each file, what it was when the bucket got it."""
        lines = []
        for entry in entries:
            known = self._known.get(entry.name)
            if entry.kind == "d" or (known and _same(known.entry, entry)):
                lines.append(entry.line())
            elif known:
                lines.append(known.entry.line())
        return lines

    def leave_out(self, said: str) -> None:
        """Leave out the files that a program complains of by name, if it does so every time."""
        complaint = os.fsencode(said)
        for name in self._staged:
            shown = re.escape(b"/%s/%s" % (self._last, name))
            if re.search(shown + rb"(?=[\s'\"\]:,]|\.?$)", complaint, re.MULTILINE):
                self._complaints[name] = self._complaints.get(name, 0) + 1
                if self._complaints[name] >= COMPLAINTS:
                    self._listing.leave_out(name, "it cannot be uploaded")

    def _is_news(self, entry: Entry, last: bool) -> bool:
        known = self._known.get(entry.name)
        if known and known.settled and _same(known.entry, entry):
            return False
        if entry.size < BIG or last or _age(entry) > SETTLED_S:
            return True
        since = self._since.setdefault(entry.name, time.monotonic())
        return time.monotonic() - since > BIG_AGAIN_S

    def _stage(self, entry: Entry, target: bytes, last: bool) -> bool:
        """Put a file into the staging folder; return whether it is another one than before."""
        try:
            digest = self._put(entry, target, last)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.unlink(target)
            if error.errno not in GONE:
                raise
            return False
        now = Known(entry, digest, last or _age(entry) > SETTLED_S)
        known = self._known.get(entry.name)
        if known and digest and known.digest == digest and known.entry.kind == entry.kind:
            os.unlink(target)
            self._known[entry.name] = now
            return False
        self._staged[entry.name] = now
        return True

    def _put(self, entry: Entry, target: bytes, last: bool) -> bytes:
        """Copy or link a file, and return its digest, empty if it was not read."""
        source = os.path.join(self._root, entry.name)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if entry.kind == "l":
            data = os.readlink(source)
            with open(target, "wb") as stream:
                stream.write(data)
            return hashlib.sha256(data).digest()
        if entry.size >= BIG and (last or _age(entry) > SETTLED_S):
            return self._link(source, target)
        try:
            return _copy(source, target)
        except OSError as error:
            if error.errno not in FULL:
                raise
            os.unlink(target)
            return self._link(source, target)

    @staticmethod
    def _link(source: bytes, target: bytes) -> bytes:
        try:
            os.link(source, target, follow_symlinks=False)
        except OSError as error:
            if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK):
                raise
            return _copy(source, target)
        return b""


def _copy(source: bytes, target: bytes) -> bytes:
    """Copy as much of a file as there is now, and return the copy's digest."""
    digest = hashlib.sha256()
    opened = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(opened, "rb") as stream, open(target, "wb") as copy:
        left = os.fstat(opened).st_size
        while left > 0:
            block = stream.read(min(left, BLOCK))
            if not block:
                break
            digest.update(block)
            copy.write(block)
            left -= len(block)
    return digest.digest()


def _age(entry: Entry) -> float:
    return time.time() - max(entry.changed, entry.touched) / 10**9


def _same(one: Entry, other: Entry) -> bool:
    return (one.kind, one.inode, one.size, one.changed) == (
        other.kind, other.inode, other.size, other.changed,
    )  # fmt: skip


def empty(folder: str) -> None:
    """Make a folder that has nothing in it."""
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
