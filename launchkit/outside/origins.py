"""Where modules come from: Python itself, installed packages, or a person's own directories."""

from __future__ import annotations

import functools
import os
import sys
import sysconfig
from pathlib import Path
from types import ModuleType

from launchkit.code.program import INSTALLED
from launchkit.outside.needs import KNOWN

NOT_THEIRS = sys.stdlib_module_names | KNOWN | {"IPython", "ipykernel", "__main__", "__mp_main__"}
"""Names that are Python's, launchkit's and what it takes along, or of a shell to type in."""


def top_level(name: str) -> str:
    """Return the name of the package that a module is in.

    Examples
    --------
    >>> top_level("numpy.linalg")
    'numpy'
    """
    return name.partition(".")[0]


def is_users(module: ModuleType) -> bool:
    """Tell whether a module is from a person's own directory, not an installed package."""
    file = getattr(module, "__file__", None)
    name = module.__name__
    return isinstance(file, str) and may_be_theirs(name) and not is_installed(file)


def may_be_theirs(name: str) -> bool:
    """Tell whether a name is neither that of a module of Python's nor of launchkit's."""
    if top_level(name) == "hydra_plugins":
        return name.count(".") > 0 and not name.startswith("hydra_plugins.launchkit_launcher")
    return top_level(name) not in NOT_THEIRS


def is_installed(file: str) -> bool:
    """Tell whether a file is of an installed package, or of Python itself."""
    path = real(file)
    return not INSTALLED.isdisjoint(path.split("/")) or path.startswith(_of_python())


def real(file: str) -> str:
    """Return the path of a file, without links in that of its directory."""
    directory, name = os.path.split(file)
    return os.path.join(_real_directory(directory), name)  # noqa: PTH118


@functools.lru_cache(maxsize=4096)
def _real_directory(directory: str) -> str:
    return os.path.realpath(directory)


def regular(name: str) -> ModuleType | None:
    """Return the outermost package that a module is in and that has a file; None if none has.

    A namespace, which several distributions share, has no file: what is in it counts.
    """
    end = -1
    while True:
        end = name.find(".", end + 1)
        found = sys.modules.get(name if end < 0 else name[:end])
        if isinstance(found, ModuleType) and getattr(found, "__file__", None):
            return found
        if end < 0:
            return None


def files_below(directory: Path) -> set[str]:
    """Return the files of a person's loaded modules below a directory, relative to it."""
    top = os.path.join(directory, "")  # noqa: PTH118
    files = [
        real(str(module.__file__))
        for module in list(sys.modules.values())
        if isinstance(module, ModuleType) and is_users(module)
    ]
    return {file[len(top) :] for file in files if file.startswith(top)}


def import_root(module: ModuleType) -> Path:
    """Return the directory of the import path that a module with a file is found by."""
    file = Path(real(str(module.__file__)))
    parts = module.__name__.split(".")
    up = len(parts) if file.stem == "__init__" else len(parts) - 1
    return file.parents[up] if up < len(file.parents) else file.parent


@functools.cache
def _of_python() -> tuple[str, ...]:
    """Return where Python's own modules, and those it has installed, are."""
    places = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    return tuple(os.path.join(os.path.realpath(place), "") for place in places if place)  # noqa: PTH118
