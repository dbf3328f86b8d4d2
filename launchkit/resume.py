"""Which jobs of a sweep are run when it is resumed, and what they run."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, ClassVar

from launchkit import payload
from launchkit.job import Attempt, Job, JobState
from launchkit.runner import Work
from launchkit.standing import standing
from launchkit.sweep import Sweep
from launchkit.task import Task


@dataclass(frozen=True)
class SavedTask:
    """The tasks of a sweep's batches, as they were saved in its directory.

    Parameters
    ----------
    tasks
        What each job runs, by its number.
    """

    tasks: dict[int, Task]
    saved: ClassVar[bool] = True

    def run(self, job: Job) -> Any:
        """Run one job."""
        return self.tasks[job.num].run(job)


def work_of(
    sweep: Sweep,
    *,
    only: Collection[int] | None = None,
    failed: bool = False,
    again: bool = False,
    changed: Collection[int] = (),
    other_versions: bool = False,
) -> Work:
    """Return what is to be run of a sweep that has been begun.

    Parameters
    ----------
    sweep
        The sweep.
    only
        The numbers of the jobs to take; None for all.
    failed
        Whether to take only jobs that failed, timed out, were preempted or got lost.
    again
        Whether to take completed jobs as well.
    changed
        The numbers of jobs to take even if they have completed.
    other_versions
        Whether packages of other versions than those the sweep was begun with will do.

    Raises
    ------
    ValueError
        If there is no job of a number in `only`.
    PayloadError
        If what the jobs run cannot be read.
    """
    jobs = _chosen(sweep, only, standing(sweep), failed=failed, again=again, changed=changed)
    batches = payload.batches(sweep)
    loaded: dict[int, Task] = {}
    tasks = {}
    for job in jobs:
        first = payload.batch_of(job.num, batches)
        if first not in loaded:
            loaded[first] = payload.load(sweep, first, other_versions=other_versions)
        tasks[job.num] = loaded[first]
    return Work(
        sweep,
        jobs,
        SavedTask(tasks),
        resumed=True,
        again=again,
        changed=frozenset(changed),
        saved=True,
    )


def _chosen(
    sweep: Sweep,
    only: Collection[int] | None,
    attempts: dict[int, Attempt],
    *,
    failed: bool,
    again: bool,
    changed: Collection[int],
) -> tuple[Job, ...]:
    unknown = sorted(set(only or ()) - {job.num for job in sweep.jobs})
    if unknown:
        raise ValueError(f"{sweep.directory} has no job {unknown[0]}; it has {len(sweep.jobs)}")
    return tuple(
        job
        for job in sweep.jobs
        if (only is None or job.num in only)
        and (job.num in changed or _wants(attempts[job.num].state, failed, again))
    )


def _wants(state: JobState, failed: bool, again: bool) -> bool:
    if failed:
        return state.bad and state is not JobState.CANCELLED
    return again or state is not JobState.COMPLETED
