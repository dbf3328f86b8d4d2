"""What jobs leave running is ended, wherever it has gone, and nothing else is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from engine_helpers import PATIENCE_S, is_alive, run_python, wait_until
from pool_helpers import block, family, numbered, start_family, stop, wait_for_all, wait_for_text

from launchkit import process_table
from launchkit.machine import processes
from launchkit.machine.placement import Places
from launchkit.machine.pool import Pool

SUBREAPER = """
import ctypes
def is_subreaper():
    value = ctypes.c_int()
    assert ctypes.CDLL(None).prctl(37, ctypes.byref(value), 0, 0, 0) == 0
    return bool(value.value)
"""


def daemonize(path):
    """Start a process that has nothing to do with this one any more, as daemons do."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            block(path)
        os._exit(0)
    os.wait()
    wait_for_text(path)


def test_a_daemon_that_a_job_has_started_ends_with_it(make_pool, tmp_path):
    def run(num):
        daemonize(tmp_path / "daemon")
        return 3

    pool = make_pool(1, run)
    pool.add(numbered([0]))
    assert wait_for_all(pool) == {0: 3}
    # It has been seen to end, too: nobody is left for somebody else to wait for.
    assert not os.path.exists(f"/proc/{wait_for_text(tmp_path / 'daemon')}")


def test_a_daemon_of_a_job_that_is_killed_ends_with_it(make_pool, tmp_path):
    def run(num):
        daemonize(tmp_path / "daemon")
        block(tmp_path / "job")

    pool = make_pool(1, run)
    pool.add(numbered([0]))
    pool.wait(0.0)
    os.kill(int(wait_for_text(tmp_path / "job")), signal.SIGKILL)
    assert wait_for_all(pool) == {0: -signal.SIGKILL}
    pid = int(wait_for_text(tmp_path / "daemon"))
    wait_until(lambda: not is_alive(pid), "the daemon to end")


def test_the_end_of_one_job_is_not_that_of_anothers_daemon(make_pool, gates, tmp_path):
    def run(num):
        daemonize(tmp_path / f"daemon{num}")
        return gates.pass_through(num)

    pool = make_pool(2, run)
    pool.add(numbered([0, 1]))
    pool.wait(0.0)
    daemons = [int(wait_for_text(tmp_path / f"daemon{num}")) for num in (0, 1)]
    gates.open(0)
    pool.wait(PATIENCE_S)
    wait_until(lambda: not is_alive(daemons[0]), "the first daemon to end")
    assert is_alive(daemons[1])
    gates.open(1)
    pool.wait(PATIENCE_S)
    wait_until(lambda: not is_alive(daemons[1]), "the second daemon to end")


def test_children_that_the_launcher_had_before_are_left_alone(make_pool, tmp_path):
    up = "print('up', flush=True); import time; time.sleep(900)"
    bystanders = [
        subprocess.Popen([sys.executable, "-c", up], stdout=subprocess.PIPE, start_new_session=own)
        for own in (False, True)
    ]
    try:
        for bystander in bystanders:
            bystander.stdout.readline()
        pool = make_pool(2, lambda num: start_family(tmp_path) or num)
        pool.add(numbered([0]))
        assert wait_for_all(pool) == {0: 0}
        wait_until(lambda: not any(map(is_alive, family(tmp_path))), "the family to end")
        assert [bystander.poll() for bystander in bystanders] == [None, None]
    finally:
        for bystander in bystanders:
            bystander.kill()
            bystander.communicate()


def test_no_zombie_is_left(make_pool, tmp_path):
    before = process_table.children()
    pool = make_pool(2, lambda num: daemonize(tmp_path / str(num)) or 0)
    pool.add(numbered(range(6)))
    wait_for_all(pool)
    assert process_table.children() == before


def test_a_job_whose_request_to_stop_was_lost_is_asked_again(make_pool, tmp_path):
    def run(num):
        asked = []

        def note(*_):
            asked.append(1)
            (tmp_path / f"asked{num}").write_text(f"{len(asked)}\n")
            if len(asked) == 2:
                os._exit(9)

        signal.signal(signal.SIGTERM, note)
        block(tmp_path / str(num))

    pool = make_pool(1, run)
    pool.add(numbered([0]))
    pool.wait(0.0)
    wait_for_text(tmp_path / "0")
    # The first request is lost, as it is in a callback of the interpreter; so it is asked again.
    assert [end.code for end in stop(pool, [0], 1000.0)] == [9]
    assert (tmp_path / "asked0").read_text() == "2\n"


@pytest.mark.parametrize("jobs", [0, 3, 20])
def test_orphans_of_others_are_taken_in_only_while_jobs_run(jobs):
    program = f"""{SUBREAPER}
from pathlib import Path
from launchkit.machine import processes
from launchkit.job import Job
from launchkit.machine.placement import Places
from launchkit.machine.pool import Pool
seen = []
def start(job, place):
    seen.append(is_subreaper())
    return processes.fork(lambda: 0)
pool = Pool(Places(2), start)
pool.add([Job(num, (), Path()) for num in range({jobs})])
while pool.running or pool.queued:
    pool.wait(10.0)
print(seen, is_subreaper())
"""
    assert run_python(program) == f"{[True] * jobs} False\n"


def test_a_job_that_has_had_a_sweep_of_its_own_still_ends_with_all_it_starts(make_pool, tmp_path):
    def run(num):
        inner = Pool(Places(1), lambda job, place: processes.fork(lambda: 0))
        inner.add(numbered([0]))
        assert wait_for_all(inner) == {0: 0}
        daemonize(tmp_path / "daemon")
        # It is this job's child, and not that of the launcher.
        return int(int(wait_for_text(tmp_path / "daemon")) not in process_table.children())

    pool = make_pool(1, run)
    pool.add(numbered([0]))
    assert wait_for_all(pool) == {0: 0}
    pid = int(wait_for_text(tmp_path / "daemon"))
    wait_until(lambda: not is_alive(pid), "the daemon to end")


def test_a_fork_is_a_subreaper_and_dies_with_its_launcher(tmp_path):
    program = f"""{SUBREAPER}
import os, signal, sys
from launchkit.machine import processes
def run():
    with open(sys.argv[1], "w") as stream:
        stream.write(f"{{os.getpid()}} {{is_subreaper()}}\\n")
    signal.pause()
processes.fork(run)
while not (os.path.exists(sys.argv[1]) and open(sys.argv[1]).read().endswith("\\n")):
    pass
os._exit(0)
"""
    run_python(program, tmp_path / "child")
    pid, subreaper = (tmp_path / "child").read_text().split()
    assert subreaper == "True"
    wait_until(lambda: not is_alive(int(pid)), "the child to end")
