"""Which installed packages the user's code imports."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

from launchkit.outside import origins
from launchkit.outside.reach import MAIN, Reach, needed_by


def packages(code_dirs: Collection[Path], task: Any = None) -> dict[str, str]:
    """Return the installed packages that the user's code has imported, by their import names.

    Python's own modules are none of them, nor what launchkit takes along.

    Parameters
    ----------
    code_dirs
        The directories of the user's code, without links in their paths.
    task
        What the jobs run; None to take all modules of the user's that are loaded.

    Returns
    -------
    dict
        The versions; empty of what has none.
    """
    tops = tuple(os.path.join(path, "") for path in code_dirs)  # noqa: PTH118

    def is_code(module: ModuleType) -> bool:
        return origins.is_users(module) and origins.real(str(module.__file__)).startswith(tops)

    reach = Reach(is_code)
    if task is None:
        add_all(reach, is_code)
    else:
        reach.objects([task])
    distributions = functools.cache(metadata.packages_distributions)
    found = {module.__name__: module for module in map(origins.regular, reach.others) if module}
    return {
        name: _version(module, distributions)
        for name, module in sorted(found.items())
        if origins.may_be_theirs(name) and name not in reach.entered
    }


def add_all(reach: Reach, wanted: Callable[[ModuleType], bool]) -> None:
    """Add to what is reached all loaded modules that are wanted, and the main one."""
    for name, module in list(sys.modules.items()):
        if isinstance(module, ModuleType) and name != MAIN and wanted(module):
            reach.module(name)
    main = sys.modules.get(MAIN)
    file = getattr(main, "__file__", None)
    if main is not None and (file is None or not origins.is_installed(file)):
        for name in needed_by(main):
            reach.module(name)


def _version(module: ModuleType, distributions: Callable[[], Mapping[str, Sequence[str]]]) -> str:
    """Return the version of a package: of the distribution of that name, else its own word.

    Only for what has neither, all that is installed is looked through, which takes long.
    """
    name = module.__name__
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        said = vars(module).get("__version__")
    if isinstance(said, str):
        return str(said)
    dists = distributions().get(origins.top_level(name), ())
    return metadata.version(dists[0]) if len(dists) == 1 else ""
