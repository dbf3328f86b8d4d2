"""Which modes there are, and how one is made from its name and settings."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from launchkit.modes.base import Mode

MODES = {
    "here_no_doodad": "launchkit.modes.here:HereMode",
    "local": "launchkit.modes.local:LocalMode",
    "local_docker": "launchkit.modes.docker:DockerMode",
    "local_singularity": "launchkit.modes.singularity:SingularityMode",
    "ssh": "launchkit.modes.ssh:SshMode",
    "slurm_singularity": "launchkit.modes.slurm:SlurmMode",
    "sss": "launchkit.modes.sss:ScriptMode",
    "ec2": "launchkit.modes.ec2:Ec2Mode",
    "gcp": "launchkit.modes.gcp:GcpMode",
}
"""Where each mode's class is, by the mode's name."""


def find(name: str) -> type[Mode]:
    """Return the class of a mode.

    Raises
    ------
    ValueError
        If there is no such mode.
    """
    try:
        module, _, attribute = MODES[name].partition(":")
    except KeyError:
        raise ValueError(f"unknown mode {name!r}; the modes are {', '.join(MODES)}") from None
    found: type[Mode] = getattr(importlib.import_module(module), attribute)
    return found


def create(name: str, settings: Mapping[str, Any]) -> Mode:
    """Make a mode from its name and settings.

    Raises
    ------
    ValueError
        If there is no such mode, or it has no such setting, or a value is wrong.
    """
    mode = find(name)
    known = mode.setting_names()
    for key in settings:
        if key not in known:
            raise ValueError(
                f"mode {name!r} has no setting {key!r}; "
                + (f"its settings are {', '.join(known)}" if known else "it has none")
            )
    return mode(**settings)
