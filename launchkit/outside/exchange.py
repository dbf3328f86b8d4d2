"""What goes to a host and comes home: what jobs need, and what they have written.

Until it has ended, a job's directory is the host's to write, and afterwards this machine's.
A job is not known here to have ended before all its files are here.
"""

from __future__ import annotations

import json
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from launchkit import files
from launchkit.job import OWN_DIR, Attempt, Job
from launchkit.outside import asks
from launchkit.outside.listing import Entry, Look, PackLook
from launchkit.sweep import Sweep

SETTLED_S = 3
"""From this age on, in seconds, a change of a file cannot have been followed by one unseen."""
TRIES = 3
"""How often a job's files are fetched that cannot be, before the job has ended without them."""
UNFINISHED = re.compile(rb"(^|/)\.[^/]+\.[0-9a-f]{12}\.tmp$")
"""Files that `files.atomic_writer` has not given their names yet."""
STATE = os.fsencode(f"/{OWN_DIR}/state.json")


class Way(Protocol):
    """The way of a sweep's files; names are relative to the directory around the sweep's own."""

    def put(self, names: Sequence[bytes], wiped: Collection[str] = ()) -> None:
        """Bring files and links there, and remove directories there before."""

    def take(self, wanted: Sequence[Entry]) -> str:
        """Bring files and links home, and return what has gone wrong; nothing, mostly."""

    def read(self, wanted: Sequence[Entry]) -> dict[bytes, tuple[bytes, float]]:
        """Return the content of small files, and when each was changed."""

    def clear(self) -> None:
        """Remove what was under way here."""


