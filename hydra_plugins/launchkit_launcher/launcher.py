"""Hydra's door to launchkit: a launcher plugin, thin over `launchkit.runner`.

Every Hydra program on the machine imports this module at its start, so all else is
imported when a sweep begins.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

if TYPE_CHECKING:
    from hydra_plugins.launchkit_launcher._multirun import Multirun


class LaunchkitLauncher(Launcher):
    """Runs the jobs of a Hydra multirun in one of launchkit's modes.

    Parameters
    ----------
    mode
        The name of the mode.
    **settings
        The settings that the mode's dataclass in `_settings` has.
    """

    def __init__(self, mode: str, **settings: Any) -> None:
        self._mode = mode
        self._settings = settings
        self._multirun: Multirun | None = None

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Check the mode, its settings and the sweep directory, before Hydra composes jobs."""
        from hydra_plugins.launchkit_launcher._multirun import Multirun  # noqa: PLC0415 - heavy

        self._multirun = Multirun(self._mode, self._settings, hydra_context, task_function, config)

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Run a batch of jobs to their end.

        Raises
        ------
        LaunchRefused
            If the sweep cannot be run as it is; nothing has run then.
        SystemExit
            With code 130, if Ctrl-C or SIGTERM stopped the sweep.
        """
        assert self._multirun is not None, "Hydra calls setup() first"
        return self._multirun.launch(job_overrides, initial_job_idx)
