"""Jobs start as the places of the machine allow: the first that fits."""

from __future__ import annotations

import os

import pytest
from engine_helpers import PATIENCE_S
from pool_helpers import numbered, stop, wait_for_all

from launchkit.job import Needs
from launchkit.machine import processes
from launchkit.machine.placement import Places
from launchkit.machine.pool import Ended, Pool

SMALL, LARGE, NONE = Needs(gpus=1), Needs(gpus=2), Needs(gpus=0)


@pytest.fixture
def pool(make_pool, gates):
    return make_pool(Places(4, gpus=["0", "1"]), gates.pass_through)


def end(pool, gates, num):
    gates.open(num)
    assert pool.wait(PATIENCE_S) == [Ended(num, 0)]
    pool.wait(0.0)


def test_a_job_that_does_not_fit_lets_smaller_ones_pass(pool, gates):
    pool.add([*numbered([0], SMALL), *numbered([1], LARGE), *numbered([2], NONE)])
    pool.add(numbered([3], SMALL))
    pool.wait(0.0)
    assert (pool.running, pool.queued) == ((0, 2, 3), (1,))
    end(pool, gates, 0)
    assert pool.running == (2, 3)
    end(pool, gates, 3)
    assert pool.running == (2, 1)
    end(pool, gates, 2)
    end(pool, gates, 1)


def test_of_those_that_need_the_same_the_first_comes_first(pool, gates):
    pool.add([*numbered([0], LARGE), *numbered([5, 1], SMALL), *numbered([4, 3], NONE)])
    pool.wait(0.0)
    assert pool.running == (0, 4, 3)
    end(pool, gates, 0)
    assert pool.running == (4, 3, 5, 1)
    for num in (4, 3, 5, 1):
        end(pool, gates, num)


def test_between_kinds_of_needs_the_one_added_first_comes_first(pool, gates):
    pool.add([*numbered([0], LARGE), *numbered([1], SMALL), *numbered([2], LARGE)])
    pool.wait(0.0)
    assert pool.running == (0,)
    end(pool, gates, 0)
    assert pool.running == (1,)
    end(pool, gates, 1)
    assert pool.running == (2,)
    end(pool, gates, 2)


def test_a_job_that_is_added_again_waits_at_the_end(make_pool, gates):
    # A retry.
    pool = make_pool(1, gates.pass_through)
    pool.add(numbered([0, 1]))
    pool.wait(0.0)
    gates.open(0)
    assert pool.wait(PATIENCE_S) == [Ended(0, 0)]
    pool.add(numbered([0]))
    pool.wait(0.0)
    assert (pool.running, pool.queued) == ((1,), (0,))
    gates.open(1)
    gates.open(0)
    assert wait_for_all(pool) == {0: 0, 1: 0}


def test_one_that_was_forgotten_and_added_again_starts_once(make_pool, gates):
    pool = make_pool(1, gates.pass_through)
    pool.add(numbered([0, 1, 2]))
    pool.wait(0.0)
    assert pool.remove([1, 7]) == [1]
    pool.add(numbered([1]))
    for num in (0, 2, 1):
        gates.open(num)
    ends = []
    while pool.running or pool.queued:
        ends += [ended.num for ended in pool.wait(PATIENCE_S)]
    assert sorted(ends) == [0, 1, 2]


def test_a_place_is_free_again_however_its_job_ended():
    places, seen = Places(1, gpus=["0"]), []

    def start(job, place):
        seen.append(place.gpus)
        return processes.fork(lambda: os.kill(os.getpid(), 9) if job.num else 3)

    pool = Pool(places, start)
    pool.add(numbered([0, 1, 2]))
    assert wait_for_all(pool) == {0: 3, 1: -9, 2: -9}
    assert seen == [("0",)] * 3


def test_jobs_that_run_together_have_gpus_of_their_own(gates):
    seen = {}

    def start(job, place):
        seen[job.num] = place.gpus
        return processes.fork(lambda: gates.pass_through(job.num))

    pool = Pool(Places(gpus=["0", "1", "2"]), start)
    pool.add([*numbered([0], LARGE), *numbered([1, 2], SMALL)])
    pool.wait(0.0)
    try:
        assert seen == {0: ("0", "1"), 1: ("2",)}
        end(pool, gates, 0)
        assert seen[2] == ("0",)
    finally:
        stop(pool, pool.running, 0.0)
