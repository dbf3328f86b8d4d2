"""Finds doodad, tells it from its namesakes, and loads it."""

from __future__ import annotations

import functools
import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from launchkit.code import git
from launchkit.doodad import loading
from launchkit.doodad.kinds import Kind, is_folder, kind_of

PINNED = "0be5a3f41483c1d949b46021d6959cecf7421352"
"""The commit that launchkit was made for, and installs."""

VARIABLE = "LAUNCHKIT_DOODAD"
INSTALL = "launchkit doodad install"
INSTALL_SIX = "pip install six"


class DoodadMissing(ValueError):
    """There is no doodad that can be used; the message says which command gets it."""


@dataclass(frozen=True)
class Doodad:
    """The modules of doodad that launchkit uses.

    Parameters
    ----------
    root
        The checkout that they are from.
    mode
        Its launch modes.
    mount
        What it packs.
    archive_builder
        How it packs.
    """

    root: Path
    mode: ModuleType
    mount: ModuleType
    archive_builder: ModuleType

    @property
    def makeself(self) -> Path:
        """The folder with its `makeself.sh` and `makeself-header.sh`."""
        return self.root / "doodad" / "darchive"


def find() -> Path | None:
    """Return the checkout of doodad that is used; None if there is none.

    It is the one that the variable LAUNCHKIT_DOODAD names, or the one that `launchkit doodad
    install` has made, or one that can be imported.

    Raises
    ------
    DoodadMissing
        If LAUNCHKIT_DOODAD names something else.
    """
    named = _named()
    if named is not None:
        return named
    home = installed()
    if home is not None and kind_of(home / "doodad") is Kind.LAUNCHER:
        return home
    package = _importable()
    return package.parent if package and kind_of(package) is Kind.LAUNCHER else None


def check() -> None:
    """Make sure that doodad can be used.

    Raises
    ------
    DoodadMissing
        If it cannot.
    """
    if find() is None:
        there = "".join(f"\n({each})" for each in _instead())
        raise DoodadMissing(f"doodad is needed and not found; get it with `{INSTALL}`{there}")
    if not _has_six():
        raise DoodadMissing(f"doodad needs the package six; get it with `{INSTALL_SIX}`")


def lacking() -> list[str]:
    """Return what is missing, a phrase each, for `Mode.lacking`."""
    try:
        found = find()
    except DoodadMissing as error:
        return [str(error)]
    missing = [] if found else [f"doodad ({INSTALL})"]
    return missing if _has_six() else [*missing, f"six ({INSTALL_SIX})"]


def describe() -> str:
    """Return which doodad is in use, or what is there instead of it."""
    try:
        root = find()
    except DoodadMissing as error:
        return str(error)
    if root is None:
        return "; ".join([f"not found: {INSTALL}", *_instead()])
    six = "" if _has_six() else f"; it needs six: {INSTALL_SIX}"
    return f"{root}, {_how_found(root)}, {_version(root)}{six}"


def load() -> Doodad:
    """Import what launchkit uses of doodad.

    Raises
    ------
    DoodadMissing
        If there is no doodad, or it cannot be imported.
    """
    check()
    root = find()
    assert root is not None
    return _load(root)


def installed() -> Path | None:
    """Return where `launchkit doodad install` puts it, whether it is there or not.

    None if the user has no home directory.
    """
    data = os.environ.get("XDG_DATA_HOME", "")
    if not Path(data).is_absolute():  # such a value is void, by the rules of the variable
        try:
            data = str(Path.home() / ".local" / "share")
        except RuntimeError:
            return None
    return Path(data) / "launchkit" / "doodad"


@functools.cache
def _load(root: Path) -> Doodad:
    names = ("mode", "mount", "darchive.archive_builder_docker")
    try:
        mode, mount, archive_builder = loading.modules(root, names)
    except Exception as error:
        what = f"{type(error).__name__}: {error}"
        raise DoodadMissing(f"the doodad in {root} cannot be imported: {what}") from error
    return Doodad(root, mode, mount, archive_builder)


def _named() -> Path | None:
    """Return the checkout that the variable names, if it is set."""
    value = os.environ.get(VARIABLE)
    if not value:
        return None
    try:
        root = Path(value).expanduser().absolute()
    except RuntimeError:  # there is no such user
        root = Path(value).absolute()
    if not is_folder(root):
        raise DoodadMissing(f"{VARIABLE} is {value!r}: there is no such directory")
    if not is_folder(root / "doodad"):
        raise DoodadMissing(
            f"{VARIABLE} is {value!r}: it is no checkout of doodad, it has no folder `doodad`"
        )
    kind = kind_of(root / "doodad")
    if kind is not Kind.LAUNCHER:
        raise DoodadMissing(f"{VARIABLE} is {value!r}: this is {kind.value}")
    return root


def _importable() -> Path | None:
    """Return the folder or the file that `import doodad` would take."""
    try:
        spec = importlib.util.find_spec("doodad")
    except (ImportError, ValueError):  # a module that somebody made by hand has none
        return None
    if spec is None:
        return None
    folders = list(spec.submodule_search_locations or ())
    place = folders[0] if folders else spec.origin
    return Path(place).absolute() if place else None


def _instead() -> list[str]:
    """Say what is there that is not doodad, or not all of it."""
    found = []
    home = installed()
    if home is not None and os.path.lexists(home):
        found.append(f"what is in {home} is damaged; that command repairs it")
    package = _importable()
    if package is not None:
        found.append(f"the doodad in {package.parent} is {kind_of(package).value}")
    return found


def _has_six() -> bool:
    try:
        return importlib.util.find_spec("six") is not None
    except ValueError:  # imported, by somebody who makes modules by hand
        return True


def _how_found(root: Path) -> str:
    if os.environ.get(VARIABLE):
        return f"named by {VARIABLE}"
    return "installed" if root == installed() else "found on sys.path"


def _version(root: Path) -> str:
    """Return the commit of a checkout, as far as git can tell."""
    if not (root / ".git").exists():  # git would answer for a repository around it
        return "not a git checkout"
    commit, changes = git.ask(
        [
            git.Question(root, ("rev-parse", "HEAD")),
            git.Question(root, ("status", "--porcelain", "--untracked-files=no")),
        ]
    )
    if commit.error:
        return f"commit unknown ({commit.error})"
    sha = commit.text.strip()
    which = "the pinned one" if sha == PINNED else f"not the pinned {PINNED[:7]}"
    changed = ", with changes" if changes.text.strip() else ""
    return f"commit {sha[:7]}, {which}{changed}"
