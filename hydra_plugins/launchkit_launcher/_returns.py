"""What Hydra's sweepers get for a job, and the errors they get instead."""

from __future__ import annotations

import copy
import logging
from functools import cached_property
from pathlib import Path
from typing import Any

import cloudpickle
from hydra import version
from hydra.core.utils import JobReturn, JobRuntime, JobStatus
from hydra.errors import CompactHydraException
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from hydra_plugins.launchkit_launcher._task import FAILURE_FILE, HydraTask
from launchkit.handle import JobHandle
from launchkit.job import Job, JobState
from launchkit.runner import Outcome

log = logging.getLogger(__name__)


class LaunchRefused(CompactHydraException):
    """Nothing has been run; the message says why and what to do."""


class JobFailed(CompactHydraException):
    """A job did not complete; the others did, and their results are kept.

    Parameters
    ----------
    outcome
        How it ended.
    """

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        job, attempt = outcome.job, outcome.attempt
        super().__init__(f"job {job.num} {attempt.state}: {attempt.reason} [{job.describe()}]")


class _Return(JobReturn):
    """What a sweeper gets for a job.

    Its configs are composed again when somebody asks for them: ten thousand of them, all
    different, would fill the memory of the launcher.
    """

    def __init__(self, job: Job, task: HydraTask, status: JobStatus) -> None:
        # Not JobReturn's own: it would assign to the properties below.
        self._job = job
        self._task = task
        self.status = status
        self.task_name = JobRuntime.instance().get("name")

    @cached_property
    def _configs(self) -> tuple[DictConfig, DictConfig]:
        """The user's config and Hydra's, as the job had them."""
        config = self._task.config(self._job.num)
        with read_write(config.hydra.runtime), open_dict(config.hydra.runtime):
            config.hydra.runtime.output_dir = str(self._job.directory)
        hydra_config = OmegaConf.masked_copy(config, "hydra")
        # The user's config is out of sight, and Hydra's may still refer to it.
        hydra_config.hydra._set_parent(copy.deepcopy(config))
        with read_write(config), open_dict(config):
            del config["hydra"]
        return config, hydra_config

    @property
    def cfg(self) -> DictConfig:  # type: ignore[override]  # made when asked for
        """The user's config."""
        return self._configs[0]

    @property
    def hydra_cfg(self) -> DictConfig:  # type: ignore[override]  # made when asked for
        """Hydra's config."""
        return self._configs[1]

    @property
    def overrides(self) -> list[str]:  # type: ignore[override]  # made when asked for
        """The job's overrides, without those of Hydra's own config."""
        return list(self.hydra_cfg.hydra.overrides.task)

    @property
    def working_dir(self) -> str:  # type: ignore[override]  # made when asked for
        """Where the function ran: in the job's directory, or where the launcher runs."""
        chdir = self.hydra_cfg.hydra.job.chdir
        if chdir is None:
            chdir = not version.base_at_least("1.2")
        return str(self._job.directory) if chdir else str(Path.cwd())


class LaunchkitJobReturn(_Return):
    """How a job ended.

    Parameters
    ----------
    outcome
        How the job ended.
    task
        What makes its config.
    """

    def __init__(self, outcome: Outcome, task: HydraTask) -> None:
        completed = outcome.attempt.state is JobState.COMPLETED
        super().__init__(outcome.job, task, JobStatus.COMPLETED if completed else JobStatus.FAILED)
        self._outcome = outcome
        self._held_back = False

    @property  # type: ignore[misc]  # nobody sets it
    def return_value(self) -> Any:
        """What the job returned.

        Raises
        ------
        JobFailed
            If it did not complete. With Hydra 1.4 it is the job's own exception, where
            that can be had, with its traceback.
        """
        if self.status is JobStatus.COMPLETED:
            return self._outcome.value
        if self._held_back:
            return None
        failure = self._failure()
        if hasattr(failure, "_remote_traceback"):
            assert failure is not None
            return failure.return_value
        # Hydra 1.3 would print the launcher's frames for an exception without its own.
        raise JobFailed(self._outcome)

    @property
    def has_failed(self) -> bool:
        """Whether it ended badly by itself: a job that was ended on request has not failed."""
        state = self._outcome.attempt.state
        return state.bad and state is not JobState.CANCELLED

    def hold_back(self, held_back: bool = True) -> None:
        """Keep a failure from stopping the sweeper now."""
        self._held_back = held_back

    def _failure(self) -> JobReturn | None:
        """Return what Hydra said of the failed job in its process, if it could be kept."""
        try:
            failure = cloudpickle.loads((self._outcome.job.own / FAILURE_FILE).read_bytes())
        except Exception as error:  # unpickling the user's exception may raise anything
            log.debug("the exception of job %d cannot be had: %s", self._outcome.job.num, error)
            return None
        assert isinstance(failure, JobReturn)
        return failure


class HandedOver(_Return):
    """A job that has been handed over and is not waited for: its status is unknown.

    Parameters
    ----------
    handle
        What gives its state and value, later.
    task
        What makes its config.
    """

    def __init__(self, handle: JobHandle, task: HydraTask) -> None:
        super().__init__(handle.job, task, JobStatus.UNKNOWN)
        self._handle = handle

    @property  # type: ignore[misc]  # nobody sets it
    def return_value(self) -> JobHandle:
        """The handle."""
        return self._handle
