"""Hydra's own conformance suites for launchers, whole, for every mode."""

from __future__ import annotations

import pytest
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.test_utils.launcher_common_tests import (
    BatchedSweeperTestSuite,
    IntegrationTestSuite,
    LauncherTestSuite,
)

from hydra_plugins.launchkit_launcher.launcher import LaunchkitLauncher

EXISTING = "hydra.launcher.existing=set_aside"
LAUNCHERS = ["launchkit_here_no_doodad", "launchkit_local"]


def test_hydra_discovers_the_launcher() -> None:
    # Also loads the plugins: the suites' fixtures save and restore Hydra's singletons.
    found = {clazz.__name__ for clazz in Plugins.instance().discover(Launcher)}
    assert LaunchkitLauncher.__name__ in found


@pytest.mark.parametrize("launcher_name", LAUNCHERS)
@pytest.mark.parametrize("overrides", [[]])
class TestLauncher(LauncherTestSuite):
    pass


@pytest.mark.parametrize("launcher_name", LAUNCHERS)
@pytest.mark.parametrize("overrides", [["hydra.sweeper.max_batch_size=2"]])
class TestBatches(BatchedSweeperTestSuite):
    @pytest.fixture(autouse=True)
    def _own_overrides(self, overrides: list[str]) -> None:
        # The suite extends the list it is given, and parametrize gives the same one again.
        del overrides[1:]


@pytest.mark.parametrize(
    ("task_launcher_cfg", "extra_flags"),
    # One test of the suite sweeps twice into one directory.
    [({}, ["-m", f"hydra/launcher={name}", EXISTING]) for name in LAUNCHERS],
)
class TestIntegration(IntegrationTestSuite):
    pass
