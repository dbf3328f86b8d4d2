"""Starting a process for a job, and ending it with all it started."""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import gc
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def fork(run: Callable[[], int]) -> int:
    """Run a function in a forked child, a session of its own, and return the child's id.

    The child has everything imported that this process has, and shares its memory.
    It ends with what `run` returns, after its own exit handlers.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    with warnings.catch_warnings():
        # Python 3.12 warns of any second thread; `fork_is_safe` has looked at each of them.
        warnings.simplefilter("ignore", DeprecationWarning)
        # What the child's collector never visits stays in pages shared with this process.
        gc.freeze()
        pid = os.fork()
    if pid:
        gc.unfreeze()
        return pid
    code = 1
    try:
        _begin_child()
        code = run()
        _end_child()
    except BaseException:  # nothing may return into the parent's frames
        traceback.print_exc()
    finally:
        _flush()
        os._exit(code & 0xFF)


@contextlib.contextmanager
def holding_signals() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM wait until the block has ended.

    A process that is started in the block is known by then to who must end it. A fork lets
    them through once its handlers are set; a spawned worker calls `let_signals_through`.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def let_signals_through() -> None:
    """End what `holding_signals` began in the process that started this one."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)


def spawn(command: Sequence[str]) -> int:
    """Start a command in a session of its own and return its process id."""
    # The child is reaped by its id, as a forked one is.
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    process.returncode = 0
    return process.pid


def kill_tree(pid: int, number: signal.Signals) -> None:
    """Send a signal to the session that a job's process leads, and to all below it."""
    for member in {pid, *_session_members(pid)}:
        try:
            os.kill(member, number)
        except (ProcessLookupError, PermissionError):
            continue


def descendants() -> set[int]:
    """Return the ids of the processes that this one has started, and of theirs."""
    children: dict[int, list[int]] = {}
    for pid, parent in _parents():
        children.setdefault(parent, []).append(pid)
    found: set[int] = set()
    unseen = [os.getpid()]
    while unseen:
        unseen += (new := children.pop(unseen.pop(), []))
        found.update(new)
    return found


def fork_is_safe() -> bool:
    """Tell whether a child of `os.fork` can be relied on in this process.

    It can on Linux, when no other Python thread runs, no CUDA driver is open, and every
    native thread is of an OpenBLAS, which stops and restarts its threads around a fork.
    """
    if not sys.platform.startswith("linux") or threading.active_count() > 1:
        return False
    if _cuda_is_open():
        return False
    threads = len(os.listdir("/proc/self/task"))  # noqa: PTH208
    return threads == 1 or threads - 1 <= _openblas_threads()


def _begin_child() -> None:
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    let_signals_through()
    atexit._clear()
    _reseed_numpy()


def _end_child() -> None:
    """Do what the interpreter does at the end of a program."""
    threading._shutdown()  # type: ignore[attr-defined]  # what joins the threads; no public name
    multiprocessing_util = sys.modules.get("multiprocessing.util")
    if multiprocessing_util is not None:
        multiprocessing_util._exit_function()
    atexit._run_exitfuncs()


def _flush() -> None:
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            continue


def _reseed_numpy() -> None:
    """Give each fork its own stream from numpy's global generator, unless it was seeded.

    A generator that the program seeded has no seed sequence; one that took its seed from
    the system would otherwise give every job of the sweep the same numbers.
    """
    numpy = sys.modules.get("numpy")
    if numpy is None or "numpy.random" not in sys.modules:
        return
    state = getattr(numpy.random.mtrand, "_rand", None)
    generator = getattr(state, "_bit_generator", None)
    if getattr(generator, "_seed_seq", None) is not None:
        numpy.random.seed()


def _session_members(leader: int) -> list[int]:
    """Return the ids of the processes in the session that `leader` leads."""
    members = []
    for entry in _processes():
        try:
            if os.getsid(entry) == leader:
                members.append(entry)
        except (ProcessLookupError, PermissionError):
            continue
    return members


def _parents() -> list[tuple[int, int]]:
    """Return each process's id and its parent's."""
    found = []
    for pid in _processes():
        try:
            stat = Path(f"/proc/{pid}/stat").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        # The name, in parentheses, may hold anything; the state and the parent follow it.
        found.append((pid, int(stat.rpartition(b")")[2].split()[1])))
    return found


def _processes() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208


def _cuda_is_open() -> bool:
    fds = Path("/proc/self/fd")
    for name in fds.iterdir():
        try:
            if str(name.readlink()).startswith("/dev/nvidia"):
                return True
        except OSError:
            continue
    return False


def _openblas_threads() -> int:
    """Return how many threads the loaded OpenBLAS libraries keep, beside the main one."""
    libraries = set(re.findall(r"(/\S*openblas\S*\.so\S*)", Path("/proc/self/maps").read_text()))
    return sum(_count_threads(library) - 1 for library in libraries)


def _count_threads(library: str) -> int:
    try:
        handle = ctypes.CDLL(library)
    except OSError:  # replaced on the disk since it was loaded
        return 1
    for prefix in ("scipy_openblas", "openblas"):
        for suffix in ("64_", "", "_64", "_64_", "64"):
            count = getattr(handle, f"{prefix}_get_num_threads{suffix}", None)
            if count is not None:
                return int(count())
    return 1
