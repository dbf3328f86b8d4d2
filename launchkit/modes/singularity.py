"""``local_singularity``: each job in a Singularity or Apptainer container on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from launchkit.doodad import launching
from launchkit.job import Job
from launchkit.machine.placement import Place, find_gpus
from launchkit.modes import contained
from launchkit.modes.baggage import Baggage
from launchkit.modes.base import Plan
from launchkit.modes.carried import CarriedMode
from launchkit.modes.carriers import Carriers, Clients
from launchkit.modes.contained import Contained
from launchkit.outside import singularity
from launchkit.outside.packs import Pack
from launchkit.outside.scripts import UNPACKED
from launchkit.outside.singularity import SingularityError
from launchkit.outside.singularity_script import IMAGE, is_remote, singularity_script
from launchkit.sweep import TAG, Sweep, SweepError


@dataclass(frozen=True, kw_only=True)
class SingularitySettings(Contained):
    """The settings of ``local_singularity``."""

    EXAMPLE: ClassVar[str] = "a .sif file, a folder, or docker://python:3.11-slim"


class SingularityMode(CarriedMode[SingularitySettings]):
    """Runs each job in a container of its own on this machine, with what users may run."""

    name = "local_singularity"
    Settings = SingularitySettings

    @classmethod
    def lacking(cls) -> list[str]:
        """Say whether Singularity or doodad is lacking."""
        return [*singularity.lacking(), *super().lacking()]

    def describe(self, jobs: Sequence[Job]) -> list[str]:
        """Say how many containers there are at a time."""
        return contained.describe(self.settings, jobs)

    def scripts(self, baggage: Baggage, sweep: Sweep, roots: Sequence[Path]) -> dict[str, str]:
        """Return the scripts that start a container, and Python in it."""
        settings = self.settings
        image = singularity.located(settings.image_name)
        container = replace(contained.container(settings, baggage, roots), image=image)
        return {
            "final_script.sh": singularity_script(container),
            "run.sh": contained.run_sh(settings),
        }

    def make_packs(self, sweep: Sweep, jobs: Sequence[Job]) -> list[Pack]:
        """Put jobs into packs, a container each."""
        return contained.make_packs(self.settings, sweep, jobs)

    def carriers(self, sweep: Sweep) -> Carriers:
        """Return the program's ``exec``, a process tree for each container."""
        return Clients(self.settings.places(), self._start)

    def check_there(self, plan: Plan, baggage: Baggage | None) -> None:
        """See to it that the image is here, and has a Python that will do."""
        settings = self.settings
        singularity.check()
        image = singularity.located(settings.image_name)
        if settings.gives_gpus and not find_gpus({}):
            raise SingularityError(
                f"gpus is {settings.gpus!r} and gpus_per_job {settings.gpus_per_job!r}, and this "
                "machine has no NVIDIA GPU"
            )
        variables = contained.all_gpus(settings)
        contained.check(
            settings,
            plan,
            baggage,
            lambda container, script: singularity.trial(
                replace(container, image=image), script, variables
            ),
        )

    def deliver(self, sweep: Sweep) -> None:
        """Unpack the archive, and fetch the image once for all jobs."""
        super().deliver(sweep)
        if is_remote(self.settings.image_name):
            try:
                singularity.fetch(self.settings.image_name, sweep.own / IMAGE)
            except SingularityError as error:
                raise SweepError(f"{sweep.directory}: {error}") from error

    def close(self, sweep: Sweep) -> None:
        """Remove the unpacked archive, and the image that was fetched."""
        super().close(sweep)
        (sweep.own / IMAGE).unlink(missing_ok=True)

    def end_left(self, sweep: Sweep) -> None:
        """Remove what a killed launcher has left; its processes are this machine's."""
        super().end_left(sweep)
        (sweep.own / IMAGE).unlink(missing_ok=True)

    def _start(self, pack: Pack, place: Place) -> int:
        assert self.sweep is not None
        return launching.start(
            [str(self.sweep.own / UNPACKED / "final_script.sh"), str(pack.num)],
            environment={**place.environment(), TAG: self.sweep.tag},
            output=self.new_log(self.sweep, pack.num),
        )
