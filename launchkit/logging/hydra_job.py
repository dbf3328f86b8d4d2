"""The Hydra job that runs in this process, seen without importing Hydra."""

from __future__ import annotations

import os
import sys
from typing import Any, NamedTuple

_HYDRA_CONFIG = "hydra.core.hydra_config"


class HydraJob(NamedTuple):
    """A job's config, by whose identity one job is told from the next, and its directory."""

    config: Any
    output_dir: str


def current_config() -> Any:
    """Return the config of Hydra's current job or program, or None outside Hydra."""
    module = sys.modules.get(_HYDRA_CONFIG)
    # A module that is still being imported has no class yet.
    hydra_config = getattr(module, "HydraConfig", None)
    return hydra_config.instance().cfg if hydra_config is not None else None


def current_job() -> HydraJob | None:
    """Return the current job, or None outside of a job.

    The launcher's own process, between the jobs of a sweep, has a config but no output
    directory: it is outside of a job.
    """
    config = current_config()
    if config is None:
        return None
    from omegaconf import OmegaConf  # noqa: PLC0415 - Hydra has imported it

    output_dir = OmegaConf.select(config, "hydra.runtime.output_dir", throw_on_missing=False)
    return HydraJob(config, os.path.abspath(output_dir)) if output_dir else None  # noqa: PTH100
