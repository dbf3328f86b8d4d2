"""What the system knows of processes: which run, whose children they are, and which is which."""

from __future__ import annotations

import functools
import os
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class _Stat:
    """A line of /proc/PID/stat, as far as it is needed here."""

    state: str
    parent: int
    session: int
    started: int
    """Clock ticks since the machine was booted."""


def identity(pid: int | None = None) -> str:
    """Return what tells a process from every other: its machine, id and start time.

    A process id is given again after a while, and is counted anew in each container and
    after each start of the machine; the identity is not.

    Parameters
    ----------
    pid
        The process; by default this one.

    Raises
    ------
    ProcessLookupError
        If there is no such process.
    """
    pid = os.getpid() if pid is None else pid
    stat = _stat(pid)
    if stat is None:
        raise ProcessLookupError(f"there is no process {pid}")
    return f"{_machine()}.{pid}.{stat.started}"


def is_alive(known: str) -> bool | None:
    """Tell whether the process of an identity runs; None if that cannot be seen from here."""
    pid = here(known)
    if pid is None:
        return None
    stat = _stat(pid)
    return stat is not None and stat.started == started(known) and stat.state not in "ZX"


def started(known: str) -> int:
    """Return when the process of an identity started, in ticks since its machine was booted."""
    return int(known.rpartition(".")[2])


def here(known: str) -> int | None:
    """Return the id of the process of an identity, which may have ended; None if elsewhere."""
    machine, pid, _ = known.rsplit(".", 2)
    return int(pid) if machine == _machine() else None


def children() -> set[int]:
    """Return the ids of the processes that have this one as their parent, ended ones included."""
    own = f"/proc/{os.getpid()}/task"
    found: set[int] = set()
    try:
        for thread in os.listdir(own):  # noqa: PTH208
            found.update(map(int, Path(own, thread, "children").read_bytes().split()))
    except FileNotFoundError:  # a kernel without this file, or a thread that has ended
        return {pid for pid, stat in _stats() if stat.parent == os.getpid()}
    return found


def tree(*roots: int) -> set[int]:
    """Return the ids of processes with all in the sessions they lead, and all below these."""
    members = set(roots)
    below: dict[int, list[int]] = {}
    for pid, stat in _stats():
        below.setdefault(stat.parent, []).append(pid)
        if stat.session in roots:
            members.add(pid)
    unseen = list(members)
    while unseen:
        new = [pid for pid in below.get(unseen.pop(), ()) if pid not in members]
        members.update(new)
        unseen += new
    return members


def members(leaders: Collection[int]) -> dict[int, tuple[int, int]]:
    """Return the processes in the sessions of these ids: the session, and when each started.

    The time is in clock ticks since the machine was booted, of which there are
    `TICKS_A_SECOND`.
    """
    return {pid: (stat.session, stat.started) for pid, stat in _stats() if stat.session in leaders}


def tagged(name: str, value: str) -> set[int]:
    """Return the ids of processes that were started with an environment variable set so.

    With them are the forks of a process that was `processes.marked` when it made them.
    """
    wanted = os.fsencode(f"{name}={value}")
    mapped = os.fsencode(f"/memfd:{mark_of(name, value)} ")
    found = set()
    for pid in _ids():
        own = Path(f"/proc/{pid}")
        try:
            started_so = wanted in (own / "environ").read_bytes().split(b"\0")
            if started_so or mapped in (own / "maps").read_bytes():
                found.add(pid)
        except OSError:  # ended, or another user's
            continue
    return found


def mark_of(name: str, value: str) -> str:
    """Return the name of the mapping that stands for an environment variable."""
    return f"{name}={value}"


def living(pids: Iterable[int]) -> set[int]:
    """Return those of the processes that run: an ended one may wait long for its parent."""
    stats = {pid: _stat(pid) for pid in pids}
    return {pid for pid, stat in stats.items() if stat is not None and stat.state not in "ZX"}


def session_of(pid: int) -> int | None:
    """Return the session of a process; None if it has ended."""
    stat = _stat(pid)
    return stat.session if stat is not None else None


@functools.cache
def _machine() -> str:
    """Return what process ids are counted in: this boot of this machine, this container."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip().partition("-")[0]
    namespace = os.readlink("/proc/self/ns/pid").strip("pid:[]")  # noqa: PTH115
    return f"{boot}.{namespace}"


def _stat(pid: int) -> _Stat | None:
    try:
        fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY)
        try:
            line = os.read(fd, 4096)
        finally:
            os.close(fd)
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name, in parentheses, may hold anything.
    fields = line.rpartition(b")")[2].split()
    return _Stat(fields[0].decode(), int(fields[1]), int(fields[3]), int(fields[19]))


def _stats() -> Iterator[tuple[int, _Stat]]:
    for pid in _ids():
        stat = _stat(pid)
        if stat is not None:
            yield pid, stat


def _ids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208
