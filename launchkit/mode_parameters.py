"""rlkit's parameters of `run_experiment` that are for some modes, as these modes' settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from launchkit.modes import registry

OF_MODES: dict[str, tuple[Any, str, tuple[str, ...]]] = {
    "local_input_dir_to_mount_point_dict": (
        None,
        "inputs",
        ("local_docker", "local_singularity", "ssh", "slurm_singularity"),
    ),
    "time_in_mins": (None, "time_in_mins", ("slurm_singularity", "sss")),
    "ssh_host": (None, "host", ("ssh",)),
    "sync_interval": (180, "sync_interval", ("ec2", "gcp")),
    "region": ("us-east-1", "region", ("ec2",)),
    "instance_type": (None, "instance_type", ("ec2", "gcp")),
    "spot_price": (None, "spot_price", ("ec2",)),
    "num_exps_per_instance": (1, "num_exps_per_instance", ("ec2", "gcp")),
    "gcp_kwargs": (None, "gcp_kwargs", ("gcp",)),
}
"""Parameters for some modes: their default, the mode's setting, and which modes these are."""

USE_GPU: dict[str, tuple[str, Any]] = {
    "local_docker": ("gpus", "auto"),
    "local_singularity": ("gpus", "auto"),
    "ssh": ("gpus", "auto"),
    "slurm_singularity": ("gpus", 1),
    "sss": ("gpus", 1),
    "ec2": ("use_gpu", True),
    "gcp": ("use_gpu", True),
}
"""The setting that ``use_gpu`` gives, in the modes where a GPU is there only if asked for."""


def settings_of(mode: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the parameters say to a mode; raise ValueError for what says nothing to it."""
    registry.find(mode)
    settings = dict(given["mode_kwargs"] or {})
    for name, (default, setting, modes) in OF_MODES.items():
        if given[name] == default:
            if mode in modes and default is not None:
                settings.setdefault(setting, default)
            continue
        if mode not in modes:
            raise ValueError(
                f"mode {mode!r} cannot honour {name}={given[name]!r}; it is for {', '.join(modes)}"
            )
        if setting in settings:
            raise ValueError(f"{name} is {given[name]!r}, and mode_kwargs has {setting!r} as well")
        settings[setting] = given[name]
    if given["use_gpu"] and mode in USE_GPU:
        setting, value = USE_GPU[mode]
        settings.setdefault(setting, value)
    return _unfolded(settings) if mode == "gcp" else settings


def _unfolded(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings of which those that rlkit's `gcp_kwargs` has are on the same level."""
    known = registry.find("gcp").setting_names()
    folded = dict(settings.get("gcp_kwargs", {}))
    folded |= folded.pop("gpu_kwargs", None) or {}
    own = {name: value for name, value in folded.items() if name in known}
    rest = {name: value for name, value in folded.items() if name not in own}
    return {**settings, **own, "gcp_kwargs": rest}
