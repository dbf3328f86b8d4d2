"""The settings of each mode, and of the callback, as Hydra composes them."""

from dataclasses import dataclass
from typing import Optional

LAUNCHER = "hydra_plugins.launchkit_launcher.launcher.LaunchkitLauncher"


@dataclass
class SweepConf:
    """What the settings of every mode begin with."""

    existing: str = "refuse"
    """Where the directory holds a sweep already: ``refuse``, or ``set_aside`` (rename it)."""


@dataclass
class HereNoDoodadConf(SweepConf):
    """One job after the other, in the launcher's own process."""

    _target_: str = LAUNCHER
    mode: str = "here_no_doodad"


@dataclass
class LocalConf(SweepConf):
    """Each job in a process of its own on this machine."""

    _target_: str = LAUNCHER
    mode: str = "local"

    n_jobs: Optional[int] = None  # noqa: UP045
    """How many jobs run at a time; null for as many as the cores this process may use."""

    start_method: str = "auto"
    """``fork`` (shares all that is imported), ``spawn`` (a new interpreter), or ``auto``."""


@dataclass
class CallbackConf:
    """The logger of each job."""

    _target_: str = "launchkit.callback.LaunchkitCallback"

    snapshot_mode: str = "last"
    """What `save_itr_params` keeps: all, last, gap, gap_and_last or none."""

    snapshot_gap: int = 1
    """With ``gap`` and ``gap_and_last``: keep the iterations it divides."""

    print_table: bool = True
    """Whether each dumped row is also printed, as a table, and put in debug.log."""

    log_tabular_only: bool = False
    """Whether the terminal shows dumped rows only; ``debug.log`` gets all the same."""


NODES = {
    ("hydra/launcher", "launchkit_here_no_doodad"): HereNoDoodadConf,
    ("hydra/launcher", "launchkit_local"): LocalConf,
    ("hydra/callbacks", "launchkit"): {"launchkit": CallbackConf},
}
"""What each config is made of, by its group and name."""
