"""A job of a Hydra sweep, run in any process as Hydra itself would run it."""

from __future__ import annotations

import contextlib
import copy
import functools
import logging
import os
import pickle
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any

import cloudpickle
from hydra.core.hydra_config import HydraConfig
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, run_job, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from hydra_plugins.launchkit_launcher._recipe import Recipe, plugins_by_value
from launchkit import callback, files
from launchkit.job import Job
from launchkit.logging import logger

log = logging.getLogger(__name__)

FAILURE_FILE = "failure.pkl"

_only_recipes = ContextVar("_only_recipes", default=False)


@contextlib.contextmanager
def only_recipes() -> Iterator[None]:
    """Let tasks be unpickled without their functions, and without Hydra's singletons."""
    token = _only_recipes.set(True)
    try:
        yield
    finally:
        _only_recipes.reset(token)


class ExitRequested(Exception):
    """``sys.exit`` in a task, carried through Hydra so that the end of the job is seen."""

    def __init__(self, request: SystemExit) -> None:
        super().__init__(request.code)
        self.request = request


class HydraTask:
    """The jobs of a Hydra sweep.

    Parameters
    ----------
    task_function
        The user's function.
    hydra_context
        Hydra's context of the run.
    recipes
        How to make each job's config, by the job's number.

    Attributes
    ----------
    recipes
        The same.
    pinned
        The numbers of jobs whose directory is not to be made out again from their config.
    """

    def __init__(
        self,
        task_function: TaskFunction,
        hydra_context: HydraContext,
        recipes: Mapping[int, Recipe],
    ) -> None:
        self._task_function = task_function
        self._context = hydra_context
        self.recipes = recipes
        self.pinned: set[int] = set()
        self._elsewhere = False

    def config(self, num: int) -> DictConfig:
        """Make a job's config, its number included."""
        config = self.recipes[num].compose()
        with open_dict(config):
            config.hydra.job.id = str(num)
            config.hydra.job.num = num
        return config

    def run(self, job: Job) -> Any:
        """Run a job as Hydra does: its directory, logging, callbacks, then the function."""
        config = self.config(job.num)
        if self._elsewhere:
            # The sweep may have been moved since, and the working directory be another.
            with open_dict(config):
                config.hydra.sweep.dir = str(job.directory.parent)
                config.hydra.sweep.subdir = job.directory.name
        elif job.num in self.pinned:
            with open_dict(config):
                config.hydra.sweep.subdir = os.path.relpath(job.directory, config.hydra.sweep.dir)
        try:
            with _copied_once():
                done = run_job(
                    hydra_context=self._context,
                    task_function=_in_job(self._task_function, job),
                    config=config,
                    job_dir_key="hydra.sweep.dir",
                    job_subdir_key="hydra.sweep.subdir",
                )
        finally:
            logger.close()
        if done.status is JobStatus.COMPLETED:
            return done.return_value
        if isinstance(done._return_value, ExitRequested):
            raise done._return_value.request
        _keep_failure(job, done)
        raise done._return_value

    def __getstate__(self) -> dict[str, Any]:
        """Pickle what another process needs; what all batches share, as one piece."""
        return {"shared": self._shared(), "recipes": self.recipes}

    def __setstate__(self, state: dict[str, Any]) -> None:
        if _only_recipes.get():
            self.recipes = state["recipes"]
            return
        setup_globals()
        shared = pickle.loads(state["shared"])
        Singleton.set_state(shared["singletons"])
        self.__init__(  # type: ignore[misc]  # the same object, in another process
            shared["task_function"],
            HydraContext(config_loader=None, **shared["context"]),  # type: ignore[arg-type]  # a job composes nothing
            state["recipes"],
        )
        self._elsewhere = True

    def _shared(self) -> bytes:
        """Pickle the function and Hydra's context and singletons."""
        state = {
            "task_function": self._task_function,
            # With Hydra 1.4 also what configs may instantiate.
            "context": {k: v for k, v in vars(self._context).items() if k != "config_loader"},
            "singletons": Singleton.get_state(),
        }
        with plugins_by_value():
            return bytes(cloudpickle.dumps(state))


@contextlib.contextmanager
def _copied_once() -> Iterator[None]:
    """Let `run_job` copy Hydra's config once instead of twice, an eighth of what a job costs.

    It sets the config, looks up the job's directory, and sets it again: nobody but that
    lookup sees the first copy, and the config itself serves it as well.
    """
    hydra_config = HydraConfig.instance()

    def set_config(config: DictConfig) -> None:
        del hydra_config.set_config  # the next time, Hydra's own
        OmegaConf.set_readonly(config.hydra, True)
        hydra_config.cfg = config  # type: ignore[assignment]  # as Hydra itself does

    hydra_config.set_config = set_config  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        vars(hydra_config).pop("set_config", None)


def _keep_failure(job: Job, done: JobReturn) -> None:
    """Keep a failed job's exception for the launcher, which raises it to Hydra's sweeper."""
    failure = copy.copy(done)
    failure.cfg = failure.hydra_cfg = None
    try:
        data = cloudpickle.dumps(failure)
    except Exception as error:  # the user's exception may hold anything
        log.debug("the exception of job %d cannot be pickled: %s", job.num, error)
        return
    files.write_atomic(job.own / FAILURE_FILE, data, mode=0o600)


def _in_job(function: TaskFunction, job: Job) -> Callable[[DictConfig], Any]:
    """Wrap the user's function with what is to be done in the job, after the callbacks."""

    @functools.wraps(function)
    def wrapped(config: DictConfig) -> Any:
        whole = HydraConfig.instance().cfg
        if list(whole) != ["hydra"]:  # type: ignore[call-overload]  # a Hydra that sets it once
            HydraConfig.instance().set_config(whole)  # type: ignore[arg-type]  # as above
        callback.ensure_open(HydraConfig.get(), config, job.directory)
        try:
            return function(config)
        except SystemExit as request:
            if not request.code:
                return None
            raise ExitRequested(request) from None

    return wrapped
