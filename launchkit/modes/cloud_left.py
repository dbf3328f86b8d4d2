"""Ends the machines that a killed launcher has left, and brings home what their jobs wrote."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from launchkit import files
from launchkit.cloud.bucket_exchange import FETCHERS, BucketExchange
from launchkit.cloud.depot import Depot
from launchkit.cloud.ends import end_all
from launchkit.cloud.ledger import Ledger
from launchkit.cloud.providers import Provider
from launchkit.job import Job, JobState
from launchkit.modes.base import known_state
from launchkit.outside import packs
from launchkit.sweep import Sweep, SweepError

END_S = 180.0
"""How long it may take a machine to be gone that was ended."""
UNSURE_S = 60.0
"""For how long after a request was begun its machines may yet appear in the provider's list."""


def end_left(sweep: Sweep, provider: Provider, depot: Depot, ledger: Ledger) -> None:
    """End the machines of a sweep that nobody drives, and bring home what they wrote.

    Parameters
    ----------
    sweep
        The sweep.
    provider
        Who rents them out.
    depot
        The sweep's place in the bucket.
    ledger
        What was bought.

    Raises
    ------
    SweepError
        If somebody drives it elsewhere, or machines do not end.
    StoreError, ProviderError
        If the bucket or the provider does not answer as it should.
    """
    lease = depot.lease()
    if lease is not None and lease.is_elsewhere(sweep.directory):
        raise SweepError(f"{sweep.directory}: the sweep is driven by {lease.describe()}")
    left = end_all(provider, ledger, sweep.id, END_S, UNSURE_S)
    if left:
        raise SweepError(
            f"{sweep.directory}: {', '.join(machine.id for machine in left)} do not end; "
            "try again in a minute"
        )
    reclaimed = {each.pack for each in provider.machines(sweep.id) if each.reclaimed}
    undecided = [job for job in sweep.jobs if not known_state(job).state.final]
    with ThreadPoolExecutor(FETCHERS) as pool:
        for pack in depot.looks():
            exchange = BucketExchange(sweep, depot, pool, pack)
            nums = packs.find(sweep, pack).jobs
            jobs = [job for job in undecided if job.num in nums]
            exchange.adopt(jobs)
            with contextlib.nullcontext() if pack in reclaimed else _not_taken_back(jobs):
                exchange.look([pack])


@contextlib.contextmanager
def _not_taken_back(jobs: Sequence[Job]) -> Iterator[None]:
    """Leave jobs in the state they had, where a machine takes its end for the provider's doing.

    It was ended from here, which is all that a machine cannot tell.
    """
    paths = {job: (job.own / "state.json", job.own / "events.jsonl") for job in jobs}
    before = {path: path.read_bytes() for each in paths.values() for path in each if path.exists()}
    yield
    for job in jobs:
        if known_state(job).state is JobState.PREEMPTED:
            for path in paths[job]:
                if path not in before:
                    path.unlink(missing_ok=True)
                    continue
                with files.atomic_writer(path, mode=0o600) as stream:
                    stream.write(before[path])
