"""What the modes share that run jobs in containers on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from pathlib import Path, PurePosixPath
from typing import ClassVar

from launchkit.job import Job
from launchkit.machine.placement import GPU_VARIABLE, find_gpus
from launchkit.machine.slots import Slots
from launchkit.modes.baggage import Baggage
from launchkit.modes.base import Plan
from launchkit.modes.carried import roots_of
from launchkit.outside import packs
from launchkit.outside.containers import Container, Mount
from launchkit.outside.packs import Pack
from launchkit.outside.scripts import run_script
from launchkit.outside.settings import Outside
from launchkit.outside.slurm_settings import SlurmSettings
from launchkit.outside.trial import (
    Run,
    check_container,
    check_names,
    check_overlaps,
    input_mounts,
)
from launchkit.policy import check_whole
from launchkit.sweep import Sweep


@dataclass(frozen=True, kw_only=True)
class Contained(Outside, Slots):
    """The settings of a mode that runs jobs in containers on this machine.

    Parameters
    ----------
    jobs_per_container
        How many jobs run in a container, one after the other.

    Raises
    ------
    ValueError
        If a setting is wrong.
    """

    jobs_per_container: int = 1

    EXAMPLE: ClassVar[str]
    """What `image` may be."""

    def __post_init__(self) -> None:
        Outside.__post_init__(self)
        Slots.__post_init__(self)
        check_whole("jobs_per_container", self.jobs_per_container, 1)
        if self.image is None:
            raise ValueError(f"image is not set; name one, such as {self.EXAMPLE}")

    @property
    def image_name(self) -> str:
        """The image, which is set."""
        assert self.image is not None
        return self.image


def describe(settings: Contained, jobs: Sequence[Job]) -> list[str]:
    """Return how many containers there are at a time, in words.

    Raises
    ------
    ValueError
        If a job needs more than this machine has.
    """
    places = settings.places()
    for job in jobs:
        places.check(job)
    many = settings.jobs_per_container
    each = "a container each" if many == 1 else f"up to {many} in a container, in turn"
    return [f"{places.describe()} on this machine, {each}: {settings.image}"]


def run_sh(settings: Contained) -> str:
    """Return the script that starts Python in a container."""
    where = f"image {settings.image!r}"
    return run_script(settings.python, settings.env, settings.setup_commands, where)


def make_packs(settings: Contained, sweep: Sweep, jobs: Sequence[Job]) -> list[Pack]:
    """Put jobs that need the same into packs, a container each."""
    groups = [[job] for job in jobs]
    if settings.jobs_per_container > 1:
        groups = [
            group
            for _, alike in groupby(sorted(jobs, key=_needed), key=_needed)
            for group in _shares(list(alike), settings)
        ]
    made = packs.add(sweep, [[job.num for job in group] for group in groups], {"n_jobs": 1})
    return [replace(pack, needs=group[0].needs) for pack, group in zip(made, groups, strict=True)]


def _shares(jobs: list[Job], settings: Contained) -> list[list[Job]]:
    """Share jobs out among as few containers as may be, and no fewer than run at a time."""
    fewest = -(-len(jobs) // settings.jobs_per_container)
    many = max(fewest, min(settings.places().many, len(jobs)))
    ends = [len(jobs) * num // many for num in range(many + 1)]
    return [jobs[first:end] for first, end in pairwise(ends)]


def _needed(job: Job) -> tuple[int, int]:
    return (-1 if job.needs.gpus is None else job.needs.gpus, job.needs.cpus or -1)


def container(
    settings: Contained | SlurmSettings, baggage: Baggage | None, roots: Sequence[Path]
) -> Container:
    """Return what a sweep's containers are like.

    Parameters
    ----------
    settings
        The settings.
    baggage
        What goes along; None if that is not known any more.
    roots
        Directories beside the sweep's own that jobs write to.

    Raises
    ------
    ValueError
        If an input is not there.
    """
    written = tuple(Mount(str(root), str(root), writable=True) for root in roots)
    # Where jobs write among the code, they see it as it is.
    hidden = {mount.target for mount in written}
    code = baggage.mounts() if baggage is not None else ()
    mounts = (
        *written,
        *(mount for mount in code if mount.target not in hidden),
        *input_mounts(settings),
    )
    return Container(
        image=settings.image_name,
        # What is mounted first is hidden by what is mounted around it then.
        mounts=tuple(sorted(mounts, key=lambda mount: len(PurePosixPath(mount.target).parts))),
        workdir=baggage.workdir() if baggage is not None else "/tmp",  # noqa: S108 - of the container
        env=tuple(name for name, value in settings.env.items() if value is None),
        args=tuple(settings.container_args),
        gpus=settings.gives_gpus,
    )


def check(
    settings: Contained | SlurmSettings, plan: Plan, baggage: Baggage | None, run: Run
) -> None:
    """See to it that the containers of a sweep can be started, and can run its jobs.

    Parameters
    ----------
    settings
        The settings.
    plan
        What is to be run.
    baggage
        What goes along; None if that is not known any more.
    run
        Runs a script in a container that sees no sweep.

    Raises
    ------
    ValueError
        If they cannot.
    """
    made = check_mounts(settings, plan, baggage)
    check_container(made, settings, run, whole=baggage is not None)


def check_mounts(
    settings: Contained | SlurmSettings, plan: Plan, baggage: Baggage | None
) -> Container:
    """Return what a sweep's containers are like; raise ValueError if that cannot be mounted."""
    roots = roots_of(plan.sweep, plan.jobs)
    written = [str(plan.sweep.directory), *map(str, roots)]
    made = container(settings, baggage, roots)
    check_names(
        [*written, *(path for known in made.mounts for path in (known.source, known.target))]
    )
    check_overlaps(input_mounts(settings), baggage.mounts() if baggage else (), written)
    return made


def all_gpus(settings: Contained) -> dict[str, str]:
    """Return the variable with all the GPUs that the settings give out, for a trial."""
    if not settings.gives_gpus:
        return {}
    named = settings.gpus
    if named is not None and not isinstance(named, str):
        return {GPU_VARIABLE: ",".join(map(str, named))}
    gpus = find_gpus()
    if not gpus:
        raise ValueError(
            f"gpus is {named!r} and gpus_per_job {settings.gpus_per_job!r}, and this machine has "
            "no GPU"
        )
    return {GPU_VARIABLE: ",".join(gpus)}
