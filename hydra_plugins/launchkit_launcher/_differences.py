"""What has changed between a sweep as it was begun and as it is resumed."""

from __future__ import annotations

import difflib
import functools
import os
import pickle
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from hydra.core.singleton import Singleton
from omegaconf import DictConfig, OmegaConf

from hydra_plugins.launchkit_launcher._recipe import Recipe
from hydra_plugins.launchkit_launcher._task import HydraTask
from launchkit import payload
from launchkit.job import Job
from launchkit.payload import PayloadError
from launchkit.sweep import Sweep

SHOWN = 3
LINES = 12


def differences(sweep: Sweep, jobs: Sequence[Job], task: HydraTask) -> list[str]:
    """Return how jobs differ from those of their numbers in a sweep, some lines for each.

    Their overrides, directories and composed configs are compared, Hydra's own apart.

    Parameters
    ----------
    sweep
        The sweep, as it was begun.
    jobs
        Jobs as they are now.
    task
        What makes their configs.
    """
    known = {job.num: job for job in sweep.jobs}
    configs = _Configs(sweep)
    found = []
    for job in jobs:
        if job.num not in known:
            found.append(f"job {job.num} is new: {job.describe()}")
        elif job.overrides != (old := known[job.num]).overrides:
            found.append(f"job {job.num} was: {old.describe()}\n      now: {job.describe()}")
        elif job.directory != old.directory:
            found.append(f"job {job.num} was in {old.directory}, now in {job.directory}")
        elif changed := configs.difference(old, task.recipes[job.num]):
            found.append(f"job {job.num}, {job.describe()}, has another config:\n{changed}")
    return found


class _Configs:
    """The configs of a sweep's jobs, as they were when it was begun."""

    def __init__(self, sweep: Sweep) -> None:
        self._sweep = sweep
        self._batches: dict[int, Mapping[int, Recipe] | None] = {}

    def difference(self, job: Job, recipe: Recipe) -> str:
        """Return how a job's config differs, as lines of a diff; empty where it does not."""
        old = self._recipe(job.num)
        if old is None:
            before = _written(job.directory)
        elif old.values == recipe.values and _base_yaml(old.base) == _base_yaml(recipe.base):
            return ""
        else:
            before = _yaml(old.compose())
        if before is None:
            return ""  # it was never started, and what it was to run could not be kept
        lines = list(_diff(before, _yaml(recipe.compose())))
        more = f"\n  … {len(lines) - LINES} more lines" if len(lines) > LINES else ""
        return "\n".join(f"  {line}" for line in lines[:LINES]) + more

    def _recipe(self, num: int) -> Recipe | None:
        first = payload.first_of(self._sweep, num)
        if first not in self._batches:
            self._batches[first] = _recipes(self._sweep, first)
        batch = self._batches[first]
        return None if batch is None else batch.get(num)


def _recipes(sweep: Sweep, first: int) -> Mapping[int, Recipe] | None:
    """Return the recipes of a batch; None where they could not be kept, or not be read here."""
    # What the jobs run brings along where its launcher ran, and the launcher's singletons.
    ours, path, directory = dict(Singleton.get_state()), list(sys.path), Path.cwd()
    try:
        task = payload.load(sweep, first, other_versions=True)
    except (PayloadError, ImportError, AttributeError, pickle.UnpicklingError):
        return None
    finally:
        Singleton.set_state(ours)
        sys.path[:] = path
        os.chdir(directory)
    return task.recipes if isinstance(task, HydraTask) else None


@functools.lru_cache(maxsize=64)
def _base_yaml(base: bytes) -> str:
    config: DictConfig = pickle.loads(base)
    return _yaml(config)


def _yaml(config: DictConfig) -> str:
    own = [str(key) for key in config if key != "hydra"]
    return OmegaConf.to_yaml(OmegaConf.masked_copy(config, own))


def _written(directory: Path) -> str | None:
    """Return the config that Hydra wrote when the job was started."""
    try:
        return (directory / ".hydra" / "config.yaml").read_text(encoding="utf-8")
    except OSError:
        return None


def _diff(before: str, now: str) -> list[str]:
    lines = difflib.unified_diff(before.splitlines(), now.splitlines(), "then", "now", "", "", 1)
    return list(lines)[2:]
