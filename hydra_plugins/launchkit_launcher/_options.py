"""The settings of a launcher, sorted by who they are for."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from omegaconf import OmegaConf

from launchkit.policy import Policy
from launchkit.sweep import EXISTING

POLICY = tuple(field.name for field in dataclasses.fields(Policy))


@dataclass(frozen=True)
class Options:
    """How a multirun is launched.

    Parameters
    ----------
    policy
        What is done about jobs that end badly.
    mode_settings
        The mode's own settings.
    existing
        What to do where the directory holds a sweep already: see `make_way`.
    dry_run
        Whether to print the plan and run nothing.
    detach
        Whether the launcher leaves the jobs to a supervisor.
    resume
        Whether the sweep in the directory is taken up.
    force
        Whether it is taken up though it differs.

    Raises
    ------
    ValueError
        If one of them is wrong, or two contradict each other.
    """

    policy: Policy
    mode_settings: Mapping[str, Any]
    existing: str = EXISTING[0]
    dry_run: bool = False
    detach: bool = False
    resume: bool = False
    force: bool = False

    def __post_init__(self) -> None:
        if self.force and not self.resume:
            raise ValueError("force is true and resume is not; there is nothing to force")
        if self.resume and self.existing != EXISTING[0]:
            raise ValueError(f"resume is true and existing is {self.existing!r}; leave one out")

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Options:
        """Sort the settings of a launcher."""
        left = {key: _plain(value) for key, value in settings.items()}
        policy = Policy(**{key: left.pop(key) for key in POLICY if key in left})
        own = {field.name for field in dataclasses.fields(cls)} - {"policy", "mode_settings"}
        chosen = {key: left.pop(key) for key in own if key in left}
        return cls(policy, left, **chosen)


def _plain(value: Any) -> Any:
    # Hydra 1.4 leaves to the plugin what its lists refer to.
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
