"""Which files of a directory of code go along."""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from launchkit.code.git import Question, ask
from launchkit.outside import left_out

PATIENCE_S = 0.5
"""For a directory that is too large already, before it is no longer measured."""

LISTED = ("ls-files", "-z", "--cached", "--others", "--exclude-standard")
NO_REPOSITORY = "not a git repository"


@dataclass
class Found:
    """What goes along of a directory.

    Parameters
    ----------
    sizes
        Bytes by name, relative to the directory.
    notes
        What a person is to be told of it.
    whole
        Whether all of it was looked at; not, if it was too large before.
    """

    sizes: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    whole: bool = True


@dataclass(frozen=True)
class _Folder:
    """A directory to look at.

    Parameters
    ----------
    path
        Where it is.
    name
        Its path below the root, with a slash at its end; empty for the root itself.
    listed
        What git takes for code in it, directories too; None where git has no say.
    around
        The directories that links have led into: one that leads back is not followed.
    """

    path: str
    name: str
    listed: Collection[str] | None
    around: tuple[str, ...]


@dataclass(frozen=True)
class _Entry:
    """What is in a directory: a file of a size, or a directory that is to be looked at."""

    name: str
    size: int = 0
    folder: _Folder | None = None


class Walk:
    """A look at all that may go along of a directory.

    Parameters
    ----------
    root
        The directory, with no links in its path.
    exclude
        Patterns of names or relative paths that stay.
    outputs
        Directories that runs write to.
    most
        Bytes from which on the directory is too large.
    only
        The names of what to look at in it; None for all.
    imported
        Paths relative to `root` of files that the program has imported: they go along
        though git ignores them, as it does what a build has made.
    """

    def __init__(
        self,
        root: Path,
        exclude: Sequence[str],
        outputs: Collection[Path],
        most: float,
        only: Collection[str] | None = None,
        imported: Collection[str] = (),
    ) -> None:
        self._root = str(root)
        self._excluded = left_out.matching(exclude)
        self._outputs = {os.path.realpath(path) for path in outputs}
        self._most = most
        self._only = only
        self._imported = imported
        self._links: dict[str, str] = {}
        self._found = Found()

    def run(self) -> Found:
        """Look, and return what goes along."""
        found, total, began = self._found, 0, time.monotonic()
        # Of a directory that is not to be taken whole, git would have to look at the whole.
        listed = self._ask_git(self._root, "") if self._only is None else None
        folders = [_Folder(self._root, "", listed, (self._root,))]
        while folders:
            for entry in self._look(folders.pop()):
                if entry.folder is not None:
                    folders.append(entry.folder)
                else:
                    found.sizes[entry.name] = entry.size
                    total += entry.size
            if total > self._most and time.monotonic() > began + PATIENCE_S:
                found.whole = False
                break
        self._drop_links_to_nothing()
        return found

    def _look(self, folder: _Folder) -> Iterator[_Entry]:
        """Yield what goes along of a directory."""
        try:
            with os.scandir(folder.path) as scan:
                inside = list(scan)
        except OSError as error:
            self._found.notes.append(f"code: {folder.path} is left out: {error.strerror}")
            return
        names = {entry.name for entry in inside}
        if folder.name and self._stays(folder, names):
            return
        listed = folder.listed
        if folder.name and ".git" in names:
            listed = self._ask_git(folder.path, folder.name)
        for entry in inside:
            name = folder.name + entry.name
            if (listed is None or name in listed) and self._is_wanted(name, entry.name):
                with contextlib.suppress(FileNotFoundError):  # it is gone
                    yield from self._entry(entry, name, listed, folder.around)

    def _entry(
        self,
        entry: os.DirEntry[str],
        name: str,
        listed: Collection[str] | None,
        around: tuple[str, ...],
    ) -> Iterator[_Entry]:
        if entry.is_symlink():
            yield from self._link(entry.path, name, around)
        elif entry.is_dir(follow_symlinks=False):
            yield _Entry(name, folder=_Folder(entry.path, f"{name}/", listed, around))
        elif entry.is_file(follow_symlinks=False):
            yield _Entry(name, entry.stat(follow_symlinks=False).st_size)

    def _link(self, path: str, name: str, around: tuple[str, ...]) -> Iterator[_Entry]:
        """Yield a link to what goes along as well, else what it leads to."""
        target = os.path.realpath(path)
        if _is_below(target, self._root):
            self._links[name] = target[len(self._root) :].lstrip("/")
            yield _Entry(name)
            return
        status = os.stat(target)  # noqa: PTH116
        if stat.S_ISREG(status.st_mode):
            yield _Entry(name, status.st_size)
        elif stat.S_ISDIR(status.st_mode) and not any(_is_below(up, target) for up in around):
            listed = self._ask_git(target, f"{name}/")
            yield _Entry(name, folder=_Folder(path, f"{name}/", listed, (*around, target)))

    def _ask_git(self, directory: str, name: str) -> Collection[str] | None:
        """Return what is code in a directory, according to git; None where it has no say."""
        (answer,) = ask([Question(Path(directory), LISTED)])
        if answer.error and not answer.error.startswith(NO_REPOSITORY):
            self._found.notes.append(
                f"code: git cannot tell what to leave out of {directory}, so all of it goes "
                f"along ({answer.error})"
            )
        if answer.error or (not answer.text and not os.path.exists(f"{directory}/.git")):  # noqa: PTH110
            # A directory that is named although a repository around it ignores it is wanted.
            return None
        known = [path[len(name) :] for path in self._imported if path.startswith(name)]
        # Another repository within has a slash at its end.
        paths = [path.rstrip("/") for path in answer.text.split("\0")[:-1]] + known
        listed = {name + path for path in paths}
        listed.update(name + above for path in paths for above in parents(path))
        return listed

    def _is_wanted(self, name: str, last: str) -> bool:
        if self._only is not None and name.partition("/")[0] not in self._only:
            return False
        return not left_out.is_made(last) and not self._excluded(name, last)

    def _stays(self, folder: _Folder, names: Collection[str]) -> bool:
        last = folder.name.rstrip("/").rpartition("/")[2]
        is_output = os.path.realpath(folder.path) in self._outputs
        return is_output or left_out.is_no_code(folder.path, last, names)

    def _drop_links_to_nothing(self) -> None:
        """Leave out the links to what stays here, until none is left."""
        links, sizes = self._links, self._found.sizes
        folders = {"", *(above for name in sizes for above in parents(name))}
        while lost := [
            name
            for name, target in links.items()
            if name in sizes and target not in sizes and target not in folders
        ]:
            for name in lost:
                del sizes[name]


def _is_below(path: str, directory: str) -> bool:
    return path == directory or path.startswith(directory.rstrip("/") + "/")


def parents(name: str) -> Iterator[str]:
    """Yield the directories that a file is in, the innermost first."""
    while name := name.rpartition("/")[0]:
        yield name
