"""``local_docker``: each job in a Docker container of its own on this machine."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from launchkit.doodad import launching
from launchkit.job import Job
from launchkit.machine.placement import Place
from launchkit.machine.slots import Slots
from launchkit.modes.baggage import Baggage
from launchkit.modes.base import Plan
from launchkit.modes.carried import CarriedMode
from launchkit.modes.carriers import Carriers, Clients
from launchkit.outside import docker, probe
from launchkit.outside.containers import LABEL, Container, Mount, docker_script
from launchkit.outside.docker import DockerError
from launchkit.outside.packs import Pack
from launchkit.outside.scripts import UNPACKED, run_script
from launchkit.outside.settings import Outside
from launchkit.sweep import TAG, Sweep, SweepError


@dataclass(frozen=True, kw_only=True)
class DockerSettings(Outside, Slots):
    """The settings of ``local_docker``."""

    def __post_init__(self) -> None:
        Outside.__post_init__(self)
        Slots.__post_init__(self)
        if self.image is None:
            raise ValueError("image is not set; name a Docker image, such as python:3.11-slim")


class DockerMode(CarriedMode[DockerSettings]):
    """Runs each job in a Docker container of its own on this machine."""

    name = "local_docker"
    Settings = DockerSettings

    @classmethod
    def lacking(cls) -> list[str]:
        """Say whether Docker or doodad is lacking."""
        return [*docker.lacking(), *super().lacking()]

    def describe(self, jobs: Sequence[Job]) -> list[str]:
        """Say how many containers there are at a time."""
        places = self.settings.places()
        for job in jobs:
            places.check(job)
        return [f"{places.describe()} on this machine, a container each: {self.settings.image}"]

    def scripts(self, baggage: Baggage, sweep: Sweep, roots: Sequence[Path]) -> dict[str, str]:
        """Return the scripts that start a container, and Python in it."""
        settings = self.settings
        assert settings.image is not None
        container = Container(
            image=settings.image,
            mounts=self._mounts(baggage, roots),
            workdir=baggage.workdir(),
            env=tuple(name for name, value in settings.env.items() if value is None),
            args=tuple(settings.container_args),
            gpus=settings.gives_gpus,
        )
        return {
            "final_script.sh": docker_script(container, _prefix(sweep)),
            "run.sh": run_script(
                settings.python, settings.env, settings.setup_commands, f"image {settings.image!r}"
            ),
        }

    def carriers(self, sweep: Sweep) -> Carriers:
        """Return ``docker run``, a program for each container."""

        def kill(packs: Sequence[int]) -> None:
            docker.kill([f"{_prefix(sweep)}-{pack}" for pack in packs])

        return Clients(self.settings.places(), self._start, kill)

    def check_there(self, plan: Plan, baggage: Baggage | None) -> None:
        """See to it that the image is here, and has a Python that will do."""
        settings = self.settings
        assert settings.image is not None
        docker.check()
        docker.find_image(settings.image)
        where = f"image {settings.image!r}"
        script = probe.shell(settings.python, settings.setup_commands)
        done = docker.run(["--entrypoint", "/bin/sh", settings.image, "-c", script])
        if done.returncode:
            wanted = settings.python or "python3"
            last = (done.stderr.strip().splitlines() or [""])[-1]
            raise ValueError(
                f"{where} has no {wanted} that runs (exit code {done.returncode}){last and ': ' + last}"
            )
        found = probe.Found.parse(done.stdout.strip().splitlines()[-1])
        probe.check_python(found, where)
        if baggage is not None:
            probe.check_mounts(found, self._mounts(baggage, ()), settings.image)

    def end_left(self, sweep: Sweep) -> None:
        """Remove the containers that a killed launcher has left."""
        try:
            docker.remove_labelled(f"{LABEL}={sweep.tag}")
        except DockerError as error:
            raise SweepError(f"{sweep.directory}: {error}") from error
        super().end_left(sweep)

    def _mounts(self, baggage: Baggage, roots: Sequence[Path]) -> tuple[Mount, ...]:
        return (
            *baggage.mounts(),
            *(
                Mount(os.path.abspath(source), target)
                for source, target in self.settings.inputs.items()
            ),
            *(Mount(str(root), str(root), writable=True) for root in roots),
        )

    def _start(self, pack: Pack, place: Place) -> int:
        assert self.sweep is not None
        return launching.start(
            [str(self.sweep.own / UNPACKED / "final_script.sh"), str(pack.num)],
            environment={**place.environment(), TAG: self.sweep.tag},
            output=self.new_log(self.sweep, pack.num),
        )


def _prefix(sweep: Sweep) -> str:
    """Return what the names of a sweep's containers begin with."""
    return f"launchkit-{sweep.id}"
