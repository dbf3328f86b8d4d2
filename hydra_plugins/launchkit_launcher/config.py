"""Makes the settings of the modes and the callback known to Hydra's ConfigStore.

Every Hydra program on the machine imports this module at its start, and most compose none
of our configs. A dataclass costs as much to make and to convert as all the rest of the
plugin, so each waits in the store until it is first composed.
"""

from __future__ import annotations

from typing import Any

from hydra.core.config_store import ConfigNode, ConfigStore

NAMES = {
    "hydra/launcher": (
        "launchkit_here_no_doodad",
        "launchkit_local",
        "launchkit_local_docker",
        "launchkit_local_singularity",
        "launchkit_ssh",
        "launchkit_slurm_singularity",
        "launchkit_sss",
        "launchkit_ec2",
        "launchkit_gcp",
    ),
    "hydra/callbacks": ("launchkit",),
}


OPEN = frozenset({"env", "gcp_kwargs", "inputs"})
"""Settings whose keys are the user's own."""


class LazyNode(ConfigNode):
    """A config in the store that is made of its dataclass when it is first asked for.

    Parameters
    ----------
    group
        The config group.
    name
        The config's name.
    """

    def __init__(self, group: str, name: str) -> None:
        self._made: Any = None
        self._key = (group, name)
        self.name = f"{name}.yaml"
        self.group = group
        self.package = None
        self.provider = "launchkit"

    @property
    def node(self) -> Any:
        """The config."""
        if self._made is None:
            from omegaconf import OmegaConf  # noqa: PLC0415 - see above

            from hydra_plugins.launchkit_launcher._settings import NODES  # noqa: PLC0415 - see above

            self._made = OmegaConf.structured(NODES[self._key])
            for key in OPEN.intersection(self._made):
                # Else a user would have to write `+hydra.launcher.env.NAME=value`.
                OmegaConf.set_struct(self._made[key], False)
        return self._made

    @node.setter
    def node(self, value: Any) -> None:
        self._made = value


def register() -> None:
    """Put the configs into Hydra's store."""
    for group, names in NAMES.items():
        folder = ConfigStore.instance().repo
        for part in group.split("/"):
            folder = folder.setdefault(part, {})
        for name in names:
            node = LazyNode(group, name)
            folder[node.name] = node


register()
