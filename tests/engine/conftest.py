"""What the tests of the engine share."""

from __future__ import annotations

import pytest
from pool_helpers import Gates, stop

from launchkit.machine import processes
from launchkit.machine.placement import Places
from launchkit.machine.pool import Pool
from launchkit.sweep import Sweep


@pytest.fixture
def gates():
    gates = Gates(8)
    yield gates
    gates.close()


@pytest.fixture
def make_pool():
    """Make a pool whose jobs are forks that run a function of their number."""
    pools = []

    def make(places, run):
        places = Places(places) if isinstance(places, int) else places
        pool = Pool(places, lambda job, place: processes.fork(lambda: run(job.num)))
        pools.append(pool)
        return pool

    yield make
    for pool in pools:
        pool.remove(pool.queued)
        stop(pool, pool.running, 0.0)


@pytest.fixture
def empty_sweep(tmp_path):
    """A sweep without jobs."""
    return Sweep.create(tmp_path / "sweep", mode="local", settings={}, command=["train.py", "-m"])
