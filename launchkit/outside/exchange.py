"""What goes to a host and comes home: what jobs need, what is asked, and what they have written.

Until it has ended, a job's directory is the host's to write, and afterwards this machine's.
A job is not known here to have ended before all its files are here.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from launchkit import files
from launchkit.job import OWN_DIR, Attempt, Job
from launchkit.outside import asks
from launchkit.outside.listing import Entry, Look, PackLook
from launchkit.outside.remote import Remote
from launchkit.outside.ssh import Connection
from launchkit.outside.transfer import Transfer
from launchkit.sweep import Sweep

SETTLED_S = 3
"""From this age on, in seconds, a change of a file cannot have been followed by one unseen."""
TRIES = 3
"""How often a job's files are fetched that cannot be, before the job has ended without them."""
SHARED = re.compile(r"sweep\.json|jobs\.jsonl|packs\.jsonl|payload(-\d+)?\.pkl|shared")
"""What the hosts need of the sweep's own files."""
UNFINISHED = re.compile(rb"(^|/)\.[^/]+\.[0-9a-f]{12}\.tmp$")
"""Files that `files.atomic_writer` has not given their names yet."""
STATE = os.fsencode(f"/{OWN_DIR}/state.json")


class Exchange:
    """The exchange about a sweep with a host.

    Parameters
    ----------
    sweep
        The sweep.
    connection
        The connection to the host.
    remote
        The sweep's directory there.
    transfer
        The way of its files.

    Attributes
    ----------
    problem
        What keeps files from coming home; empty, mostly.
    """

    def __init__(
        self, sweep: Sweep, connection: Connection, remote: Remote, transfer: Transfer
    ) -> None:
        self._sweep = sweep
        self._connection = connection
        self._remote = remote
        self._transfer = transfer
        self._home = sweep.directory.parent
        self._own = self._name(sweep.own) + b"/"
        self._jobs: dict[bytes, int] = {}
        self._out: set[int] = set()
        self._known: dict[bytes, Entry] = {}
        self._pushed: dict[bytes, tuple[int, int]] = {}
        self._sent: dict[bytes, tuple[int, int, int]] = {}
        self._heard: dict[int, int] = {}
        self._failures = 0
        self.problem = ""

    # To the host

    def deliver(self, archive: str) -> None:
        """Make the sweep's directory there, and bring and unpack its archive."""
        self._connection.run(self._remote.make())
        self._transfer.put([self._name(self._sweep.own / archive)])
        self._connection.run(self._remote.unpack(archive))

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
            names += self._below(job.own if job.num in known else job.directory)
        self._transfer.put(names, wiped)
        for name in names:
            status = self._path(name).lstat()
            self._pushed[name] = (status.st_size, int(status.st_mtime))
        self._out.update(job.num for job in jobs)

    def send_shared(self, packs: Iterable[int]) -> None:
        """Bring there what has changed of the sweep's own files, and what is asked of hosts."""
        own = self._sweep.own
        shared = [own / name for name in os.listdir(own) if SHARED.fullmatch(name)]  # noqa: PTH208
        # What is asked may be to run what comes with the rest.
        for paths in (shared, [asks.path_of(self._sweep, pack) for pack in packs]):
            names = [name for path in paths for name in self._below(path)]
            now = {name: self._signature(name) for name in names}
            changed = [name for name in names if self._sent.get(name) != now[name]]
            if changed:
                self._transfer.put(changed)
                self._sent.update((name, now[name]) for name in changed)

    def kill(self, *, containers: bool) -> None:
        """End all that runs there of the sweep."""
        self._connection.run(self._remote.kill(self._sweep.id, containers=containers))

    # Home

    def look(self, packs: Iterable[int]) -> tuple[Mapping[int, PackLook], dict[int, Attempt]]:
        """Bring home what has changed; return how packs stand, and how jobs have ended.

        A job that has ended has all its files here.
        """
        known = {pack: self._heard.get(pack, 0) for pack in packs}
        seen = Look.parse(self._connection.run(self._remote.look(known)))
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

    def remove(self, *, there: bool) -> None:
        """Remove what was under way here, and the sweep's directory there if that is wanted."""
        if there:
            self._connection.run(self._remote.remove())
        self._transfer.clear()

    def forget(self) -> None:
        """Take note that nothing is there any more."""
        self._known.clear()
        self._pushed.clear()
        self._sent.clear()

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
        self, states: Collection[Entry], heard: Mapping[int, Attempt], *, over: bool
    ) -> list[Entry]:
        """Write states here, but for those of jobs that have ended since the others were seen."""
        found = self._transfer.read(entry.name for entry in states)
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

    def _below(self, path: Path) -> list[bytes]:
        """Return the files and links in a directory, or the one file."""
        if not path.is_dir() or path.is_symlink():
            return [self._name(path)] if os.path.lexists(path) else []
        found = []
        for folder, subfolders, names in os.walk(path):
            links = [name for name in subfolders if os.path.islink(os.path.join(folder, name))]  # noqa: PTH114, PTH118
            found += [self._name(Path(folder, name)) for name in [*names, *links]]
        return found

    def _signature(self, name: bytes) -> tuple[int, int, int]:
        status = self._path(name).stat()
        return status.st_ino, status.st_size, status.st_mtime_ns
