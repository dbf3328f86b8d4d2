"""The jobs of a batch, made of what Hydra's sweeper gives: overrides."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import filter_overrides
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from hydra_plugins.launchkit_launcher._task import HydraTask
from launchkit.job import Job, Needs
from launchkit.policy import check_timeout, check_whole

NEEDS = {"gpus_per_job": "gpus", "cpus_per_job": "cpus", "timeout_min": "timeout_min"}
"""The settings of a launcher that may differ by job, and what they are of a job's needs."""
RESOLVER = re.compile(r"\$\{[^{}]*:")


def by_job(config: DictConfig) -> list[str]:
    """Return the launcher's settings that refer to the config of each job."""
    launcher = config.hydra.launcher
    return [key for key in NEEDS if key in launcher and OmegaConf.is_interpolation(launcher, key)]


def for_all(settings: Mapping[str, Any], config: DictConfig) -> dict[str, Any]:
    """Return the settings without what the multirun's own config gives for those by job."""
    of_jobs = by_job(config)
    common = {**settings, **dict.fromkeys(of_jobs)}
    if "gpus_per_job" in of_jobs and common["gpus"] is None:
        common["gpus"] = "auto"
    return common


def subdir_of(config: Any) -> str:
    """Return what names a job's directory, before interpolations are resolved."""
    # `to_container`, which is public, takes three times as long, for every job.
    return str(config.hydra.sweep._get_node("subdir")._value())


class JobMaker:
    """Makes the jobs of a multirun.

    Parameters
    ----------
    config
        The multirun's config.
    sweep_directory
        The directory of the sweep.
    """

    def __init__(self, config: DictConfig, sweep_directory: Path) -> None:
        self._directory = sweep_directory
        self._by_job = by_job(config)

    def make(self, task: HydraTask, num: int, overrides: Sequence[str]) -> Job:
        """Make a job.

        Raises
        ------
        ValueError
            If a setting that refers to the job's config does not resolve, or is wrong.
        """
        config = task.config(num)
        with _as_hydras(config):
            directory = self._job_directory(config)
            needs = self._needs(config, num) if self._by_job else Needs()
        if directory is None:
            # The job fails with Hydra's own error, and needs a place to say so.
            directory = Path(os.path.abspath(self._directory / str(num)))  # noqa: PTH100
        elif RESOLVER.search(subdir_of(config)):
            # Its name may be another by the time it runs: it may have the time in it.
            task.pinned.add(num)
        return Job(num, tuple(filter_overrides(overrides)), directory, needs)

    def _job_directory(self, config: DictConfig) -> Path | None:
        """Return a job's directory; None where its name does not resolve."""
        try:
            sweep = str(OmegaConf.select(config, "hydra.sweep.dir"))
            subdir = str(OmegaConf.select(config, "hydra.sweep.subdir"))
        except OmegaConfBaseException:
            return None
        return Path(os.path.abspath(os.path.join(sweep, subdir)))  # noqa: PTH100, PTH118

    def _needs(self, config: DictConfig, num: int) -> Needs:
        values = {}
        for key in self._by_job:
            try:
                value = OmegaConf.select(config, f"hydra.launcher.{key}", throw_on_missing=True)
            except OmegaConfBaseException as error:
                reason = str(error).splitlines()[0]
                raise ValueError(f"job {num}: hydra.launcher.{key}: {reason}") from error
            _check(key, value, num)
            values[NEEDS[key]] = value
        return Needs(**values)


def _check(key: str, value: Any, num: int) -> None:
    try:
        if key == "timeout_min":
            check_timeout(value)
        else:
            check_whole(key, value, 0 if key == "gpus_per_job" else 1, optional=True)
    except ValueError as error:
        raise ValueError(f"job {num}: hydra.launcher.{error}") from error


@contextmanager
def _as_hydras(config: DictConfig) -> Iterator[None]:
    """Let ``${hydra:…}`` look into a job's config."""
    hydra_config = HydraConfig.instance()
    current = hydra_config.cfg
    # Not by `set_config`, which copies all of it.
    hydra_config.cfg = config  # type: ignore[assignment]  # as Hydra itself does
    try:
        yield
    finally:
        hydra_config.cfg = current
