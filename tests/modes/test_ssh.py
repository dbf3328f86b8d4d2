"""``ssh``, to a real sshd."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest
from contract import ModeContract
from engine_helpers import wait_until

from launchkit import job as jobs
from launchkit.job import JobState
from launchkit.outside import trace
from launchkit.sweep import Sweep

HERE = Path(__file__).parent
CONFIG = "/var/cache/launchkit-testbed/ssh/ssh_config"
HOME = Path("/home/launchkit-test")

pytestmark = [pytest.mark.ssh, pytest.mark.doodad]


class TestSsh(ModeContract):
    name = "ssh"
    settings: ClassVar = {
        "host": "launchkit-testbed",
        "ssh_config": CONFIG,
        "n_jobs": 2,
        "code_dirs": [str(HERE)],
        "python": "/usr/bin/python3",
    }
    pickles = True

    def wait_for_blocks(self, directory, nums):
        # What is at home of the others by then is what is known when the launcher is killed.
        found = super().wait_for_blocks(directory, nums)
        for num in nums:
            path = directory / str(num)
            wait_until(lambda: jobs.read(path).state is JobState.RUNNING, f"job {num} to be known")  # noqa: B023
        return found

    def release(self, directory, *nums):
        base = HOME / trace.read(Sweep.open(directory)).base
        for num in nums:
            (base / directory.name / f"{num}.go").touch()
