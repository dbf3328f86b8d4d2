"""How the jobs of a multirun take the places of those of a sweep that is resumed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from hydra_plugins.launchkit_launcher._differences import Before
from hydra_plugins.launchkit_launcher._task import HydraTask
from launchkit import masking
from launchkit.job import Job
from launchkit.sweep import Sweep, SweepError

SHOWN = 5
NAMED = 4


@dataclass(frozen=True)
class TakenUp:
    """The jobs of a batch of a resumed sweep.

    Parameters
    ----------
    jobs
        The jobs, each in the directory it had.
    changed
        The numbers of those that are not what they were.
    """

    jobs: tuple[Job, ...]
    changed: frozenset[int] = frozenset()


def take_up(
    sweep: Sweep, jobs: Sequence[Job], task: HydraTask, size: int | None, *, force: bool
) -> TakenUp:
    """Put the jobs of a batch in the places of those that the sweep has.

    Parameters
    ----------
    sweep
        The sweep, as it was begun.
    jobs
        The jobs as they are now.
    task
        What makes their configs; jobs that keep their directories are pinned in it.
    size
        How many jobs there are in all batches; None where the sweeper knows only at its end.
    force
        Whether jobs may be others than they were.

    Raises
    ------
    SweepError
        If they are others, and may not be.
    """
    before = Before(sweep)
    placed = tuple(_placed(before, job, task) for job in jobs)
    task.pinned.update(new.num for new, job in zip(placed, jobs, strict=True) if new != job)
    differences = {
        job.num: text
        for job in placed
        if job.num in before.jobs and (text := before.difference(job, task.recipes[job.num]))
    }
    if not force:
        unknown = [job for job in placed if job.num not in before.jobs]
        new = {job.num: f"new: {_masked(job)}" for job in unknown if _is_new(sweep, job, size)}
        _refuse(sweep, size, {**differences, **new})
    return TakenUp(placed, frozenset(differences))


def _placed(before: Before, job: Job, task: HydraTask) -> Job:
    """Return a job in the directory it had, unless the words for its name have changed."""
    old = before.jobs.get(job.num)
    if old is None or old.directory == job.directory or old.overrides != job.overrides:
        return job
    if not before.keeps_directory(job.num, task.recipes[job.num]):
        return job
    return replace(job, directory=old.directory)


def _is_new(sweep: Sweep, job: Job, size: int | None) -> bool:
    """Tell whether a job is not one of a batch that was never launched."""
    return size is not None and (sweep.size is None or job.num >= sweep.size)


def _refuse(sweep: Sweep, size: int | None, differences: Mapping[int, str]) -> None:
    lines = []
    had = len(sweep.jobs) if sweep.size is None else sweep.size
    if size is not None and size != had:
        lines.append(f"it had {had} job{'s' * (had != 1)}, and now there are {size}")
    groups: dict[str, list[int]] = {}
    for num, text in sorted(differences.items()):
        groups.setdefault(text, []).append(num)
    for text, nums in [*groups.items()][:SHOWN]:
        lines.append(f"{_named(nums)}: {text}")
    if len(groups) > SHOWN:
        rest = [num for nums in [*groups.values()][SHOWN:] for num in nums]
        lines.append(f"… and others in {_named(rest)}")
    if lines:
        raise SweepError(
            f"{sweep.directory} was begun with other jobs:\n"
            + "\n".join(f"  {line}" for line in "\n".join(lines).splitlines())
            + "\nRun it as it was; or set hydra.launcher.force=true, and jobs that differ run as "
            "they are now, completed ones too"
        )


def _named(nums: Sequence[int]) -> str:
    if len(nums) == 1:
        return f"job {nums[0]}"
    more = f" and {len(nums) - NAMED} more" if len(nums) > NAMED else ""
    return f"jobs {', '.join(map(str, nums[:NAMED]))}{more}"


def _masked(job: Job) -> str:
    return " ".join(map(masking.mask_override, job.overrides)) or "-"