class Exchange(ABC):
    """The exchange about a sweep with those who run its jobs elsewhere.

    Parameters
    ----------
    sweep
        The sweep.
    transfer
        The way of its files.

    Attributes
    ----------
    problem
        What keeps files from coming home; empty, mostly.
    """

    def __init__(self, sweep: Sweep, transfer: Way) -> None:
        self._sweep = sweep
        self._transfer = transfer
        self._home = sweep.directory.parent
        self._own = self._name(sweep.own) + b"/"
        self._jobs: dict[bytes, int] = {}
        self._out: set[int] = set()
        self._known: dict[bytes, Entry] = {}
        self._pushed: dict[bytes, tuple[int, int]] = {}
        self._heard: dict[int, int] = {}
        self._failures = 0
        self.problem = ""

    # To the host

    def hand_over(self, jobs: Collection[Job], *, known: Collection[int]) -> None:
        """Bring there what is here of jobs, whose directories are the host's from now on.

        Parameters
        ----------
        jobs
            The jobs.
        known
            The numbers of those that have run there before: what they wrote is there.
        """
        names: list[bytes] = []
        wiped = []
        for job in jobs:
            self._jobs[self._name(job.directory)] = job.num
            if job.num in known:
                wiped.append(os.fsdecode(self._name(job.own)))
            names += [
                self._name(path) for path in below(job.own if job.num in known else job.directory)
            ]
        self._transfer.put(names, wiped)
        for name in names:
            status = self._path(name).lstat()
            self._pushed[name] = (status.st_size, int(status.st_mtime))
        self._out.update(job.num for job in jobs)

    @abstractmethod
    def ask(self, known: Mapping[int, int]) -> Look:
        """Ask how things stand there.

        Parameters
        ----------
        known
            How many bytes of what the host of a pack tells are known, by the pack's number.
        """

    # Home

    def look(self, packs: Iterable[int]) -> tuple[Mapping[int, PackLook], dict[int, Attempt]]:
        """Bring home what has changed; return how packs stand, and how jobs have ended.

        A job that has ended has all its files here.
        """
        known = {pack: self._heard.get(pack, 0) for pack in packs}
        seen = self.ask(known)
        heard: dict[int, Attempt] = {}
        whole = {}
        for pack, each in seen.packs.items():
            told, whole[pack] = asks.parse_ended(each.told)
            heard.update(told)
        over = not any(each.alive for each in seen.packs.values())
        complete = self._bring(seen, heard, over=over)
        if not complete and self._failures < TRIES:
            # It is heard once more.
            return {k: replace(each, alive=True, code=None) for k, each in seen.packs.items()}, {}
        for pack, count in whole.items():
            self._heard[pack] = known[pack] + count
        ended = {num: attempt for num, attempt in heard.items() if num in self._out}
        if heard or over:
            self._failures = 0
        return seen.packs, ended

    def settle(self, nums: Iterable[int]) -> None:
        """Take note that jobs have ended: what is there of them is of no interest any more."""
        self._out.difference_update(nums)

    def adopt(self, jobs: Iterable[Job]) -> None:
        """Take note that jobs are there that another process has handed over."""
        for job in jobs:
            self._jobs[self._name(job.directory)] = job.num
            self._out.add(job.num)

    def forget(self) -> None:
        """Take note that nothing is there any more."""
        self._known.clear()
        self._pushed.clear()

    def _bring(self, seen: Look, heard: Mapping[int, Attempt], *, over: bool) -> bool:
        """Fetch what has changed, states last; return whether all of it has come."""
        wanted = [entry for entry in seen.entries if self._is_news(entry)]
        states = [entry for entry in wanted if self._is_state(entry)]
        files_ = [entry for entry in wanted if not self._is_state(entry)]
        problem = self._transfer.take(files_)
        for entry in files_:
            # What is the sweep's own is for its owner only, whatever the umask there.
            if entry.name.startswith(self._own) and self._path(entry.name).exists():
                self._path(entry.name).chmod(0o600)
        self.problem = problem
        if problem:
            self._failures += bool(heard) or over
            files_ = [entry for entry in files_ if self._is_here(entry)]
        self._note(files_, seen.now)
        if problem and self._failures < TRIES:
            return False
        self._note(self._land_states(states, heard, over=over), seen.now)
        return not problem

    def _land_states(
        self, states: Sequence[Entry], heard: Mapping[int, Attempt], *, over: bool
    ) -> list[Entry]:
        """Write states here, but for those of jobs that have ended since the others were seen."""
        found = self._transfer.read(states)
        landed = []
        for entry in states:
            data, changed = found.get(entry.name, (b"", 0.0))
            try:
                attempt = Attempt.from_json(json.loads(data))
            except (ValueError, KeyError, TypeError):  # it has vanished, with its directory
                continue
            if attempt.state.final and not over and self._job_of(entry) not in heard:
                continue
            path = self._path(entry.name)
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            files.write_atomic(path, data, mode=0o600)
            os.utime(path, (changed, changed))
            landed.append(entry)
        return landed

    def _is_state(self, entry: Entry) -> bool:
        return entry.name.removesuffix(STATE) in self._jobs

    def _is_here(self, entry: Entry) -> bool:
        try:
            status = self._path(entry.name).lstat()
        except OSError:
            return False
        return (status.st_size, int(status.st_mtime)) == (entry.size, int(entry.changed))

    def _is_news(self, entry: Entry) -> bool:
        if self._known.get(entry.name) == entry:
            return False
        if UNFINISHED.search(entry.name):
            return False
        if entry.name.startswith(self._own) and not entry.size:
            return False  # a log that nothing is in
        job = self._job_of(entry)
        if job is not None and job not in self._out:
            return False
        if entry.kind == "d":
            return not self._path(entry.name).is_dir()
        return self._pushed.get(entry.name) != (entry.size, int(entry.changed))

    def _note(self, entries: Iterable[Entry], now: int) -> None:
        """Take note of what is here; what changed a moment ago may have changed again since."""
        for entry in entries:
            if max(entry.changed, entry.touched) < now - SETTLED_S or entry.kind == "d":
                self._known[entry.name] = entry
            self._pushed.pop(entry.name, None)

    def _job_of(self, entry: Entry) -> int | None:
        """Return the job that a file is of, if it is one's."""
        name = entry.name
        while name:
            if name in self._jobs:
                return self._jobs[name]
            name = name.rpartition(b"/")[0]
        return None

    def _name(self, path: Path) -> bytes:
        return os.fsencode(os.path.relpath(path, self._home))

    def _path(self, name: bytes) -> Path:
        return self._home / os.fsdecode(name)


def below(path: Path) -> list[Path]:
    """Return the files and links in a directory, or the one file; none if it is not there."""
    if not path.is_dir() or path.is_symlink():
        return [path] if os.path.lexists(path) else []
    found = []
    for folder, subfolders, names in os.walk(path):
        links = [name for name in subfolders if os.path.islink(os.path.join(folder, name))]  # noqa: PTH114, PTH118
        found += [Path(folder, name) for name in [*names, *links]]
    return found
