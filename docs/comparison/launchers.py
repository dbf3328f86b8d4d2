"""How each launcher is told what a trial wants of it; None where it has no setting for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

LIMIT_MIN = 0.05
"""Minutes, for the launchers that take a part of one."""


@dataclass(frozen=True)
class Launcher:
    """A launcher's settings.

    Parameters
    ----------
    name
        What it is called here.
    packages
        The distributions whose versions matter.
    base
        Its choice, with so much of it that at most two jobs run at once, if it can do that.
    settings
        Overrides by the name of what they are for.
    commands
        Its own commands, by what they are for; ``SWEEP`` stands for the sweep's directory.
    """

    name: str
    packages: tuple[str, ...]
    base: tuple[str, ...]
    settings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    commands: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


LAUNCHERS = {
    launcher.name: launcher
    for launcher in (
        Launcher(
            "launchkit",
            ("hydra-launchkit", "hydra-core"),
            ("hydra/launcher=launchkit_local", "hydra.launcher.n_jobs=2"),
            {
                "detach": ("hydra.launcher.detach=true",),
                "again": ("hydra.launcher.resume=true",),
                "retries": ("hydra.launcher.max_retries=2", "hydra.launcher.retry_delay_s=0.2"),
                "limit": (f"hydra.launcher.timeout_min={LIMIT_MIN}",),
                "fail_fast": ("hydra.launcher.fail_fast=true",),
                "gpus": ("hydra.launcher.gpus=[0,1]",),
                "dry_run": ("hydra.launcher.dry_run=true",),
            },
            {
                "status": ("launchkit", "status", "SWEEP", "--jobs"),
                "cancel": ("launchkit", "cancel", "SWEEP"),
            },
        ),
        Launcher(
            "submitit_local",
            ("hydra-submitit-launcher", "submitit", "hydra-core"),
            ("hydra/launcher=submitit_local",),
            {
                # Whole minutes only, and a signal 30 s before; it needs more than that.
                "limit": ("hydra.launcher.timeout_min=1",),
                "gpus": ("hydra.launcher.gpus_per_node=1",),
            },
        ),
        Launcher(
            "joblib",
            ("hydra-joblib-launcher", "joblib", "hydra-core"),
            ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2"),
            {"limit": ("hydra.launcher.timeout=3",)},
        ),
        Launcher(
            "ray",
            ("hydra-ray-launcher", "ray", "hydra-core"),
            ("hydra/launcher=ray", "+hydra.launcher.ray.init.num_cpus=2"),
            {
                "retries": (
                    "+hydra.launcher.ray.remote.max_retries=2",
                    "+hydra.launcher.ray.remote.retry_exceptions=true",
                ),
                "gpus": (
                    "+hydra.launcher.ray.init.num_gpus=2",
                    "+hydra.launcher.ray.remote.num_gpus=1",
                ),
            },
            {"status": ("ray", "list", "tasks")},
        ),
    )
}
