"""A Hydra multirun as a launchkit sweep."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, JobStatus, configure_log, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from hydra_plugins.launchkit_launcher._compose import with_recipes
from hydra_plugins.launchkit_launcher._differences import SHOWN, differences
from hydra_plugins.launchkit_launcher._jobs import JobMaker
from hydra_plugins.launchkit_launcher._options import Options
from hydra_plugins.launchkit_launcher._recipe import Recipe
from hydra_plugins.launchkit_launcher._returns import (
    HandedOver,
    LaunchkitJobReturn,
    LaunchRefused,
)
from hydra_plugins.launchkit_launcher._task import HydraTask
from launchkit import masking, runner
from launchkit.detach import detach, handed_over
from launchkit.dry_run import describe
from launchkit.handle import JobHandle
from launchkit.job import Job
from launchkit.modes import registry
from launchkit.payload import PayloadError
from launchkit.progress import Progress
from launchkit.runner import Work
from launchkit.sweep import Sweep, SweepError, make_way


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
        self._directory = Path(str(config.hydra.sweep.dir))
        self._sweep: Sweep | None = None
        with _refusing(ValueError, SweepError):
            self._options = Options.of(settings)
            self._mode = registry.create(mode, self._options.mode_settings)
            self._refuse_to_leave(config)
            if self._options.resume:
                self._sweep = Sweep.open(self._directory)
            else:
                make_way(self._directory, self._options.existing, dry_run=self._options.dry_run)
        self._context = hydra_context
        self._context.config_loader = self._loader = with_recipes(hydra_context.config_loader)
        self._task_function = task_function
        self._config = config
        self._jobs = JobMaker(config, self._directory)
        self._held_back: list[LaunchkitJobReturn] = []
        self._collected: list[Job] = []
        self._recipes: dict[int, Recipe] = {}

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
            if self._options.dry_run or self._options.detach:
                return self._leave(jobs, task)
            work = self._work(jobs, task)
            try:
                outcomes = runner.run(work, self._mode, Progress(), self._options.policy)
            except runner.Interrupted:
                raise SystemExit(130) from None
        self._configure_log()
        returns = [LaunchkitJobReturn(outcome, task) for outcome in outcomes]
        return self._passed_on(returns, initial_job_idx + len(jobs))

    def _refuse_to_leave(self, config: DictConfig) -> None:
        """Refuse to hand jobs over where somebody waits for their values."""
        options = self._options
        if not (options.detach or options.dry_run):
            return
        what = "detach" if options.detach else "dry_run"
        if not _is_basic(config):
            raise ValueError(
                f"{what} is true, and the sweeper {config.hydra.sweeper._target_} needs the jobs' "
                f"values to go on; run it without {what}, or use hydra/sweeper=basic"
            )
        if options.detach and self._mode.in_this_process:
            raise ValueError(
                f"detach is true, and mode {self._mode.name!r} runs the jobs in the launcher's "
                "own process; use another mode"
            )

    def _leave(self, jobs: Sequence[Job], task: HydraTask) -> Sequence[JobReturn]:
        """Collect the jobs of a batch; after the last one, hand them over or print the plan."""
        self._collected += jobs
        self._recipes.update(task.recipes)
        everything = HydraTask(self._task_function, self._context, self._recipes)
        expected = _jobs_in_all(self._config, self._loader)
        sweep = self._sweep or self._unwritten()
        if len(self._collected) == expected:
            if self._options.dry_run:
                work = Work(sweep, self._collected, everything, resumed=self._options.resume)
                print(describe(work, self._mode, self._options.policy))  # noqa: T201 - as asked
            else:
                work = self._work(self._collected, everything)
                sweep = work.sweep
                pid = detach(work, self._mode, self._options.policy)
                Progress().say(handed_over(sweep, len(self._collected), pid))
        return [HandedOver(JobHandle(sweep, job), everything) for job in jobs]

    def _work(self, jobs: Sequence[Job], task: HydraTask) -> Work:
        """Make or take up the sweep, and return what is to be run of it."""
        options = self._options
        own = {"settings": dict(options.mode_settings), "policy": options.saved_policy}
        if options.resume:
            assert self._sweep is not None
            return self._taken_up(self._sweep, jobs, task)
        if self._sweep is None:
            self._sweep = Sweep.create(
                self._directory, mode=self._mode.name, command=sys.argv, **own
            )
        return Work(self._sweep, jobs, task)

    def _taken_up(self, sweep: Sweep, jobs: Sequence[Job], task: HydraTask) -> Work:
        if not self._options.force:
            self._refuse_differences(sweep, jobs, task)
        self._sweep = sweep.reconfigured(
            mode=self._mode.name,
            settings=self._options.mode_settings,
            policy=self._options.saved_policy,
        )
        return Work(self._sweep, jobs, task, resumed=True)

    def _refuse_differences(self, sweep: Sweep, jobs: Sequence[Job], task: HydraTask) -> None:
        known = [job.num for job in sweep.jobs]
        if self._config.hydra.sweeper.get("max_batch_size"):
            # Batches that were never launched are no difference.
            jobs = [job for job in jobs if job.num <= max(known, default=-1)]
        found = differences(sweep, jobs, task)
        expected = _jobs_in_all(self._config, self._loader)
        if expected is not None and expected < len(known):
            found.append(f"it had {len(known)} jobs, now there are {expected}")
        if found:
            more = f"\n… {len(found) - SHOWN} more jobs" if len(found) > SHOWN else ""
            raise SweepError(
                f"{sweep.directory} was begun with other jobs:\n"
                + masking.mask_text("\n".join(found[:SHOWN]))
                + more
                + "\nrun it as it was, or set hydra.launcher.force=true to go on with what is now"
            )

    def _unwritten(self) -> Sweep:
        """Return the sweep that would be made."""
        return Sweep(
            directory=Path(os.path.abspath(self._directory)),  # noqa: PTH100
            id="(dry run)",
            mode=self._mode.name,
            settings={},
            command=tuple(sys.argv),
            created=time.time(),
        )

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


def _is_basic(config: DictConfig) -> bool:
    return str(config.hydra.sweeper._target_).endswith(f".{BasicSweeper.__name__}")


def _jobs_in_all(config: DictConfig, loader: ConfigLoader) -> int | None:
    """Return how many jobs Hydra's basic sweeper is going to launch; None for another sweeper."""
    if not _is_basic(config):
        return None
    sweeper = config.hydra.sweeper
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
