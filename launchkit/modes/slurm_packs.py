"""What the modes share whose packs are tasks of Slurm: the scripts, and the packs."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from launchkit.job import Job, Needs
from launchkit.modes import contained
from launchkit.modes.baggage import Baggage
from launchkit.modes.base import Plan
from launchkit.modes.carried import CarriedMode
from launchkit.outside import packs, singularity, slurm, slurm_script
from launchkit.outside.asks import ON_SIGNAL
from launchkit.outside.containers import Container
from launchkit.outside.packs import Pack
from launchkit.outside.scripts import LOGS, bare_script, run_script
from launchkit.outside.singularity_script import singularity_script
from launchkit.outside.slurm_arrays import Array, arrays
from launchkit.outside.slurm_settings import SlurmSettings
from launchkit.sweep import Sweep
from launchkit.task import Task


class SlurmPacksMode(CarriedMode[SlurmSettings]):
    """The part of a mode that is the same whether its array is submitted here or carried away."""

    Settings = SlurmSettings

    first_pythons: Sequence[str] = ()
    """Pythons that are looked for before others, without an image."""

    max_array_size = slurm.MAX_ARRAY_SIZE
    """How many tasks an array may have."""

    def describe(self, jobs: Sequence[Job]) -> list[str]:
        """Say how many tasks there are, and what each is."""
        settings = self.settings
        for job in jobs:
            settings.check_job(job)
        tasks = len(self._groups(jobs))
        each = f"up to {settings.jobs_per_task} jobs" if settings.packs else "a job"
        limit = f", {settings.array_parallelism} at a time" if settings.array_parallelism else ""
        where = settings.image or settings.python or "the nodes' own Python"
        return [f"{tasks} task{'s' * (tasks != 1)} of Slurm, {each} each{limit}: {where}"]

    def scripts(self, baggage: Baggage, sweep: Sweep, roots: Sequence[Path]) -> dict[str, str]:
        """Return the scripts that run a pack, in a container where there is an image."""
        settings = self.settings
        where = "the node" if settings.image is None else f"image {settings.image!r}"
        run = run_script(
            settings.python, settings.env, settings.setup_commands, where, self.first_pythons
        )
        if settings.image is None:
            return {"final_script.sh": bare_script(), "run.sh": run}
        made = self.container(baggage, roots)
        made = replace(made, env=(ON_SIGNAL, *made.env))
        return {"final_script.sh": singularity_script(made), "run.sh": run}

    def container(self, baggage: Baggage, roots: Sequence[Path]) -> Container:
        """Return what the containers are like, as the nodes find what is in them."""
        made = contained.container(self.settings, baggage, roots)
        return replace(made, image=singularity.located(made.image))

    def plan(self, sweep: Sweep, jobs: Sequence[Job], task: Task) -> Plan:
        """Add the array's script and the commands that submit it."""
        plan = super().plan(sweep, jobs, task)
        groups = enumerate(self._groups(jobs))
        made = [Pack(num, group, needs=needs) for num, (group, needs) in groups]
        lines = [f"{slurm_script.FILE}:"]
        lines += [f"  | {line}" for line in self.array_script(sweep).splitlines()]
        lines += [
            shlex.join(["sbatch", *self.arguments(sweep, array)])
            for array in arrays(made, self.max_array_size, self.settings.array_parallelism)
        ]
        return replace(plan, details=(*plan.details, *lines))

    def make_packs(self, sweep: Sweep, jobs: Sequence[Job]) -> list[Pack]:
        """Put jobs into packs, those that need the same beside each other."""
        groups = self._groups(jobs)
        (sweep.own / LOGS).mkdir(exist_ok=True, mode=0o700)
        made = packs.add(sweep, [group for group, _ in groups], self.settings.places())
        return [replace(pack, needs=needs) for pack, (_, needs) in zip(made, groups, strict=True)]

    def array_script(self, sweep: Sweep) -> str:
        """Return what each task runs."""
        raise NotImplementedError

    def arguments(self, sweep: Sweep, array: Array) -> list[str]:
        """Return the arguments of ``sbatch`` for an array."""
        return [
            *self.flags(sweep, array.packs[0].needs),
            array.flag,
            self.script_path(sweep),
            str(array.first),
        ]

    def flags(self, sweep: Sweep, needs: Needs) -> list[str]:
        """Return the flags of ``sbatch`` that do not say which tasks there are."""
        # What a task prints before it can say where is of no use to anybody later.
        own = [f"--job-name={name_of(sweep)}", "--output=/dev/null"]
        return [*own, *self.settings.flags(needs)]

    def script_path(self, sweep: Sweep) -> str:
        """Return the path of the array's script as ``sbatch`` gets it."""
        return str(sweep.own / slurm_script.FILE)

    def _groups(self, jobs: Sequence[Job]) -> list[tuple[tuple[int, ...], Needs]]:
        """Return the jobs' numbers as they are packed, and what each pack needs."""
        if not self.settings.packs:
            ordered = sorted(jobs, key=lambda job: (job.needs.gpus or -1, job.needs.cpus or -1))
            return [((job.num,), job.needs) for job in ordered]
        size = self.settings.jobs_per_task
        nums = [job.num for job in jobs]
        return [(tuple(nums[at : at + size]), Needs()) for at in range(0, len(nums), size)]


def name_of(sweep: Sweep) -> str:
    """Return what a sweep's arrays are called in Slurm."""
    return f"launchkit-{sweep.id}"
