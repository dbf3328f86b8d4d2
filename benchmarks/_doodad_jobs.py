"""Runs jobs with doodad as it is, a call of `run_command` each: ``_doodad_jobs.py SPEC``.

It is a program of its own, so that what is measured has a start and an end.
"""

from __future__ import annotations

import importlib
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

PACKAGES = "/packages"
"""Where the jobs find the packages of the app."""


@dataclass(frozen=True)
class Jobs:
    """What is run, and how.

    Parameters
    ----------
    threads
        How many jobs run at a time.
    in_place
        Whether a container sees the packages as they are, instead of getting them in its
        archive.
    doodad
        The checkout of doodad.
    image
        The image.
    app, packages, output
        The directories of the app, of what it imports, and of what the jobs write.
    jobs
        How many there are.
    label
        The label of the containers, ``key=value``.
    """

    threads: int = 1
    in_place: bool = False
    doodad: str = ""
    image: str = ""
    app: str = ""
    packages: str = ""
    output: str = ""
    jobs: int = 0
    label: str = ""

    def run(self) -> None:
        """Run all of them."""
        # What is raised in a thread is raised here as the results are taken.
        with ThreadPoolExecutor(self.threads) as pool:
            list(pool.map(self._run_one, range(self.jobs)))

    def _run_one(self, num: int) -> None:
        launch_api: Any = importlib.import_module("doodad.launch.launch_api")
        mode: Any = importlib.import_module("doodad.mode")
        launch_api.run_command(
            f"python {self.app}/app.py x={num} hydra.run.dir={self.output}/{num}",
            mode=mode.LocalMode(),
            mounts=self._mounts(),
            docker_image=self.image,
            extra_container_flags=self._flags(),
        )

    def _mounts(self) -> list[Any]:
        mount: Any = importlib.import_module("doodad.mount")
        mounts = [mount.MountLocal(self.app), mount.MountLocal(self.output, output=True)]
        if not self.in_place:
            mounts.append(mount.MountLocal(self.packages, mount_point=PACKAGES, pythonpath=True))
        return mounts

    def _flags(self) -> str:
        flags = f"--label {self.label}"
        if self.in_place:
            flags += f" -v {self.packages}:{PACKAGES}:ro -e PYTHONPATH={PACKAGES}"
        return flags


if __name__ == "__main__":
    jobs = Jobs(**json.loads(sys.argv[1]))
    sys.path.insert(0, jobs.doodad)
    jobs.run()
