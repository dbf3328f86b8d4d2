"""launchkit: one Hydra launcher for whole sweeps.

`logger` is what an experiment writes its metrics and snapshots with, `restore` gives back
the newest snapshot, `load_sweep` reads a sweep into pandas, and `run_experiment` starts one
without Hydra.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from launchkit._version import __version__

if TYPE_CHECKING:
    from launchkit.launcher_util import run_experiment
    from launchkit.logging import logger, restore
    from launchkit.results import load_sweep

__all__ = ["__version__", "load_sweep", "logger", "restore", "run_experiment"]

_WHERE = {
    "load_sweep": "launchkit.results",
    "logger": "launchkit.logging",
    "restore": "launchkit.logging",
    "run_experiment": "launchkit.launcher_util",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for: `import launchkit` costs next to nothing."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(importlib.import_module(_WHERE[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
