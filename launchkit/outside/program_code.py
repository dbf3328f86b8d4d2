"""The directories of code that go along when none is named: those of the program."""

from __future__ import annotations

import os
import sys
import tempfile
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from launchkit.code.git import Question, ask
from launchkit.code.program import program_directory
from launchkit.outside import origins
from launchkit.outside.imports import add_all
from launchkit.outside.reach import MAIN, Reach

SHARED = frozenset(
    (
        *("/", "/tmp", "/var", "/var/tmp", "/dev", "/dev/shm", "/run", "/usr", "/usr/local"),  # noqa: S108
        *("/home", "/Users", "/root", "/opt", "/mnt", "/media", "/srv", "/etc", "/bin", "/lib"),
    )
)
"""Directories that hold more than a project."""
HOMES = {Path("/home"), Path("/Users")}


@dataclass(frozen=True)
class Source:
    """A directory of code.

    Parameters
    ----------
    path
        Where it is, without links in the path.
    only
        The names of what is taken of it; None for all.
    """

    path: Path
    only: frozenset[str] | None = None


def sources() -> list[Source]:
    """Return the directories of the program, and of what it has imported from elsewhere.

    They are whole repositories, or where there is none the directories that were imported
    from. Of a directory that holds much else, only what was imported is taken.
    """
    main = _users_main()
    found = [] if main is None else [_around(_program_root(main), ())]
    modules = _modules(main, [source.path for source in found if source.only is None])
    entries: defaultdict[Path, set[str]] = defaultdict(set)
    for module in modules:
        root = origins.import_root(module)
        file = origins.real(str(module.__file__))
        entries[root].add(Path(file).relative_to(root).parts[0])
    if main is not None and getattr(main, "__file__", None):
        file = os.path.realpath(str(main.__file__))
        entries[found[0].path].add(Path(file).relative_to(found[0].path).parts[0])
    for root in sorted(entries):
        if not any(root.is_relative_to(source.path) for source in found if source.only is None):
            found.append(_around(root, [source.path for source in found]))
    return [
        source if source.only is None else Source(source.path, frozenset(entries[source.path]))
        for source in dict.fromkeys(found)
    ]


def _users_main() -> ModuleType | None:
    """Return the main module; None if it is of an installed program, or of launchkit."""
    main = sys.modules.get(MAIN)
    spec = getattr(main, "__spec__", None)
    file = getattr(main, "__file__", None)
    if main is None or (spec is not None and not origins.may_be_theirs(spec.name)):
        return None
    if file is None:
        return main
    # Of an installed one, that is the current directory.
    by_itself = Path(file).resolve().parent == program_directory()
    return main if by_itself and not origins.is_installed(file) else None


def _program_root(main: ModuleType) -> Path:
    """Return the directory that the program imports its own modules from."""
    directory = program_directory()
    spec = main.__spec__
    levels = 0 if spec is None else spec.name.count(".")
    return directory.parents[levels - 1] if levels else directory


def _modules(main: ModuleType | None, tops: Collection[Path]) -> list[ModuleType]:
    """Return the modules of the user's that the program uses, or that are in its directories.

    What else is loaded may be a debugger's.
    """
    reach = Reach(origins.is_users)
    below = tuple(os.path.join(top, "") for top in tops)  # noqa: PTH118

    def is_wanted(module: ModuleType) -> bool:
        if not origins.is_users(module):
            return False
        return main is None or origins.real(str(module.__file__)).startswith(below)

    add_all(reach, is_wanted)
    return [sys.modules[name] for name in sorted(reach.entered)]


def _around(directory: Path, others: Iterable[Path]) -> Source:
    """Return what is to be taken for code in a directory, apart from other sources."""
    (answer,) = ask([Question(directory, ("rev-parse", "--show-toplevel"))])
    repository = [] if answer.error else [Path(answer.text.removesuffix("\n"))]
    for whole in (*repository, directory):
        if not _is_shared(whole) and not any(other.is_relative_to(whole) for other in others):
            return Source(whole)
    return Source(directory, frozenset())


def _is_shared(directory: Path) -> bool:
    """Tell whether a directory holds more than a project: a home, a Python, or all of them."""
    homes = {Path(os.path.realpath(os.path.expanduser("~")))}  # noqa: PTH111
    pythons = {Path(os.path.realpath(prefix)) for prefix in (sys.prefix, sys.base_prefix)}
    return (
        str(directory) in SHARED
        or directory.parent in HOMES
        or directory in pythons
        or directory == Path(os.path.realpath(tempfile.gettempdir()))
        or any(home.is_relative_to(directory) for home in homes)
    )
