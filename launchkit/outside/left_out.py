"""What is no code though it lies beside it: what tools make, what runs write, what is excluded."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Callable, Collection, Sequence

MADE = {
    *(".git", "__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".hypothesis"),
    *("node_modules", ".ipynb_checkpoints", ".tox", ".nox", ".eggs", ".launchkit", ".hydra"),
}
"""Directories that no person has written."""
ENVIRONMENT = {"pyvenv.cfg", "conda-meta"}
"""Files by which a Python environment is known."""
OF_RUNS = {"multirun", "outputs"}
RUN = {".hydra", ".launchkit", "multirun.yaml"}
"""Files by which the directory of a run is known."""
RUN_DEPTH = 4
"""So deep a run's directory lies at most: ``multirun/<date>/<time>/<job>``."""
COMPILED = (".pyc", ".pyo")


def is_made(name: str) -> bool:
    """Tell whether a file or directory of this name is made by a tool."""
    return name in MADE or name.endswith(COMPILED)


def is_no_code(path: str, name: str, inside: Collection[str]) -> bool:
    """Tell whether a directory is that of a run, or of many, or a Python environment.

    Parameters
    ----------
    path, name
        Where it is, and the last part of that.
    inside
        The names of what is in it.
    """
    if not ENVIRONMENT.isdisjoint(inside):
        return True
    if name in OF_RUNS:
        return _holds_runs(path, RUN_DEPTH)
    # A program may run where it lies, and its directory is then both.
    return not RUN.isdisjoint(inside) and not any(file.endswith(".py") for file in inside)


def matching(patterns: Sequence[str]) -> Callable[[str, str], bool]:
    """Return what tells whether one of the patterns matches a path, or its last part.

    Examples
    --------
    >>> is_excluded = matching(["*.ckpt", "data/raw"])
    >>> is_excluded("runs/a.ckpt", "a.ckpt"), is_excluded("data/raw", "raw")
    (True, True)
    >>> is_excluded("other/raw", "raw")
    False
    """
    if not patterns:
        return lambda path, name: False
    plain = (pattern.removeprefix("./").rstrip("/") for pattern in patterns)
    found = re.compile("|".join(map(fnmatch.translate, plain))).match
    return lambda path, name: bool(found(path) or found(name))


def _holds_runs(directory: str, depth: int) -> bool:
    try:
        with os.scandir(directory) as scan:
            inside = list(scan)
    except OSError:
        return False
    if not RUN.isdisjoint(entry.name for entry in inside):
        return True
    return depth > 0 and any(
        entry.is_dir(follow_symlinks=False) and _holds_runs(entry.path, depth - 1)
        for entry in inside
    )
