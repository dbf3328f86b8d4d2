"""Jobs in processes of their own: so many at a time, and nothing left of them afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
from engine_helpers import PATIENCE_S, is_alive, wait_until
from pool_helpers import (
    block,
    family,
    numbered,
    start_family,
    stop,
    wait_for_all,
    wait_for_text,
)

from launchkit.interrupts import Interrupts
from launchkit.machine import processes
from launchkit.machine.placement import Places
from launchkit.machine.pool import Ended, Pool

SLEEPER = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(1000)"]


def test_there_are_never_more_processes_than_slots(make_pool, gates):
    pool = make_pool(2, gates.pass_through)
    pool.add(numbered(range(6)))
    assert pool.wait(0.0) == []
    for released, running in [(1, (0, 2)), (0, (2, 3)), (2, (3, 4)), (3, (4, 5)), (5, (4,))]:
        assert len(pool.running) == 2
        gates.open(released)
        assert pool.wait(PATIENCE_S) == [Ended(released, 0)]
        assert pool.running == running
    gates.open(4)
    assert pool.wait(PATIENCE_S) == [Ended(4, 0)]
    assert (pool.running, pool.queued) == ((), ())


def test_after_a_job_that_went_wrong_the_next_one_starts_when_it_is_waited_for(make_pool, gates):
    pool = make_pool(1, gates.pass_through)
    pool.add(numbered(range(2)))
    pool.wait(0.0)
    gates.open(0, code=3)
    assert pool.wait(PATIENCE_S) == [Ended(0, 3)]
    assert (pool.running, pool.queued) == ((), (1,))
    pool.wait(0.0)
    assert pool.running == (1,)
    gates.open(1)
    wait_for_all(pool)


def test_jobs_start_in_their_order_also_across_batches(make_pool, tmp_path):
    def run(num):
        with (tmp_path / "log").open("a") as log:
            log.write(f"{num} ")
        return 0

    pool = make_pool(1, run)
    pool.add(numbered([3, 1]))
    pool.add(numbered([2]))
    assert pool.queued == (3, 1, 2)
    assert wait_for_all(pool) == {1: 0, 2: 0, 3: 0}
    assert (tmp_path / "log").read_text() == "3 1 2 "


def test_how_each_ended_is_reported(make_pool):
    def run(num):
        if num < 0:
            os.kill(os.getpid(), -num)
        return num

    pool = make_pool(3, run)
    ends = [0, 3, 255, -signal.SIGKILL, -signal.SIGUSR1, -signal.SIGTERM]
    pool.add(numbered(ends))
    assert wait_for_all(pool) == {num: num for num in ends}


def test_a_wait_ends_in_time_though_no_job_does(make_pool, gates):
    pool = make_pool(1, gates.pass_through)
    pool.add(numbered([0]))
    begun = time.monotonic()
    assert pool.wait(0.05) == []
    assert 0.04 < time.monotonic() - begun < PATIENCE_S
    gates.open(0)
    assert wait_for_all(pool) == {0: 0}


def test_a_wait_without_jobs_returns_at_once(make_pool):
    begun = time.monotonic()
    assert make_pool(1, lambda num: num).wait(1000) == []
    assert time.monotonic() - begun < PATIENCE_S


def test_a_job_that_waits_can_be_forgotten(make_pool, gates):
    pool = make_pool(1, gates.pass_through)
    pool.add(numbered([0, 1, 2]))
    pool.wait(0.0)
    assert pool.remove([0, 1]) == [1]
    assert (pool.running, pool.queued) == ((0,), (2,))
    gates.open(0)
    gates.open(2)
    assert wait_for_all(pool) == {0: 0, 2: 0}


def test_with_a_job_ends_all_that_it_started(make_pool, tmp_path):
    def run(num):
        start_family(tmp_path)
        block(tmp_path / "job")

    pool = make_pool(1, run)
    pool.add(numbered([0]))
    pool.wait(0.0)
    pids = [int(wait_for_text(tmp_path / "job")), *family(tmp_path)]
    assert all(is_alive(pid) for pid in pids)
    assert stop(pool, [0], 30.0) == [Ended(0, -signal.SIGTERM)]
    wait_until(lambda: not any(is_alive(pid) for pid in pids), "the job's processes to end")


def test_what_a_finished_job_left_running_is_ended(make_pool, tmp_path):
    def run(num):
        start_family(tmp_path)
        return 5

    pool = make_pool(1, run)
    pool.add(numbered([0]))
    assert wait_for_all(pool) == {0: 5}
    pids = family(tmp_path)
    wait_until(lambda: not any(is_alive(pid) for pid in pids), "the leftovers to end")


def test_a_job_that_ignores_the_request_is_killed_after_the_grace(make_pool, tmp_path):
    def run(num):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        block(tmp_path / "job")

    pool = make_pool(1, run)
    pool.add(numbered([0]))
    pool.wait(0.0)
    wait_for_text(tmp_path / "job")
    begun = time.monotonic()
    assert stop(pool, [0], 0.2) == [Ended(0, -signal.SIGKILL)]
    assert time.monotonic() - begun >= 0.2


def test_a_job_has_the_grace_to_end_by_itself(make_pool, tmp_path):
    def run(num):
        def stop(*_):
            (tmp_path / "saved").write_text("all\n")
            os._exit(7)

        signal.signal(signal.SIGTERM, stop)
        block(tmp_path / "job")

    pool = make_pool(1, run)
    pool.add(numbered([0]))
    pool.wait(0.0)
    wait_for_text(tmp_path / "job")
    begun = time.monotonic()
    assert stop(pool, [0], 1000.0) == [Ended(0, 7)]
    assert time.monotonic() - begun < PATIENCE_S
    assert (tmp_path / "saved").read_text() == "all\n"


def test_a_job_that_has_just_been_started_hears_the_request(make_pool):
    # A fork begins with the launcher's handler, and Python forgets what came before its own.
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        for _ in range(10):
            pool = make_pool(2, lambda num: signal.pause())
            pool.add(numbered([0, 1]))
            pool.wait(0.0)
            ended = stop(pool, [0, 1], 5.0)
            assert {end.code for end in ended} == {-signal.SIGTERM}
    finally:
        signal.signal(signal.SIGTERM, before)


def test_an_interrupt_while_a_job_starts_leaves_it_known():
    def start(job, place):
        os.kill(os.getpid(), signal.SIGINT)
        return processes.fork(lambda: signal.pause())

    pool = Pool(Places(1), start)
    pool.add(numbered([0]))
    with Interrupts() as interrupts:
        with pytest.raises(KeyboardInterrupt):
            pool.wait(PATIENCE_S)
        assert interrupts.count == 1
        assert pool.running == (0,)
        assert stop(pool, [0], 5.0) == [Ended(0, -signal.SIGTERM)]


def test_nothing_else_is_ended(make_pool, tmp_path):
    bystanders = [
        subprocess.Popen(SLEEPER, stdout=subprocess.PIPE, start_new_session=own)
        for own in (False, True)
    ]
    try:
        for bystander in bystanders:
            bystander.stdout.readline()
        pool = make_pool(3, lambda num: block(tmp_path / str(num)))
        pool.add(numbered([0, 1, 2]))
        pool.wait(0.0)
        pids = [int(wait_for_text(tmp_path / str(num))) for num in range(3)]
        ended = stop(pool, [0, 2, 99], 30.0)
        assert {end.num for end in ended} == {0, 2}
        assert pool.running == (1,)
        assert [is_alive(pid) for pid in pids] == [False, True, False]
        assert [bystander.poll() for bystander in bystanders] == [None, None]
    finally:
        for bystander in bystanders:
            bystander.kill()
            bystander.communicate()


def test_every_end_is_reported_once_though_many_come_together(make_pool):
    pool = make_pool(4, lambda num: num)
    pool.add(numbered(range(40)))
    reports = []
    while pool.running or pool.queued:
        reports += pool.wait(PATIENCE_S)
    assert sorted(end.num for end in reports) == list(range(40))
    assert all(end.num == end.code for end in reports)


def test_no_descriptor_is_left_open(make_pool):
    def count():
        return len(os.listdir("/proc/self/fd"))

    pool = make_pool(2, lambda num: 0)
    pool.add(numbered([0]))
    wait_for_all(pool)
    before = count()
    pool.add(numbered(range(10)))
    wait_for_all(pool)
    assert count() == before
