"""Importing the launcher's package by its path, whatever else has the name doodad."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType

PACKAGE = "doodad"
_ONE_AT_A_TIME = threading.Lock()


def modules(root: Path, names: Sequence[str]) -> list[ModuleType]:
    """Import modules of the package doodad in a checkout, and leave no trace of that.

    Neither `sys.path` nor what this process knows as ``doodad`` has changed afterwards.

    Parameters
    ----------
    root
        The checkout.
    names
        The modules' names, without that of the package.

    Raises
    ------
    ImportError
        If what has been imported is not in the checkout.
    Exception
        Whatever the modules raise.
    """
    with _ONE_AT_A_TIME, _set_aside(), warnings.catch_warnings():
        # Python 3.12 warns of doodad's own code, and a filter may make an error of that.
        warnings.simplefilter("ignore")
        _import_package(root / PACKAGE)
        found = [importlib.import_module(f"{PACKAGE}.{name}") for name in names]
    for module in found:
        if not Path(module.__file__ or "").is_relative_to(root):
            raise ImportError(f"{module.__name__} came from {module.__file__}, not from {root}")
    return found


@contextlib.contextmanager
def _set_aside() -> Iterator[None]:
    """Hide what has been imported under doodad's name, and put it back after the block."""
    before = _known()
    for name in before:
        del sys.modules[name]
    try:
        yield
    finally:
        for name in _known():
            del sys.modules[name]
        sys.modules.update(before)


def _known() -> dict[str, ModuleType]:
    return {
        name: module
        for name, module in list(sys.modules.items())
        if name == PACKAGE or name.startswith(f"{PACKAGE}.")
    }


def _import_package(folder: Path) -> None:
    spec = importlib.util.spec_from_file_location(
        PACKAGE, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"{folder} is no package")
    package = importlib.util.module_from_spec(spec)
    sys.modules[PACKAGE] = package
    spec.loader.exec_module(package)
