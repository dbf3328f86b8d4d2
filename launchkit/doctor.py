"""What is installed, and what each mode needs of it."""

from __future__ import annotations

import platform
import sys
from importlib import metadata, util

from launchkit._version import __version__
from launchkit.doodad import engine
from launchkit.logging.table import format_table
from launchkit.modes import registry

PACKAGES = ("hydra-core", "omegaconf", "cloudpickle", "pandas")
PLUGIN = "hydra_plugins.launchkit_launcher"


def report() -> str:
    """Return versions, whether Hydra finds the plugin, and the modes' table, as text."""
    rows = [
        ("launchkit", __version__),
        ("python", f"{platform.python_version()} ({sys.executable})"),
        *((name, _version(name) or "MISSING: pip install hydra-launchkit") for name in PACKAGES),
        ("Hydra plugin", "found" if _plugin_is_found() else _PLUGIN_MISSING),
        ("doodad", engine.describe()),
    ]
    return f"{format_table(rows)}\n\n{modes_table()}"


def healthy() -> bool:
    """Tell whether all that launchkit itself needs is there."""
    return _plugin_is_found() and all(_version(name) for name in PACKAGES)


def modes_table() -> str:
    """Return a row a mode: what it does, what it needs, and whether that is here."""
    rows = []
    for name in registry.MODES:
        mode = registry.find(name)
        lacking = mode.lacking()
        summary = (mode.__doc__ or "").strip().splitlines()[0]
        rows.append((name, "; ".join(lacking) if lacking else "ready", summary))
    return format_table(rows, headers=["mode", "here", "what it does"])


_PLUGIN_MISSING = (
    "NOT FOUND: in a clone, `pip install -e .` again; Hydra needs it on a plain sys.path entry"
)


def _plugin_is_found() -> bool:
    """Look for the plugin as Hydra does: by walking the namespace package's folders."""
    import pkgutil  # noqa: PLC0415 - only for this command

    spec = util.find_spec("hydra_plugins")
    if spec is None or spec.submodule_search_locations is None:
        return False
    names = {found.name for found in pkgutil.iter_modules(list(spec.submodule_search_locations))}
    return PLUGIN.rpartition(".")[2] in names


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
