"""Composing the configs of a sweep at a fraction of what composing each costs.

All that Hydra does before it applies the value overrides depends only on the choices of
config groups. So that part is composed once for each set of choices and kept pickled;
a job's config is that, unpickled, with the job's values applied in their order.

This leans on private names of Hydra. Each kind of job is therefore composed by Hydra once
and compared, YAML for YAML; on any difference, or a name that is gone, Hydra composes all.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Sequence
from typing import Any, cast

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from hydra_plugins.launchkit_launcher._recipe import Recipe, parse_overrides, pickled

log = logging.getLogger(__name__)

Kind = tuple[tuple[Any, ...], ...]


class _RecipeLoader(ConfigLoader):
    """A mixin: the config loader it is put in front of, with recipes for sweep configs."""

    _families: dict[tuple[str, ...], _Family]
    _groups: dict[str, bool]
    _job: dict[str, Any]
    """``hydra.job`` of the last config composed, as it was before its values."""

    def load_sweep_config(
        self, master_config: DictConfig, sweep_overrides: list[str]
    ) -> DictConfig:
        """Compose a job's config, as the loader behind does."""
        return self.recipe(master_config, sweep_overrides).compose()

    def recipe(self, master_config: DictConfig, sweep_overrides: Sequence[str]) -> Recipe:
        """Return the recipe of a job's config.

        Raises
        ------
        ConfigCompositionException
            Hydra's own, if the overrides do not compose.
        """
        try:
            family, values = self._classify(master_config, sweep_overrides)
        except (AttributeError, TypeError, ImportError, ValueError, HydraException) as error:
            log.debug("overrides %s cannot be classified: %s", sweep_overrides, error)
            return self._composed(master_config, sweep_overrides)
        if family is None:
            return self._composed(master_config, sweep_overrides)
        return family.recipe(self, master_config, sweep_overrides, values)

    def _classify(
        self, master_config: DictConfig, sweep_overrides: Sequence[str]
    ) -> tuple[_Family | None, list[Override]]:
        """Split a job's overrides into choices of groups and values.

        No family where an override is of Hydra's own config, which may change anything.
        """
        choices, values = [], []
        for line, override in zip(
            sweep_overrides, parse_overrides(tuple(sweep_overrides)), strict=True
        ):
            if override.key_or_group.replace("/", ".").split(".")[0] == "hydra":
                return None, []
            if self._is_choice(master_config, override):
                choices.append(line)
            else:
                values.append(override)
        return self._families.setdefault(tuple(choices), _Family(tuple(choices))), values

    def _is_choice(self, master_config: DictConfig, override: Override) -> bool:
        key = override.key_or_group
        if key not in self._groups:
            hydra_overrides = OmegaConf.to_container(master_config.hydra.overrides.hydra)
            _, repository = self._parse_overrides_and_create_caching_repo(  # type: ignore[attr-defined]  # private
                master_config.hydra.job.config_name, hydra_overrides
            )
            self._groups[key] = repository.group_exists(key)
        return self._groups[key] and not isinstance(override.value(), dict)

    def _composed(self, master_config: DictConfig, overrides: Sequence[str]) -> Recipe:
        """Let Hydra compose a config, and keep it whole."""
        return Recipe(pickled(self._original(master_config, overrides)))

    def _base(self, master_config: DictConfig, choices: tuple[str, ...]) -> bytes | None:
        """Compose what the jobs of a family share; None if that cannot be had."""
        self._job = {}
        try:
            base = self._original(master_config, choices)
            if "${" in str(self._job["env_copy"]):
                return None  # which variables Hydra copies depends on the values
            if "${" in self._job["name"]:
                # Hydra puts the program's name in its place where it does not resolve, and
                # here it has no values to resolve with.
                base.hydra.job.name = self._job["name"]
        except Exception as error:  # with its values, a job may compose all the same
            log.debug("no base for %s: %s: %s", choices, type(error).__name__, error)
            return None
        return pickled(base)

    def _compose_config_from_defaults_list(self, *args: Any, **kwargs: Any) -> DictConfig:
        config: DictConfig = super()._compose_config_from_defaults_list(*args, **kwargs)  # type: ignore[misc]  # private
        self._job = cast(dict[str, Any], OmegaConf.to_container(config.hydra.job, resolve=False))
        return config

    def _original(self, master_config: DictConfig, overrides: Sequence[str]) -> DictConfig:
        return super().load_sweep_config(master_config, list(overrides))  # type: ignore[safe-super]  # a mixin


class _Family:
    """The jobs of a sweep that make the same choices of groups."""

    def __init__(self, choices: tuple[str, ...]) -> None:
        self._choices = choices
        self._base: bytes | None = None
        self._seen = 0
        self._kinds: dict[Kind, bool] = {}

    def recipe(
        self,
        loader: _RecipeLoader,
        master_config: DictConfig,
        overrides: Sequence[str],
        values: list[Override],
    ) -> Recipe:
        """Return the recipe of one job, made from the base where that is known to be right."""
        self._seen += 1
        # A base pays from the second job on; many a family has only one.
        if self._seen == 2:
            self._base = loader._base(master_config, self._choices)
        if self._base is None:
            return loader._composed(master_config, overrides)
        short = Recipe(self._base, tuple(_line(value) for value in values), tuple(overrides))
        kind = _kind(values)
        if kind not in self._kinds:
            whole = loader._composed(master_config, overrides)
            self._kinds[kind] = _same(short, whole)
            if not self._kinds[kind]:
                log.debug("%s: composing from a base differs from Hydra's own", list(overrides))
            return whole
        if self._kinds[kind]:
            return short
        return loader._composed(master_config, overrides)


def with_recipes(loader: ConfigLoader) -> _RecipeLoader:
    """Return a config loader that does what `loader` does, and knows recipes."""
    if isinstance(loader, _RecipeLoader):
        return loader
    clever = copy.copy(loader)
    clever.__class__ = type("RecipeLoader", (_RecipeLoader, type(loader)), {})
    assert isinstance(clever, _RecipeLoader)
    clever._families = {}
    clever._groups = {}
    return clever


def _kind(values: Sequence[Override]) -> Kind:
    """Return what the way an override is applied depends on."""
    return tuple((value.type, value.key_or_group, type(value.value())) for value in values)


def _same(short: Recipe, whole: Recipe) -> bool:
    try:
        return OmegaConf.to_yaml(short.compose()) == OmegaConf.to_yaml(whole.compose())
    except Exception as error:  # whatever it is, Hydra's own way is the way then
        log.debug("composing from a base raises %s: %s", type(error).__name__, error)
        return False


def _line(override: Override) -> str:
    assert override.input_line is not None
    return override.input_line
