"""A Hydra multirun as a launchkit sweep."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, JobStatus, configure_log, filter_overrides, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from hydra_plugins.launchkit_launcher._compose import with_recipes
from hydra_plugins.launchkit_launcher._returns import LaunchkitJobReturn, LaunchRefused
from hydra_plugins.launchkit_launcher._task import HydraTask, directory
from launchkit import runner
from launchkit.job import Job
from launchkit.modes import registry
from launchkit.payload import PayloadError
from launchkit.progress import Progress
from launchkit.sweep import Sweep, SweepError, make_way


class Multirun:
    """One multirun: the sweep directory, the mode, and what batches have run so far.

    Parameters
    ----------
    mode
        The mode's name.
    settings
        The mode's settings.
    existing
        What to do where the directory holds a sweep already: see `make_way`.
    hydra_context
        Hydra's context; its config loader is replaced by one that knows recipes, so that
        what the sweeper validates need not be composed again.
    task_function
        The user's function.
    config
        The multirun's config.
    """

    def __init__(
        self,
        mode: str,
        settings: Mapping[str, Any],
        existing: str,
        hydra_context: HydraContext,
        task_function: TaskFunction,
        config: DictConfig,
    ) -> None:
        with _refusing(ValueError, SweepError):
            self._mode = registry.create(mode, settings)
            self._directory = Path(str(config.hydra.sweep.dir))
            make_way(self._directory, existing)
        self._settings = dict(settings)
        self._context = hydra_context
        self._context.config_loader = self._loader = with_recipes(hydra_context.config_loader)
        self._task_function = task_function
        self._config = config
        self._sweep: Sweep | None = None
        self._held_back: list[LaunchkitJobReturn] = []

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Run a batch of jobs to their end."""
        setup_globals()
        self._configure_log()
        recipes = {
            initial_job_idx + i: self._loader.recipe(self._config, overrides)
            for i, overrides in enumerate(job_overrides)
        }
        task = HydraTask(self._task_function, self._context, recipes)
        jobs = [
            Job(num, tuple(filter_overrides(overrides)), _job_directory(task, num, self._directory))
            for num, overrides in zip(recipes, job_overrides, strict=True)
        ]
        with _refusing(SweepError, PayloadError):
            if self._sweep is None:
                self._sweep = Sweep.create(
                    self._directory,
                    mode=self._mode.name,
                    settings=self._settings,
                    command=sys.argv,
                )
            try:
                outcomes = runner.run(self._sweep, jobs, task, self._mode, Progress())
            except runner.Interrupted:
                raise SystemExit(130) from None
        self._configure_log()
        returns = [LaunchkitJobReturn(outcome, task) for outcome in outcomes]
        return self._passed_on(returns, initial_job_idx + len(jobs))

    def _passed_on(
        self, returns: Sequence[LaunchkitJobReturn], jobs_so_far: int
    ) -> Sequence[LaunchkitJobReturn]:
        """Give a batch's results to the sweeper.

        Hydra's basic sweeper stops at the first failure it sees, which would cost the jobs
        of all later batches: it sees the failures of the earlier ones after the last.
        """
        failed = [done for done in returns if done.status is JobStatus.FAILED]
        if not (failed or self._held_back):
            return returns
        expected = _jobs_in_all(self._config, self._loader)
        if expected is None:
            return returns
        if jobs_so_far < expected:
            for done in failed:
                done.hold_back()
            self._held_back += failed
        elif not failed:
            self._held_back[0].hold_back(False)
            return [*returns, self._held_back[0]]
        return returns

    def _configure_log(self) -> None:
        configure_log(self._config.hydra.hydra_logging, self._config.hydra.verbose)


def _job_directory(task: HydraTask, num: int, sweep_directory: Path) -> Path:
    """Return a job's directory; one whose name does not resolve fails in ``<num>``."""
    try:
        return directory(task.config(num))
    except OmegaConfBaseException:
        return Path(os.path.abspath(sweep_directory / str(num)))  # noqa: PTH100


def _jobs_in_all(config: DictConfig, loader: ConfigLoader) -> int | None:
    """Return how many jobs Hydra's basic sweeper is going to launch; None for another sweeper."""
    sweeper = config.hydra.sweeper
    if not str(sweeper._target_).endswith(f".{BasicSweeper.__name__}"):
        return None
    lines = [f"{key}={value}" for key, value in (sweeper.params or {}).items()]
    lines += list(config.hydra.overrides.task)
    overrides = OverridesParser.create(config_loader=loader).parse_overrides(lines)
    return sum(len(batch) for batch in BasicSweeper.split_arguments(overrides, None))


@contextlib.contextmanager
def _refusing(*errors: type[Exception]) -> Iterator[None]:
    """Turn what forbids a launch into an error that Hydra prints without a traceback."""
    try:
        yield
    except errors as error:
        raise LaunchRefused(str(error)) from error
