"""A directory of the user's code, copied by doodad's mount: all that is wanted, and no more."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

from launchkit.doodad.engine import Doodad

Wanted = Callable[[str], bool]
"""Whether a file or folder goes along, by its name relative to the source, ``a/b.py`` say."""

LEADS_NOWHERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)

EXTRACT = "extract.sh"
"""What doodad writes into the copy, and launchkit does not use."""


class Mount(Protocol):
    """What is used of doodad's mounts."""

    def dar_build_archive(self, deps_dir: str) -> None:
        """Copy the source to a folder ``local/NAME`` below `deps_dir`."""


def code_mount(doodad: Doodad, source: Path, name: str, wanted: Wanted | None) -> Mount:
    """Return a mount that copies a directory as it is.

    Modes and times of files are kept. A link to what goes along stays a link; of one that
    leads elsewhere the content is copied. Left out are what is not wanted, links that lead
    nowhere or to a folder above themselves, and what is neither file nor folder.

    Parameters
    ----------
    doodad
        Where the mount's class is from.
    source
        The directory.
    name
        What the copy is called.
    wanted
        What goes along; by default all of it.
    """
    mount: Mount = _mount_class(doodad)(source, name, wanted or _everything)
    return mount


@functools.cache
def _mount_class(doodad: Doodad) -> Any:
    base: Any = doodad.mount.MountLocal

    class CodeMount(base):  # type: ignore[misc]  # doodad has no types
        def __init__(self, source: Path, name: str, wanted: Wanted) -> None:
            # Where it is mounted is written to a script that nobody runs: no path of the user's.
            super().__init__(str(source), mount_point="/code", filter_ext=(), filter_dir=())
            self._name = name
            self._root = Path(self.local_dir)
            self._wanted = wanted
            self._links: dict[str, str] = {}
            self._hidden = {EXTRACT}

        def dar_build_archive(self, deps_dir: str) -> None:
            copy = Path(deps_dir, "local", self.name)
            extract = copy / EXTRACT
            try:
                super().dar_build_archive(deps_dir)
            except PermissionError as error:
                # The copy of a folder without the right to write has all but that script.
                if error.filename != str(extract):
                    raise
            make_writable(copy)
            with contextlib.suppress(FileNotFoundError):
                extract.unlink()
            self._copy_hidden(extract)
            _make_links(copy, self._links)

        def ignore_patterns(self, dirname: str, contents: list[str]) -> list[str]:
            folder = Path(dirname).relative_to(self._root).as_posix()
            names = {name: name if folder == "." else f"{folder}/{name}" for name in contents}
            return [
                name
                for name, relative in names.items()
                if relative in self._hidden or not self._is_copied(relative)
            ]

        def _copy_hidden(self, target: Path) -> None:
            """Copy the user's own file, or folder, of the name of doodad's script."""
            self._hidden.clear()
            source = self._root / EXTRACT
            if not os.path.lexists(source) or not self._is_copied(EXTRACT):
                return
            if source.is_dir():
                shutil.copytree(source, target, ignore=self.ignore_patterns)
                make_writable(target)
            else:
                shutil.copy2(source, target)

        def _is_copied(self, relative: str) -> bool:
            """Tell whether a file or folder is copied, and note the links that are made."""
            if not self._wanted(relative):
                return False
            path = self._root / relative
            try:
                if path.is_symlink():
                    real = Path(os.path.realpath(path))
                    if self._goes_along(real):
                        target = real.relative_to(self._root)
                        self._links[relative] = os.path.relpath(target, Path(relative).parent)
                        return False
                    if any(real == above or real in above.parents for above in self._above(path)):
                        return False
                mode = path.stat().st_mode
            except OSError as error:
                # A link, or a file that has just been deleted.
                if error.errno in LEADS_NOWHERE:
                    return False
                raise
            return stat.S_ISREG(mode) or stat.S_ISDIR(mode)

        def _goes_along(self, real: Path) -> bool:
            if not real.is_relative_to(self._root):
                return False
            relative = real.relative_to(self._root)
            parts = [*reversed(relative.parents), relative][1:]
            return all(self._wanted(part.as_posix()) for part in parts)

        def _above(self, path: Path) -> Iterator[Path]:
            """Yield the real folders that are being copied when a link's turn comes."""
            for folder in path.parents:
                yield Path(os.path.realpath(folder))
                if folder == self._root:
                    break

    return CodeMount


def _everything(relative: str) -> bool:
    del relative
    return True


def make_writable(folder: Path) -> None:
    """Let the owner write to copies of folders, which the user's own need not allow."""
    for path, _, _ in os.walk(folder):
        mode = os.stat(path).st_mode  # noqa: PTH116 - one a folder
        if mode & stat.S_IRWXU != stat.S_IRWXU:
            os.chmod(path, stat.S_IMODE(mode) | stat.S_IRWXU)  # noqa: PTH101


def _make_links(copy: Path, links: dict[str, str]) -> None:
    """Make links in a copy, but for those whose target has turned out not to go along."""
    made = []
    for relative, target in links.items():
        link = copy / relative
        link.symlink_to(target)
        made.append(link)
    for link in made:
        if not link.exists():
            link.unlink()
