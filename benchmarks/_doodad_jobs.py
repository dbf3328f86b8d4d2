"""Runs jobs with doodad as it is, a call of `run_command` each: ``_doodad_jobs.py SPEC``.

It is a program of its own, so that what is measured has a start and an end.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

PACKAGES = "/packages"
"""Where the jobs find the packages of the app."""
MACHINE = "c7i.large"


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
    bucket, ami, key_pair
        Where the jobs run on machines of EC2: the bucket, the image and the key pair of those.
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
    bucket: str = ""
    ami: str = ""
    key_pair: str = ""

    def run(self) -> None:
        """Run all of them."""
        # What is raised in a thread is raised here as the results are taken.
        with ThreadPoolExecutor(self.threads) as pool:
            list(pool.map(self._run_one, range(self.jobs)))

    def _run_one(self, num: int) -> None:
        launch_api: Any = importlib.import_module("doodad.launch.launch_api")
        launch_api.run_command(
            f"python {self.app}/app.py x={num} hydra.run.dir={self.output}/{num}",
            mode=self._mode(),
            mounts=self._mounts(),
            docker_image=self.image,
            extra_container_flags=self._flags(),
        )

    def _mode(self) -> Any:
        mode: Any = importlib.import_module("doodad.mode")
        if not self.bucket:
            return mode.LocalMode()
        credentials: Any = importlib.import_module("doodad.credentials.ec2")
        return mode.EC2Mode(
            credentials.AWSCredentials(
                aws_key=os.environ["AWS_ACCESS_KEY_ID"],
                aws_secret=os.environ["AWS_SECRET_ACCESS_KEY"],
            ),
            s3_bucket=self.bucket,
            s3_log_path="doodad",
            ami_name=self.ami,
            region=os.environ["AWS_DEFAULT_REGION"],
            instance_type=MACHINE,
            spot_price=0.1,
            security_group_ids=[],
            security_groups=[],
            aws_key_name=self.key_pair,
            iam_instance_profile_name="launchkit",
        )

    def _mounts(self) -> list[Any]:
        mount: Any = importlib.import_module("doodad.mount")
        if self.bucket:
            output = mount.MountS3("output", mount_point=self.output)
        else:
            output = mount.MountLocal(self.output, output=True)
        mounts = [mount.MountLocal(self.app), output]
        if not self.in_place:
            mounts.append(mount.MountLocal(self.packages, mount_point=PACKAGES, pythonpath=True))
        return mounts

    def _flags(self) -> str:
        flags = f"--label {self.label}" if self.label else ""
        if self.in_place:
            flags += f" -v {self.packages}:{PACKAGES}:ro -e PYTHONPATH={PACKAGES}"
        return flags


if __name__ == "__main__":
    jobs = Jobs(**json.loads(sys.argv[1]))
    sys.path.insert(0, jobs.doodad)
    jobs.run()
