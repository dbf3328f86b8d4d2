"""Which processes run, and which is which, though their ids are given again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
from engine_helpers import PATIENCE_S, environment, is_alive, run_python, wait_until

from launchkit import process_table


@pytest.fixture
def start():
    """Start programs that wait, and end them after the test."""
    started = []

    def start(program="", **options):
        process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                f"{program}\nprint('up', flush=True)\nimport time\ntime.sleep(900)",
            ],
            **{"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "text": True, **options},
        )
        started.append(process)
        said = process.stdout.readline().split()
        assert said[-1] == "up"
        process.pids = [int(pid) for pid in said[:-1]]
        return process

    yield start
    for process in started:
        for pid in [process.pid, *process.pids]:
            if is_alive(pid):
                os.kill(pid, signal.SIGKILL)
        process.communicate()


FAMILY = """
import os, time
told, tell = os.pipe()
child = os.fork()
if child == 0:
    grandchild = os.fork()
    if grandchild == 0:
        os.setsid()
        os.write(tell, b"x")
        time.sleep(900)
    print(os.getpid(), grandchild, end=" ", flush=True)
    os.write(tell, b"x")
    time.sleep(900)
os.read(told, 1), os.read(told, 1)
"""
"""Has a child, and a grandchild in a session of its own, and says who they are."""


def changed(known, **parts):
    """Return an identity with other parts: machine, pid, started."""
    machine, pid, started = known.rsplit(".", 2)
    old = {"machine": machine, "pid": pid, "started": started}
    return ".".join({**old, **parts}.values())


# Identity


def test_a_process_knows_itself(start):
    own = process_table.identity()
    assert own == process_table.identity(os.getpid())
    assert process_table.is_alive(own) is True
    assert process_table.here(own) == os.getpid()
    assert process_table.identity(start().pid) != own


def test_it_is_the_same_whoever_asks():
    own = process_table.identity()
    program = """
import sys
from launchkit.process_table import identity
print(identity(int(sys.argv[1])))
"""
    assert run_python(program, os.getpid()).strip() == own


def test_a_process_that_has_ended_is_not_alive(start):
    process = start()
    known = process_table.identity(process.pid)
    assert process_table.is_alive(known) is True
    process.kill()
    # It ended although nobody has taken note of it: a zombie keeps its id, and does nothing.
    wait_until(lambda: process_table.is_alive(known) is False, "the process to end")
    assert process_table.session_of(process.pid) is not None
    assert process_table.living([process.pid, os.getpid()]) == {os.getpid()}
    process.wait(PATIENCE_S)
    assert process_table.is_alive(known) is False
    assert process_table.session_of(process.pid) is None
    with pytest.raises(ProcessLookupError, match=f"no process {process.pid}"):
        process_table.identity(process.pid)


def test_an_id_that_was_given_again_is_another_process(start):
    known = process_table.identity(start().pid)
    started = int(known.rpartition(".")[2])
    for other in (started - 1, started + 1):
        assert process_table.is_alive(changed(known, started=str(other))) is False


def test_of_a_process_on_another_machine_nothing_is_known():
    own = process_table.identity()
    boot, _, namespace = own.rsplit(".", 2)[0].partition(".")
    elsewhere = [f"ffffffff.{namespace}", f"{boot}.1"]
    for machine in elsewhere:
        known = changed(own, machine=machine)
        assert process_table.is_alive(known) is None
        assert process_table.here(known) is None


def test_a_process_may_be_called_anything(start):
    process = start("open('/proc/self/comm', 'w').write(') Z 1 (')")
    assert process_table.is_alive(process_table.identity(process.pid)) is True


# Relations


def test_children_are_those_of_this_process_ended_ones_included(start):
    process = start(FAMILY)
    child, grandchild = process.pids
    assert process.pid in process_table.children()
    assert not process_table.children() & {child, grandchild, os.getpid()}
    process.kill()
    wait_until(lambda: not is_alive(process.pid), "the process to end")
    assert process.pid in process_table.children()
    process.wait(PATIENCE_S)
    assert process.pid not in process_table.children()


def test_a_tree_is_all_below_in_whatever_session(start):
    process = start(FAMILY)
    assert process_table.tree(process.pid) == {process.pid, *process.pids}
    assert process_table.tree(process.pids[0]) == set(process.pids)
    assert os.getpid() not in process_table.tree(process.pid)


def test_a_tree_has_what_is_left_of_a_session_whose_leader_has_ended(start):
    program = FAMILY.replace("os.setsid()", "pass")
    process = start(program, start_new_session=True)
    bystander = start()
    process.kill()
    process.wait(PATIENCE_S)
    # Nothing leads from one to the other any more, but the session.
    assert process_table.tree(process.pid) == {process.pid, *process.pids}
    assert bystander.pid not in process_table.tree(process.pid)


def test_processes_are_known_by_their_environment(start):
    value = f"test-{os.getpid()}-{time.monotonic_ns()}"
    tagged = start(FAMILY, env={**os.environ, "TAG": value})
    start(env={**os.environ, "TAG": f"{value}0", "TAG2": value})
    start()
    assert process_table.tagged("TAG", value) == {tagged.pid, *tagged.pids}
    assert process_table.tagged("TAG", "") == set()


MARKED = """
import os, sys, time
from launchkit import process_table
from launchkit.machine import processes
told, tell = os.pipe()
def start(become):
    pid = os.fork()
    if pid == 0:
        os.setsid()
        become()
        os.write(tell, b"x")
        time.sleep(900)
    os.read(told, 1)
    return pid
before = start(lambda: None)
with processes.marked("TAG", sys.argv[1]):
    marked = [os.getpid(), start(lambda: None), start(lambda: os.closerange(3, tell))]
    os.set_inheritable(tell, True)
    another = f"import os, time; os.write({tell}, b'x'); time.sleep(900)"
    program = start(lambda: os.execv(sys.executable, [sys.executable, "-c", another]))
after = start(lambda: None)
with processes.marked("TAG", sys.argv[1] + "0"):
    other = start(lambda: None)
print(before, program, after, other, *marked, end=" ")
"""


def test_forks_are_known_by_a_mark_whatever_they_let_go_of(start):
    value = f"test-{os.getpid()}-{time.monotonic_ns()}"
    program = MARKED.replace("sys.argv[1]", repr(value))
    process = start(program, env=environment())
    marked = process.pids[4:]
    assert marked[0] == process.pid
    assert all(map(is_alive, process.pids))
    # The program itself was marked for the time of the block.
    assert process_table.tagged("TAG", value) == set(marked[1:])
    assert process_table.tagged("TAG", f"{value}0") == {process.pids[3]}
