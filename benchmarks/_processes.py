"""Measuring whole processes: wall time, CPU time of all they started, memory of the tree."""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
SAMPLE_S = 0.01
LASTING_SAMPLES = 3


class RunFailed(RuntimeError):
    """A measured program did not do what is measured."""


@dataclass(frozen=True)
class Run:
    """One run of a program.

    Parameters
    ----------
    began
        When it was started, in seconds since the epoch.
    wall
        Seconds until it ended.
    cpu
        Seconds of CPU time, user and system, of its process and all that came of it.
    peak
        Bytes of memory of its process tree at its highest; 0 where not sampled.
    output
        What it wrote to stdout and stderr.
    """

    began: float
    wall: float
    cpu: float
    peak: int
    output: str


def run(
    command: Sequence[str], cwd: Path, env: Mapping[str, str], *, sample_memory: bool = False
) -> Run:
    """Run a program to its end, and the end of all it started.

    Raises
    ------
    RunFailed
        If it does not exit with 0.
    """
    _adopt_orphans()
    log = cwd / "output.log"
    with log.open("wb") as stream:
        began, start = time.time(), time.perf_counter()
        process = subprocess.Popen(
            command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream
        )
        with _MemorySampler(process.pid if sample_memory else None) as sampler:
            _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    cpu = usage.ru_utime + usage.ru_stime + _reap_orphans()
    output = log.read_text(errors="replace")
    if process.returncode != 0:
        raise RunFailed(f"{' '.join(command)} ended with {process.returncode}:\n{output[-4000:]}")
    return Run(began, wall, cpu, sampler.peak, output)


def tree_memory(pid: int) -> int:
    """Return the proportional set size of a process and its descendants, in bytes.

    A page that several processes share is counted once, divided among them: the sum over
    the tree is the memory that the tree takes from the machine.
    """
    total, todo = 0, [pid]
    while todo:
        member = todo.pop()
        # It may end between one look and the next.
        with contextlib.suppress(OSError):
            total += _proportional_set_size(member)
            for task in os.listdir(f"/proc/{member}/task"):
                children = Path(f"/proc/{member}/task/{task}/children").read_text()
                todo += [int(child) for child in children.split()]
    return total


def _proportional_set_size(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


class _MemorySampler:
    """Looks at the memory of a process tree every ten milliseconds, as long as it is open.

    The processes are looked at one after the other, and one that is just being started may
    not have memory of its own yet (vfork) and be counted twice. So a height counts where it
    lasts for some samples; the highest such is the peak.
    """

    def __init__(self, pid: int | None) -> None:
        self.peak = 0
        self._last: deque[int] = deque(maxlen=LASTING_SAMPLES)
        self._pid = pid
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> _MemorySampler:
        if self._pid is not None:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._pid is not None:
            self._thread.join()

    def _sample(self) -> None:
        assert self._pid is not None
        while not self._stop.wait(SAMPLE_S):
            self._last.append(tree_memory(self._pid))
            if len(self._last) == LASTING_SAMPLES:
                self.peak = max(self.peak, min(self._last))


def _adopt_orphans() -> None:
    """Become the parent of what a measured program leaves behind, so that it is counted."""
    with contextlib.suppress(OSError, AttributeError):  # Linux only
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _reap_orphans() -> float:
    """Wait for what a measured program left behind, and return its CPU time in seconds."""
    seconds = 0.0
    while True:
        try:
            _, _, usage = os.wait4(-1, 0)
        except ChildProcessError:
            return seconds
        seconds += usage.ru_utime + usage.ru_stime
