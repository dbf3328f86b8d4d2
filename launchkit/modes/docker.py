"""``local_docker``: each job in a Docker container of its own on this machine."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from launchkit.doodad import launching
from launchkit.job import Job
from launchkit.machine.placement import Place
from launchkit.modes import contained
from launchkit.modes.baggage import Baggage
from launchkit.modes.base import Plan
from launchkit.modes.carried import CarriedMode
from launchkit.modes.carriers import Carriers, Clients
from launchkit.modes.contained import Contained
from launchkit.outside import docker
from launchkit.outside.containers import LABEL, USER, docker_script
from launchkit.outside.docker import DockerError
from launchkit.outside.packs import Pack
from launchkit.outside.scripts import UNPACKED
from launchkit.sweep import TAG, Sweep, SweepError

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class DockerSettings(Contained):
    """The settings of ``local_docker``."""

    EXAMPLE: ClassVar[str] = "python:3.11-slim"


class DockerMode(CarriedMode[DockerSettings]):
    """Runs jobs in Docker containers on this machine, a container each if not told otherwise."""

    name = "local_docker"
    Settings = DockerSettings
    _user: str | None = None

    @classmethod
    def lacking(cls) -> list[str]:
        """Say whether Docker or doodad is lacking."""
        return [*docker.lacking(), *super().lacking()]

    def describe(self, jobs: Sequence[Job]) -> list[str]:
        """Say how many containers there are at a time."""
        return contained.describe(self.settings, jobs)

    def scripts(self, baggage: Baggage, sweep: Sweep, roots: Sequence[Path]) -> dict[str, str]:
        """Return the scripts that start a container, and Python in it."""
        settings = self.settings
        container = contained.container(settings, baggage, roots)
        return {
            "final_script.sh": docker_script(container, _prefix(sweep)),
            "run.sh": contained.run_sh(settings),
        }

    def make_packs(self, sweep: Sweep, jobs: Sequence[Job]) -> list[Pack]:
        """Put jobs into packs, a container each."""
        return contained.make_packs(self.settings, sweep, jobs)

    def carriers(self, sweep: Sweep) -> Carriers:
        """Return ``docker run``, a program for each container."""
        self._user = self._user or docker.user()

        def kill(packs: Sequence[int]) -> None:
            docker.remove([f"{_prefix(sweep)}-{pack}" for pack in packs])

        return Clients(self.settings.places(), self._start, kill)

    def check_there(self, plan: Plan, baggage: Baggage | None) -> None:
        """See to it that the image is here, and has a Python that will do."""
        settings = self.settings
        docker.check()
        docker.find_image(settings.image_name)
        self._user = docker.user()
        variables = {USER: self._user, **contained.all_gpus(settings)}
        contained.check(
            settings,
            plan,
            baggage,
            lambda container, script: docker.trial(container, script, variables),
        )

    def close(self, sweep: Sweep) -> None:
        """Remove what `docker run` has left behind, should it have been killed."""
        try:
            docker.remove_labelled(f"{LABEL}={sweep.tag}")
        except DockerError as error:
            log.warning("%s", error)
        super().close(sweep)

    def end_left(self, sweep: Sweep) -> None:
        """Remove the containers that a killed launcher has left."""
        try:
            docker.remove_labelled(f"{LABEL}={sweep.tag}")
        except DockerError as error:
            raise SweepError(f"{sweep.directory}: {error}") from error
        super().end_left(sweep)

    def _start(self, pack: Pack, place: Place) -> int:
        assert self.sweep is not None
        assert self._user is not None
        return launching.start(
            [str(self.sweep.own / UNPACKED / "final_script.sh"), str(pack.num)],
            environment={**place.environment(), TAG: self.sweep.tag, USER: self._user},
            output=self.new_log(self.sweep, pack.num),
        )


def _prefix(sweep: Sweep) -> str:
    """Return what the names of a sweep's containers begin with."""
    return f"launchkit-{sweep.id}"
