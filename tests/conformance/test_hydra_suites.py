"""Hydra's own conformance suites for launchers, whole, for every mode."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import testbed
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.test_utils.launcher_common_tests import (
    BatchedSweeperTestSuite,
    IntegrationTestSuite,
    LauncherTestSuite,
)
from outside_modes import DOCKER, SINGULARITY, SLURM, SSH, OutsideMode, marks

from hydra_plugins.launchkit_launcher.launcher import LaunchkitLauncher

EXISTING = "hydra.launcher.existing=set_aside"
BATCHES = "hydra.sweeper.max_batch_size=2"
HERE = (OutsideMode("here_no_doodad", ()), OutsideMode("local", ()))
SEEING = (DOCKER, SINGULARITY, SLURM)
"""Their jobs see the directories of this machine, at the same paths."""
OUTSIDE = (*SEEING, SSH)
"""All but `sss`, whose jobs are started by a person, later."""
AS_SELF = replace(SSH, settings={**SSH.settings, "host": testbed.SSH_ROOT_HOST})
"""The programs of the suite write beside themselves, by an absolute path."""
NO_CODE = "hydra.launcher.code_dirs=[]"
SHARED = {
    # A program of the suite writes beside itself, where containers see the code read-only.
    "local_docker": [NO_CODE, "hydra.launcher.container_args=['--volume={0}:{0}']"],
    "local_singularity": [NO_CODE, "hydra.launcher.container_args=['--bind={0}']"],
}


def params(*modes: OutsideMode, tells: Callable[[OutsideMode], Sequence[object]]) -> list[Any]:
    """Return what a suite is told of each mode, with the mode's markers."""
    return [pytest.param(*tells(mode), id=mode.name, marks=marks(mode)) for mode in modes]


def launchers(*more: str) -> list[Any]:
    """Return the modes by the names of their launchers, and overrides."""
    # The directories of code would be the whole repository of the tests.
    return params(*HERE, tells=lambda mode: (mode.launcher, [*more])) + params(
        *OUTSIDE, tells=lambda mode: (mode.launcher, [*more, *mode.flags()[1:], NO_CODE])
    )


def flags(mode: OutsideMode) -> tuple[dict[str, Any], list[str]]:
    """Return a task's config, and the flags of its program."""
    shared = [line.format("${hydra.runtime.cwd}") for line in SHARED.get(mode.name, [])]
    # One test of the suite sweeps twice into one directory.
    return {}, ["-m", *mode.flags(), *shared, EXISTING]


@pytest.fixture(scope="session", autouse=True)
def _plugins() -> None:
    """Load the plugins: the suites' fixtures save and restore Hydra's singletons."""
    Plugins.instance()


def test_hydra_discovers_the_launcher() -> None:
    found = {clazz.__name__ for clazz in Plugins.instance().discover(Launcher)}
    assert LaunchkitLauncher.__name__ in found


@pytest.mark.parametrize(("launcher_name", "overrides"), launchers())
class TestLauncher(LauncherTestSuite):
    pass


@pytest.mark.parametrize(("launcher_name", "overrides"), launchers(BATCHES))
class TestBatches(BatchedSweeperTestSuite):
    pass


@pytest.mark.parametrize(("task_launcher_cfg", "extra_flags"), params(*HERE, *SEEING, tells=flags))
class TestIntegration(IntegrationTestSuite):
    pass


@pytest.mark.parametrize(("task_launcher_cfg", "extra_flags"), params(AS_SELF, tells=flags))
class TestIntegrationOverSsh(IntegrationTestSuite):
    """What of the suite does not want the working directory of this machine."""

    test_custom_sweeper_run_workdir = None
    test_to_absolute_path_multirun = None
