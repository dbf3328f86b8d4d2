"""A recipe: what a job's config is made of, small enough to keep one for each job.

This leans on private names of Hydra; `_compose` sees to it that a recipe gives what Hydra
itself composes.
"""

from __future__ import annotations

import contextlib
import functools
import pickle
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.utils import JobRuntime
from omegaconf import DictConfig, OmegaConf

OF_PLUGINS = re.compile(rb"hydra_plugins\.(?!launchkit_launcher)")
"""Modules of plugins other than launchkit's."""


@dataclass(frozen=True)
class Recipe:
    """How to make the config of a job, in any process.

    Parameters
    ----------
    base
        A pickled config, shared by all jobs with the same choices of groups.
    values
        The value overrides to apply to it, in their order.
    task
        All overrides of the job, as ``hydra.overrides.task`` lists them; None where the
        base is the job's own config already.
    """

    base: bytes = field(repr=False)
    values: tuple[str, ...] = ()
    task: tuple[str, ...] | None = None

    def compose(self) -> DictConfig:
        """Make the config, the ``hydra`` node included."""
        config: DictConfig = pickle.loads(self.base)
        if self.task is None:
            return config
        from hydra._internal.config_loader_impl import ConfigLoaderImpl  # noqa: PLC0415 - private

        ConfigLoaderImpl._apply_overrides_to_config(parse_overrides(self.values), config)
        config.hydra.overrides.task = list(self.task)
        if "name" not in config.hydra.job:
            config.hydra.job.name = JobRuntime.instance().get("name")
        _set_override_dirname(config, self.task)
        return config

    def __getstate__(self) -> dict[str, Any]:
        """Pickle for another process, which has another ``__main__``."""
        return {**self.__dict__, "base": _portable(self.base)}


def pickled(config: DictConfig) -> bytes:
    """Pickle a config."""
    try:
        return pickle.dumps(config)
    except (pickle.PicklingError, AttributeError, TypeError):
        import cloudpickle  # noqa: PLC0415 - slow to import, and hardly ever needed

        # A schema's class may be one that only this process has, made in a function say.
        return bytes(cloudpickle.dumps(config))


@functools.lru_cache(maxsize=64)
def _portable(pickled: bytes) -> bytes:
    """Put the classes of the program itself, and of plugins, into a pickle that refers to them."""
    if b"__main__" not in pickled and not OF_PLUGINS.search(pickled):
        return pickled
    import cloudpickle  # noqa: PLC0415 - slow to import, and hardly ever needed

    with plugins_by_value():
        return bytes(cloudpickle.dumps(pickle.loads(pickled)))


@contextlib.contextmanager
def plugins_by_value() -> Iterator[None]:
    """Let cloudpickle take along the classes of other plugins.

    The launcher's Hydra knows of all that are installed; none need be where the jobs run.
    """
    import cloudpickle  # noqa: PLC0415 - slow to import, and hardly ever needed

    modules = [
        module for name, module in list(sys.modules.items()) if OF_PLUGINS.match(name.encode())
    ]
    registered = set(cloudpickle.list_registry_pickle_by_value())
    added = [module for module in modules if module.__name__ not in registered]
    for module in added:
        cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        for module in added:
            cloudpickle.unregister_pickle_by_value(module)


_parser: OverridesParser | None = None
_parsed: dict[str, Override] = {}


def parse_overrides(lines: tuple[str, ...]) -> list[Override]:
    """Parse overrides; the same line, as sweeps have it many times, only once."""
    global _parser  # noqa: PLW0603
    if _parser is None:
        _parser = OverridesParser.create()
    for line in lines:
        if line not in _parsed:
            _parsed[line] = _parser.parse_overrides([line])[0]
    return [_parsed[line] for line in lines]


def _set_override_dirname(config: DictConfig, lines: tuple[str, ...]) -> None:
    """Set ``hydra.job.override_dirname``, which is a plain string before Hydra 1.4."""
    job = config.hydra.job
    if OmegaConf.is_interpolation(job, "override_dirname"):
        return
    from hydra._internal.config_loader_impl import (  # noqa: PLC0415 - private, and gone in 1.4
        get_overrides_dirname,
    )

    options = job.config.override_dirname
    job.override_dirname = get_overrides_dirname(
        overrides=parse_overrides(lines),
        kv_sep=options.kv_sep,
        item_sep=options.item_sep,
        exclude_keys=options.exclude_keys,
    )
