"""What there is on a machine of a sweep's files."""
# Python 3.6 is to run this: no `from __future__ import annotations`; what it lacks is in quotes.
# Names are bytes here, which a Path does not take.
# ruff: noqa: PTH118

import logging
import os
import re
import stat
from typing import NamedTuple

LOG = logging.getLogger("launchkit.agent")

LONGEST_KEY = 1024
UNFINISHED = re.compile(rb"(^|/)\.[^/]+\.[0-9a-f]{12}\.tmp$")
"""Files that have not been given their names yet; as in `launchkit.outside.exchange`."""
SAID = re.compile(rb"carriers/[^/]+\.log|asks/[^/]+\.refused")
"""What comes home of the sweep's own directory."""
NOT_THEIRS = frozenset(
    [b"machine.json", b"agent.pid", b"synced", b".agent", b".home", b".machines"]
)
"""Names beside the sweep's directory that are the agent's."""
KINDS = {stat.S_IFREG: "f", stat.S_IFDIR: "d", stat.S_IFLNK: "l"}


class Entry(NamedTuple):
    """A file, directory or link; times in nanoseconds."""

    kind: str
    inode: int
    size: int
    changed: int
    touched: int
    mode: int
    name: bytes

    def line(self) -> bytes:
        """Return it as `find` prints it for a look."""
        facts = "{} {} {} {}.{:09d}0 {}.{:09d}0 {:o} ./".format(
            self.kind, self.inode, self.size, *divmod(self.changed, 10**9),
            *divmod(self.touched, 10**9), self.mode,
        )  # fmt: skip
        return facts.encode() + self.name


class Listing:
    """What there is, again and again.

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
        self._own = os.fsencode(name) + b"/.launchkit"
        self._room = LONGEST_KEY - len(base.encode()) - 1
        self._left_out: set[bytes] = set()

    def scan(self) -> "list[Entry]":
        """Return all there is to come home, now."""
        found: list[Entry] = []
        folders = [b""]
        while folders:
            folder = folders.pop()
            if folder == self._own:
                found += self._said()
                continue
            here = self._list(folder)
            found += [entry for entry in here if entry.name != self._own]
            folders += [entry.name for entry in here if entry.kind == "d"]
        return found

    def leave_out(self, name: bytes, why: str) -> bool:
        """Leave out a name from now on, and return False."""
        self._left_out.add(name)
        LOG.warning("%r does not come home: %s", name, why)
        return False

    def _said(self) -> "list[Entry]":
        parts = [self._own + b"/" + part for part in (b"carriers", b"asks")]
        logs = [entry for part in parts for entry in self._list(part)]
        start = len(self._own) + 1
        return [each for each in logs if each.kind == "f" and SAID.fullmatch(each.name[start:])]

    def _list(self, folder: bytes) -> "list[Entry]":
        found = []
        try:
            with os.scandir(os.path.join(self._root, folder)) as listed:
                for each in listed:
                    name = folder + b"/" + each.name if folder else each.name
                    entry = self._entry(each, name)
                    if entry is not None:
                        found.append(entry)
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            pass
        return found

    def _entry(self, each: "os.DirEntry[bytes]", name: bytes) -> "Entry | None":
        if name in NOT_THEIRS or name in self._left_out or UNFINISHED.search(name):
            return None
        try:
            status = each.stat(follow_symlinks=False)
        except FileNotFoundError:
            return None
        kind = KINDS.get(stat.S_IFMT(status.st_mode))
        if kind is None or not self._fits(name):
            return None
        return Entry(
            kind, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns,
            stat.S_IMODE(status.st_mode), name,
        )  # fmt: skip

    def _fits(self, name: bytes) -> bool:
        try:
            name.decode()
        except UnicodeDecodeError:
            return self.leave_out(name, "its name is not UTF-8")
        if len(name) > self._room:
            return self.leave_out(name, "its name is too long")
        if b"\n" in name or b"\r" in name:  # Google's take none, the programs have trouble with it
            return self.leave_out(name, "its name has a line break")
        return True
