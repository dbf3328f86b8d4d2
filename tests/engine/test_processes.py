"""A forked job begins and ends as a program of its own would."""

from __future__ import annotations

import importlib.util
import sys

import pytest
from engine_helpers import environment, run_python

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="jobs are forked on Linux only"
)
needs_numpy = pytest.mark.skipif(
    importlib.util.find_spec("numpy") is None, reason="numpy is not installed"
)

FORK = """
import os, sys
from launchkit.machine import processes

def in_fork(run):
    sys.stdout.flush()
    _, status = os.waitpid(processes.fork(run), 0)
    return os.waitstatus_to_exitcode(status)
"""

IS_SAFE = """
import os
from launchkit.machine.processes import fork_is_safe
print(fork_is_safe(), len(os.listdir("/proc/self/task")))
"""

NATIVE_THREAD = """
import ctypes, os
libc = ctypes.CDLL(None)
before = len(os.listdir("/proc/self/task"))
thread = ctypes.c_ulong()
assert libc.pthread_create(ctypes.byref(thread), None, libc.sleep, ctypes.c_void_p(1000)) == 0
assert len(os.listdir("/proc/self/task")) == before + 1
"""


def is_safe(program, **more):
    safe, threads = run_python(program, env=environment(**more)).split()
    return safe == "True", int(threads)


def test_forking_a_plain_program_is_safe():
    assert is_safe(IS_SAFE) == (True, 1)


def test_forking_beside_another_python_thread_is_not():
    program = """
import threading
threading.Thread(target=threading.Event().wait, daemon=True).start()
"""
    assert is_safe(program + IS_SAFE) == (False, 2)


def test_forking_beside_a_thread_that_python_does_not_know_is_not():
    assert is_safe(NATIVE_THREAD + IS_SAFE) == (False, 2)


@needs_numpy
def test_forking_beside_the_threads_of_openblas_is_safe():
    safe, threads = is_safe("import numpy\n" + IS_SAFE, OPENBLAS_NUM_THREADS="2")
    if threads == 1:
        pytest.skip("this numpy starts no threads")
    assert safe


@needs_numpy
def test_forking_beside_one_more_thread_than_those_is_not():
    program = "import numpy\n" + NATIVE_THREAD + IS_SAFE
    assert is_safe(program, OPENBLAS_NUM_THREADS="2")[0] is False


@needs_numpy
def test_openblas_works_in_a_fork():
    program = f"""{FORK}
import numpy
a = numpy.ones((300, 300))
assert (a @ a)[0, 0] == 300
print(in_fork(lambda: int((a @ a)[0, 0] != 300)))
"""
    assert run_python(program, env=environment(OPENBLAS_NUM_THREADS="2")) == "0\n"


def test_exit_handlers_of_the_job_run_and_those_of_the_launcher_do_not():
    program = f"""{FORK}
import atexit
atexit.register(lambda: print("launcher's", os.getpid() == launcher))
launcher = os.getpid()
def run():
    atexit.register(lambda: print("job's"))
    return 0
in_fork(run)
print("job ended", flush=True)
"""
    assert run_python(program).splitlines() == ["job's", "job ended", "launcher's True"]


def test_the_threads_of_the_job_come_to_their_end(tmp_path):
    program = f"""{FORK}
import pathlib, threading, time
def late():
    time.sleep(0.2)
    pathlib.Path(sys.argv[1]).write_text("written")
def run():
    threading.Thread(target=late).start()
    return 4
print(in_fork(run))
"""
    assert run_python(program, tmp_path / "file") == "4\n"
    assert (tmp_path / "file").read_text() == "written"


def test_the_job_leads_a_session_and_has_the_usual_signal_handlers():
    program = f"""{FORK}
import signal
signal.signal(signal.SIGTERM, lambda *_: None)
signal.signal(signal.SIGINT, lambda *_: None)
def run():
    assert os.getsid(0) == os.getpid() == os.getpgrp()
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    assert signal.getsignal(signal.SIGINT) == signal.default_int_handler
    return 9
print(in_fork(run))
"""
    assert run_python(program) == "9\n"


def test_an_exception_does_not_come_back_into_the_launchers_frames():
    program = f"""{FORK}
def run():
    raise KeyError("x")
try:
    print(in_fork(run))
finally:
    print("once")
"""
    assert run_python(program) == "1\nonce\n"


def test_what_the_launcher_had_printed_is_printed_once():
    program = f"""{FORK}
sys.stdout.write("before ")
code = processes.fork(lambda: 0)
os.waitpid(code, 0)
print("after")
"""
    assert run_python(program) == "before after\n"


NUMBERS = """
import numpy
{seed}
def run():
    print(numpy.random.rand(), numpy.random.randint(10**9))
    return 0
for _ in range(3):
    assert in_fork(run) == 0
run()
"""


def numbers(seed):
    return run_python(FORK + NUMBERS.format(seed=seed)).splitlines()


@needs_numpy
def test_jobs_of_a_program_that_seeds_nothing_draw_different_numbers():
    assert len(set(numbers("numpy.random.rand()"))) == 4


@needs_numpy
def test_jobs_of_a_program_that_seeds_draw_what_it_would():
    drawn = numbers("numpy.random.seed(3)")
    assert len(drawn) == 4
    assert len(set(drawn)) == 1


def test_no_two_jobs_draw_the_same_from_pythons_own_stream():
    program = f"""{FORK}
import random
def run():
    print(random.random())
    return 0
for _ in range(3):
    in_fork(run)
"""
    assert len(set(run_python(program).split())) == 3


def test_a_spawned_command_leads_a_session_and_reads_nothing():
    program = """
import os, sys
from launchkit.machine import processes
child = "import os, sys; sys.exit(os.getsid(0) == os.getpid() and sys.stdin.read() == '')"
_, status = os.waitpid(processes.spawn([sys.executable, "-c", child]), 0)
print(os.waitstatus_to_exitcode(status))
"""
    assert run_python(program) == "1\n"
