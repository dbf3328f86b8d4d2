"""Starting a process for a job, and ending it with all it started."""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import gc
import logging
import mmap
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path

from launchkit import process_table
from launchkit.machine import openblas

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
PR_GET_CHILD_SUBREAPER = 37
REAP_S = 0.1


def fork(run: Callable[[], int], *, bound: bool = True) -> int:
    """Run a function in a forked child, a session of its own, and return the child's id.

    The child has everything imported that this process has, and shares its memory. It
    ends with what `run` returns, after its own exit handlers.

    Parameters
    ----------
    run
        The function; it returns the exit code.
    bound
        Whether the child is killed if this process ends before it, and is the parent of
        what its own children leave behind.
    """
    parent = os.getpid()
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
        if bound:
            end_with(parent)
            adopt_orphans()
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


def spawn(command: Sequence[str], environment: Mapping[str, str] | None = None) -> int:
    """Start a command in a session of its own and return its process id.

    Parameters
    ----------
    command
        The program and its arguments.
    environment
        Variables to set beside those of this process.
    """
    # The child is reaped by its id, as a forked one is.
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **(environment or {})},
        start_new_session=True,
    )
    process.returncode = 0
    return process.pid


def print_to(output: int) -> None:
    """Let this process print to a descriptor, which is closed, and read nothing."""
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    for number in (1, 2):
        os.dup2(output, number)
    for number in {null, output}.difference((0, 1, 2)):
        os.close(number)


def let_go_of_files() -> None:
    """Close every file of this process, a pipe that others wait on for one."""
    print_to(os.open(os.devnull, os.O_WRONLY))
    highest = max(map(int, os.listdir("/proc/self/fd")))  # noqa: PTH208
    os.closerange(3, highest + 1)


def end_with(parent: int) -> None:
    """Let the system kill this process as soon as its parent, `parent`, has ended."""
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it has ended already
        os._exit(1)


def adopt_orphans(adopt: bool = True) -> bool:
    """Become the parent of what this process's children leave running; return whether it was."""
    before = ctypes.c_int()
    _prctl(PR_GET_CHILD_SUBREAPER, ctypes.addressof(before))
    _prctl(PR_SET_CHILD_SUBREAPER, int(adopt))
    return bool(before.value)


@contextlib.contextmanager
def marked(name: str, value: str) -> Iterator[None]:
    """Let `process_table.tagged` know the forks that this process makes in the block.

    What the system shows of a process's environment is that of its start. A mapping is in
    every fork, whatever else it lets go of, and is gone from a program that it becomes.
    """
    address = _map(process_table.mark_of(name, value))
    try:
        yield
    finally:
        if address is not None:
            _libc.munmap(ctypes.c_void_p(address), mmap.PAGESIZE)


def end_orphans(known: Collection[int]) -> None:
    """End the processes that ended children have left to this one.

    Parameters
    ----------
    known
        Children that are no orphans. Neither is one in this process's own session.
    """
    session = os.getsid(0)
    orphans = {
        pid
        for pid in process_table.children().difference(known)
        if process_table.session_of(pid) not in (session, None)
    }
    if not orphans:
        return
    send(process_table.tree(*orphans) - {os.getpid(), *known}, signal.SIGKILL)
    deadline = time.monotonic() + REAP_S
    while orphans and time.monotonic() < deadline:
        orphans = {pid for pid in orphans if not _reaped(pid)}
        time.sleep(0.001 if orphans else 0.0)


def kill_tree(pid: int, number: signal.Signals) -> None:
    """Send a signal to the session that a job's process leads, and to all below it."""
    send(process_table.tree(pid), number)


def send(pids: Collection[int], number: signal.Signals) -> None:
    """Send a signal to processes; those that have ended are left out."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except (ProcessLookupError, PermissionError):
            continue


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
    return threads == 1 or threads - 1 <= openblas.extra_threads()


def _begin_child() -> None:
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
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


def _reaped(pid: int) -> bool:
    """Take note of a child's end, if it has ended."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return True


def _prctl(option: int, value: int) -> None:
    """Set an attribute of this process; only Linux has them."""
    if sys.platform.startswith("linux"):
        _libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0)


def _map(name: str) -> int | None:
    """Map an empty file of this name, which is in memory only; None where that is forbidden."""
    try:
        fd = os.memfd_create(name)
    except OSError:
        return None
    try:
        # Not `mmap.mmap`, which keeps a descriptor open that the job might close.
        address: int = _libc.mmap(None, mmap.PAGESIZE, mmap.PROT_READ, mmap.MAP_PRIVATE, fd, 0)
    finally:
        os.close(fd)
    return None if address == MAP_FAILED else address


_libc = ctypes.CDLL(None)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
MAP_FAILED = ctypes.c_void_p(-1).value


def _cuda_is_open() -> bool:
    fds = Path("/proc/self/fd")
    for name in fds.iterdir():
        try:
            if str(name.readlink()).startswith("/dev/nvidia"):
                return True
        except OSError:
            continue
    return False
