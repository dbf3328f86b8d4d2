"""What the contract of the modes needs to know of modes that rent machines."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest
from cloud_case import Cloud, places_of, sweeps_below
from engine_helpers import wait_until
from mode_case import wait_for_end_of

from launchkit import job as jobs
from launchkit.job import JobState
from launchkit.sweep import Sweep

HERE = Path(__file__).parent


class CloudContract:
    """What goes before a `ModeContract` of a mode that rents machines."""

    cloud: ClassVar[Cloud]
    pickles = True
    longer_s = 30.0

    @staticmethod
    def settings_of(cloud: Cloud) -> dict[str, Any]:
        """Return the settings of the contract's sweeps."""
        return cloud.settings(code_dirs=[str(HERE)])

    @pytest.fixture(autouse=True)
    def _no_machine_is_left(self, tmp_path):
        """Close what a test has driven by hand, as the runner would; see all machines gone."""
        self.driven = []
        yield
        for mode, sweep in self.driven:
            mode.close(sweep)
        left = [each for sweep in sweeps_below(tmp_path) for each in self.cloud.end_all(sweep.id)]
        assert left == []

    def submit(self, mode, sweep, made, task):
        self.driven.append((mode, sweep))
        super().submit(mode, sweep, made, task)

    def wait_for_blocks(self, directory, nums):
        # What is at home of the others by then is what is known when the launcher is killed.
        found = super().wait_for_blocks(directory, nums)
        for num in nums:
            path = directory / str(num)
            wait_until(lambda: jobs.read(path).state is JobState.RUNNING, f"job {num} to be known")  # noqa: B023
        return found

    def see_gone(self, pids):
        # Nobody waits for what a machine does while it ends.
        wait_for_end_of(pids)

    def hosts(self, directory):
        return self.cloud.hosts(Sweep.open(directory).id)

    def release(self, directory, *nums):
        for place in places_of(Sweep.open(directory)):
            for num in nums:
                (place / f"{num}.go").touch()
