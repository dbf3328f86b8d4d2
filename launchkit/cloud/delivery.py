"""Brings what jobs need to the bucket, before machines are bought for them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from launchkit.cloud.boot import Boot
from launchkit.cloud.depot import Depot
from launchkit.job import Job
from launchkit.outside.packs import Pack


class Delivery:
    """The packs of a sweep whose jobs are not in the bucket yet.

    Parameters
    ----------
    depot
        The sweep's place in the bucket.
    boot
        What machines are told; the archive and the packs are filled in.
    archive
        The sweep's archive.
    """

    def __init__(self, depot: Depot, boot: Boot, archive: Path) -> None:
        self._depot = depot
        self._boot = boot
        self._archive = archive
        self._coming: list[Job] = []
        self._batches: list[tuple[tuple[Pack, ...], tuple[Job, ...]]] = []

    @property
    def waiting(self) -> tuple[int, ...]:
        """The packs that wait for that."""
        return tuple(pack.num for packs, _ in self._batches for pack in packs)

    def hand_over(self, jobs: Collection[Job]) -> None:
        """Take jobs, whose packs are going to be added."""
        self._coming += jobs

    def add(self, packs: Sequence[Pack]) -> None:
        """Take packs, of the jobs that have been handed over before."""
        self._batches.append((tuple(packs), tuple(self._coming)))
        self._coming = []

    def remove(self, nums: Collection[int]) -> None:
        """Give packs up."""
        self._batches = [
            (tuple(pack for pack in packs if pack.num not in nums), jobs)
            for packs, jobs in self._batches
        ]

    def bring(self, busy: Iterable[frozenset[int]]) -> Iterator[tuple[tuple[Pack, ...], Boot]]:
        """Bring one batch after the other there; packs are given with what machines are told.

        A batch stays until the next one is asked for: what fails is brought anew by the next call.

        Parameters
        ----------
        busy
            The jobs that may still run: what has one of them stays, and all that follows. Two
            attempts of a job never run together.

        Raises
        ------
        StoreError
            If the bucket does not take it.
        """
        running = frozenset[int]().union(*busy)
        while self._batches:
            packs, jobs = self._batches[0]
            if any(job.num in running for job in jobs):
                return
            if packs:
                yield packs, self._bring(packs[0].num, jobs)
            self._batches.pop(0)

    def _bring(self, first: int, jobs: Sequence[Job]) -> Boot:
        if not self._boot.archive:
            key, sha256 = self._depot.put_archive(self._archive)
            self._boot = replace(self._boot, archive=key, sha256=sha256)
            self._depot.reopen()
        self._depot.put_shared()
        self._depot.put_batch(first, jobs)
        return replace(self._boot, batch=self._depot.batch_key(first))
