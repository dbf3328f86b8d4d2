"""A Hydra multirun as a launchkit sweep."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, configure_log, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from hydra_plugins.launchkit_launcher._compose import with_recipes
from hydra_plugins.launchkit_launcher._directory import SweepDirectory
from hydra_plugins.launchkit_launcher._failures import Failures
from hydra_plugins.launchkit_launcher._jobs import JobMaker, for_all
from hydra_plugins.launchkit_launcher._options import Options
from hydra_plugins.launchkit_launcher._recipe import Recipe
from hydra_plugins.launchkit_launcher._returns import (
    HandedOver,
    LaunchkitJobReturn,
    LaunchRefused,
)
from hydra_plugins.launchkit_launcher._task import HydraTask
from launchkit import runner
from launchkit.display.progress import Progress
from launchkit.handle import JobHandle
from launchkit.job import Job
from launchkit.modes import registry
from launchkit.payload import PayloadError
from launchkit.runner import Work
from launchkit.standing import standing
from launchkit.sweep import SweepError


class Multirun:
    """One multirun: the sweep directory, the mode, and what batches have run so far.

    Parameters
    ----------
    mode
        The mode's name.
    settings
        The launcher's settings.
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
        hydra_context: HydraContext,
        task_function: TaskFunction,
        config: DictConfig,
    ) -> None:
        with _refusing(ValueError, SweepError):
            self._options = Options.of(for_all(settings, config))
            self._mode = registry.create(mode, self._options.mode_settings)
            self._refuse_to_leave(config)
            directory = Path(str(config.hydra.sweep.dir))
            self._directory = SweepDirectory(directory, self._options, self._mode)
        self._context = hydra_context
        self._context.config_loader = self._loader = with_recipes(hydra_context.config_loader)
        self._task_function = task_function
        self._config = config
        self._jobs = JobMaker(config, directory)
        self._collected: list[Job] = []
        self._recipes: dict[int, Recipe] = {}
        self._pinned: set[int] = set()

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Run a batch of jobs to their end, or hand it over."""
        setup_globals()
        self._configure_log()
        recipes = {
            initial_job_idx + i: self._loader.recipe(self._config, overrides)
            for i, overrides in enumerate(job_overrides)
        }
        task = HydraTask(self._task_function, self._context, recipes)
        with _refusing(SweepError, PayloadError, ValueError):
            jobs = [
                self._jobs.make(task, num, overrides)
                for num, overrides in zip(recipes, job_overrides, strict=True)
            ]
            if self._leaves:
                return self._leave(jobs, task)
            work = self._directory.work(jobs, task, self._size)
            try:
                outcomes = runner.run(work, self._mode, Progress(), self._failures.policy)
            except PayloadError:
                self._directory.withdraw(jobs)
                raise
            except runner.Interrupted:
                raise SystemExit(130) from None
        self._configure_log()
        returns = [LaunchkitJobReturn(outcome, task) for outcome in outcomes]
        return self._failures.passed_on(returns, initial_job_idx + len(jobs))

    def _refuse_to_leave(self, config: DictConfig) -> None:
        """Refuse to hand jobs over where somebody waits for their values."""
        options = self._options
        if not self._leaves:
            return
        what = "detach" if options.detach else "dry_run"
        if self._mode.hands_over and not _is_basic(config):
            raise ValueError(
                f"mode {self._mode.name!r} leaves the jobs to you, and the sweeper "
                f"{config.hydra.sweeper._target_} goes on by what they return; use "
                "hydra/sweeper=basic"
            )
        if not _is_basic(config):
            raise ValueError(
                f"{what} is true, and the sweeper {config.hydra.sweeper._target_} goes on by what "
                f"the jobs return; run it without {what}, or use hydra/sweeper=basic"
            )
        if options.detach and self._mode.in_this_process:
            raise ValueError(
                f"detach is true, and mode {self._mode.name!r} runs the jobs in the launcher's "
                "own process; use another mode"
            )

    @property
    def _leaves(self) -> bool:
        """Whether the jobs are not awaited."""
        return self._options.dry_run or self._options.detach or self._mode.hands_over

    def _leave(self, jobs: Sequence[Job], task: HydraTask) -> Sequence[JobReturn]:
        """Collect the jobs of a batch; after the last one, hand them over or print the plan."""
        self._collected += jobs
        self._recipes.update(task.recipes)
        self._pinned |= task.pinned
        everything = HydraTask(self._task_function, self._context, self._recipes)
        everything.pinned = self._pinned
        if len(self._collected) < (self._size or 0):
            sweep = self._directory.sweep
            return [HandedOver(JobHandle(sweep, job), everything) for job in jobs]
        work = self._directory.work(self._collected, everything, self._size)
        if self._options.dry_run:
            from launchkit.dry_run import describe  # noqa: PLC0415 - as below

            plan = describe(work, self._mode, self._options.policy, self._directory.aside)
            print(plan)  # noqa: T201 - as asked
        else:
            self._hand_over(work)
        nums = {job.num for job in jobs}
        last = (job for job in work.jobs if job.num in nums)
        return [HandedOver(JobHandle(work.sweep, job), everything) for job in last]

    def _hand_over(self, work: Work) -> None:
        # Most sweeps do without, and their first jobs start the earlier.
        from launchkit.detach import detach, handed_over  # noqa: PLC0415

        left = work.left(standing(work.sweep) if work.resumed else {})
        try:
            if self._mode.hands_over and not self._options.detach:
                runner.hand_over(work, self._mode, self._options.policy, Progress().say)
                return
            pid = detach(work, self._mode, self._options.policy)
        except PayloadError:
            self._directory.withdraw(work.jobs)
            raise
        Progress().say(handed_over(work.sweep, len(left), pid))

    @functools.cached_property
    def _failures(self) -> Failures:
        return Failures(self._options.policy, self._size)

    @functools.cached_property
    def _size(self) -> int | None:
        """How many jobs Hydra's basic sweeper is going to launch; None for another sweeper."""
        if not _is_basic(self._config):
            return None
        sweeper = self._config.hydra.sweeper
        lines = [f"{key}={value}" for key, value in (sweeper.params or {}).items()]
        lines += list(self._config.hydra.overrides.task)
        overrides = OverridesParser.create(config_loader=self._loader).parse_overrides(lines)
        return sum(len(batch) for batch in BasicSweeper.split_arguments(overrides, None))

    def _configure_log(self) -> None:
        configure_log(self._config.hydra.hydra_logging, self._config.hydra.verbose)


def _is_basic(config: DictConfig) -> bool:
    return str(config.hydra.sweeper._target_).endswith(f".{BasicSweeper.__name__}")


@contextlib.contextmanager
def _refusing(*errors: type[Exception]) -> Iterator[None]:
    """Turn what forbids a launch into an error that Hydra prints without a traceback."""
    try:
        yield
    except errors as error:
        raise LaunchRefused(str(error)) from error
