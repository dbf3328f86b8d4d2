"""Hydra's own conformance suites for launchers, whole, for every mode."""

from __future__ import annotations

from typing import Any

import pytest
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.test_utils.launcher_common_tests import (
    BatchedSweeperTestSuite,
    IntegrationTestSuite,
    LauncherTestSuite,
)
from outside_modes import DOCKER, SINGULARITY, SLURM, SSH, OutsideMode

from hydra_plugins.launchkit_launcher.launcher import LaunchkitLauncher

EXISTING = "hydra.launcher.existing=set_aside"
BATCHES = "hydra.sweeper.max_batch_size=2"
HERE = (OutsideMode("here_no_doodad", ()), OutsideMode("local", ()))
OUTSIDE = (DOCKER, SINGULARITY, SSH, SLURM)
"""All but `sss`, whose jobs are started by a person, later."""


def launchers(*more: str) -> list[Any]:
    """Return what the suites are told of each mode: its name, and overrides."""
    return [
        pytest.param(
            mode.launcher,
            # The directories of code are those of the program, which is pytest here.
            [*more, *mode.flags(**({"code_dirs": []} if mode in OUTSIDE else {}))[1:]],
            id=mode.name,
            marks=[getattr(pytest.mark, name) for name in mode.components],
        )
        for mode in (*HERE, *OUTSIDE)
    ]


def test_hydra_discovers_the_launcher() -> None:
    # Also loads the plugins: the suites' fixtures save and restore Hydra's singletons.
    found = {clazz.__name__ for clazz in Plugins.instance().discover(Launcher)}
    assert LaunchkitLauncher.__name__ in found


@pytest.mark.parametrize(("launcher_name", "overrides"), launchers())
class TestLauncher(LauncherTestSuite):
    pass


@pytest.mark.parametrize(("launcher_name", "overrides"), launchers(BATCHES))
class TestBatches(BatchedSweeperTestSuite):
    pass


@pytest.mark.parametrize(
    ("task_launcher_cfg", "extra_flags"),
    # One test of the suite sweeps twice into one directory.
    [
        pytest.param(
            {},
            ["-m", *mode.flags(), EXISTING],
            id=mode.name,
            marks=[getattr(pytest.mark, name) for name in mode.components],
        )
        for mode in (*HERE, *OUTSIDE)
    ],
)
class TestIntegration(IntegrationTestSuite):
    pass
