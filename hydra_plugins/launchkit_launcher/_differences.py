"""What has changed between a job as it was begun and as it is now."""

from __future__ import annotations

import functools
import json
import logging
import os
import pickle
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from hydra_plugins.launchkit_launcher._jobs import subdir_of
from hydra_plugins.launchkit_launcher._recipe import Recipe
from hydra_plugins.launchkit_launcher._task import HydraTask, only_recipes
from launchkit import masking, payload
from launchkit.job import Job
from launchkit.sweep import Sweep

log = logging.getLogger(__name__)

LINES = 12
WIDTH = 60


class Before:
    """The jobs of a sweep as they were when they were last begun.

    Parameters
    ----------
    sweep
        The sweep.
    """

    def __init__(self, sweep: Sweep) -> None:
        self.jobs = {job.num: job for job in sweep.jobs}
        self._sweep = sweep
        self._batches: dict[int, Mapping[int, Recipe]] = {}
        self._firsts = payload.batches(sweep)

    def difference(self, job: Job, recipe: Recipe) -> str:
        """Return how a job differs from the one of its number, in words; empty if it does not.

        Its overrides, directory and composed config are compared, before interpolations are
        resolved, and Hydra's own config apart.
        """
        old = self.jobs[job.num]
        if job.overrides != old.overrides:
            return _overrides(old, job)
        if job.directory != old.directory:
            return f"directory {old.directory} is now {job.directory}"
        lines = self._config_lines(old, recipe)
        if not lines:
            return ""
        more = [f"  … {len(lines) - LINES} more lines"] if len(lines) > LINES else []
        return "\n".join(["another config", *(f"  {line}" for line in lines[:LINES]), *more])

    def keeps_directory(self, num: int, recipe: Recipe) -> bool:
        """Tell whether a job's directory has the same words for its name as before.

        They need not give the same name: the time may be in them.
        """
        old = self._recipe(num)
        if old is not None:
            return subdir_of(old.compose()) == subdir_of(recipe.compose())
        try:
            path = self.jobs[num].directory / ".hydra" / "hydra.yaml"
            return subdir_of(OmegaConf.load(path)) == subdir_of(recipe.compose())
        except Exception as error:  # it may be damaged, or of objects that YAML cannot make
            log.debug("the directory of job %d is not known as it was begun: %s", num, error)
            return False

    def _config_lines(self, job: Job, recipe: Recipe) -> list[str]:
        old = self._recipe(job.num)
        try:
            if old is None:
                before = _written(job.directory)
            elif old.values == recipe.values:
                changes = _base_changes(old.base, recipe.base)
                if not any(_touches(value, key) for value in recipe.values for key in changes):
                    return list(changes.values())
                before = _yaml(old.compose())
            else:
                before = _yaml(old.compose())
        except Exception as error:  # the classes of the user's schema may be others by now
            log.debug("the config of job %d cannot be made as it was: %s", job.num, error)
            before = _written(job.directory)
        if before is None:
            return []  # it was never started, and what it was to run could not be kept
        return list(_changes(before, _yaml(recipe.compose())).values())

    def _recipe(self, num: int) -> Recipe | None:
        first = payload.batch_of(num, self._firsts)
        if first not in self._batches:
            self._batches[first] = _recipes(self._sweep, first)
        return self._batches[first].get(num)


def _recipes(sweep: Sweep, first: int) -> Mapping[int, Recipe]:
    """Return the recipes of a batch; none where they could not be kept, or not be read here."""
    # What the jobs run brings along where its launcher ran.
    path, directory = list(sys.path), Path.cwd()
    try:
        with only_recipes():
            task = payload.load(sweep, first, other_versions=True)
    except Exception as error:  # unpickling what is of another program may raise anything
        log.debug("what job %d was to run cannot be read: %s", first, error)
        return {}
    finally:
        sys.path[:] = path
        os.chdir(directory)
    return task.recipes if isinstance(task, HydraTask) else {}


@functools.lru_cache(maxsize=64)
def _base_changes(before: bytes, now: bytes) -> Mapping[str, str]:
    """Return what has changed between two pickled configs, which many jobs share."""
    return _changes(_yaml(pickle.loads(before)), _yaml(pickle.loads(now)))


def _touches(override: str, key: str) -> bool:
    """Tell whether a value override may change what is said of a key."""
    if not key:
        return True
    name = override.partition("=")[0].lstrip("+~").partition("@")[0]
    return f"{key}.".startswith((f"{name}.", f"{name}[")) or name.startswith((f"{key}.", f"{key}["))


def _yaml(config: DictConfig) -> str:
    own = [str(key) for key in config if key != "hydra"]
    return OmegaConf.to_yaml(OmegaConf.masked_copy(config, own))


def _written(directory: Path) -> str | None:
    """Return the config that Hydra wrote when the job was started."""
    try:
        return (directory / ".hydra" / "config.yaml").read_text(encoding="utf-8")
    except OSError:
        return None


def _overrides(old: Job, new: Job) -> str:
    gone = [line for line in old.overrides if line not in new.overrides]
    added = [line for line in new.overrides if line not in old.overrides]
    before, now = (" ".join(map(masking.mask_override, lines)) for lines in (gone, added))
    if gone and added:
        return f"{before} is now {now}"
    if gone or added:
        return f"{before} is gone" if gone else f"{now} is new"
    return f"its overrides are in another order: {old.describe()}, now {new.describe()}"


def _changes(before: str, now: str) -> dict[str, str]:
    """Return what has changed between two configs in YAML, a line a key."""
    if before == now:
        return {}
    try:
        old, new = (dict(_leaves("", _container(text))) for text in (before, now))
    except Exception as error:  # objects that YAML can write, and not make again
        log.debug("configs cannot be compared key by key: %s", error)
        return {"": "it has changed, and cannot be read key by key"}
    lines = {}
    for key in {**old, **new}:
        if key not in new:
            lines[key] = f"{key} is gone; it was {_shown(key, old[key])}"
        elif key not in old:
            lines[key] = f"{key} is new: {_shown(key, new[key])}"
        elif old[key] != new[key] or type(old[key]) is not type(new[key]):
            was, is_ = _shown(key, old[key]), _shown(key, new[key])
            lines[key] = f"{key} was {was}, now {is_}" if was != is_ else f"{key} has changed"
    return lines


def _container(text: str) -> Any:
    return OmegaConf.to_container(OmegaConf.create(text), resolve=False)


def _leaves(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the values of nested dicts and lists, each with its whole key."""
    if isinstance(value, dict) and value:
        for name, item in value.items():
            yield from _leaves(f"{key}.{name}" if key else str(name), item)
    elif isinstance(value, list) and value:
        for at, item in enumerate(value):
            yield from _leaves(f"{key}[{at}]", item)
    else:
        yield key, value


def _shown(key: str, value: Any) -> str:
    text = json.dumps(masking.mask_values({key: value})[key], ensure_ascii=False, default=str)
    return text if len(text) <= WIDTH else f"{text[: WIDTH - 1]}…"
