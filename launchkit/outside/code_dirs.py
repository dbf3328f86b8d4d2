"""Which directories of the user's code go along, and whether they may."""

from __future__ import annotations

import functools
import os
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

from launchkit.outside import origins, program_code
from launchkit.outside.code_files import Found, Walk, parents
from launchkit.outside.program_code import Source

MB = 1e6
WAY_OUT = (
    "name what is needed in hydra.launcher.code_dirs, or what is not in hydra.launcher.code_exclude"
)


@dataclass(frozen=True)
class CodeDir:
    """A directory of code that goes along.

    Parameters
    ----------
    source
        Where it is: an absolute path without links.
    files
        The names of the files that go along, relative to it.
    size
        Bytes of them all.
    partial
        Whether it holds much else, as a home directory does: a container is then to see the
        `entries` of it, not the whole.
    """

    source: Path
    files: tuple[str, ...] = field(repr=False)
    size: int
    partial: bool = False

    def wants(self, name: str) -> bool:
        """Tell whether a file goes along, or a directory holds one that does.

        Parameters
        ----------
        name
            Its path relative to `source`.
        """
        return name in self._wanted

    @property
    def entries(self) -> tuple[str, ...]:
        """The names of what goes along that are directly in the directory."""
        return tuple(dict.fromkeys(name.partition("/")[0] for name in self.files))

    @functools.cached_property
    def _wanted(self) -> frozenset[str]:
        folders = (above for name in self.files for above in parents(name))
        return frozenset({"", ".", *self.files, *folders})


def find(
    code_dirs: Sequence[str] | None,
    exclude: Sequence[str],
    outputs: Collection[Path],
    *,
    warn_mb: float = 100.0,
    max_mb: float = 1000.0,
) -> tuple[tuple[CodeDir, ...], tuple[str, ...]]:
    """Find out which code goes along.

    Parameters
    ----------
    code_dirs
        The directories; relative ones are below the current directory. None for the
        repository of the program, or its directory, and for those of the modules that it
        has imported from elsewhere than installed packages.
    exclude
        Patterns of what is left out, of a name or of a path relative to the directory.
    outputs
        Directories that are no code, because runs write there.
    warn_mb, max_mb
        Megabytes of a directory from which on that is said, and from which on it is refused.

    Returns
    -------
    tuple
        The directories, and what a person is to be told of them.

    Raises
    ------
    ValueError
        If a directory is not there, is named twice, lies within another, or is too large.
    """
    for pattern in exclude:
        if not pattern.strip("./"):
            raise ValueError(f"code_exclude has {pattern!r}, which is no name and no pattern")
    sources = program_code.sources() if code_dirs is None else _named(code_dirs)
    code, notes = [], []
    for source in sources:
        imported = origins.files_below(source.path)
        walk = Walk(source.path, exclude, outputs, max_mb * MB, source.only, imported)
        found = walk.run()
        size = sum(found.sizes.values())
        if size > max_mb * MB:
            raise ValueError(_too_large(source.path, found, size, max_mb))
        if size > warn_mb * MB:
            notes.append(
                f"code: {source.path} is {_mb(size)} large ({_largest(found)}); to take less "
                f"along, {WAY_OUT}"
            )
        notes += found.notes
        names = tuple(sorted(found.sizes))
        code.append(CodeDir(source.path, names, size, partial=source.only is not None))
    return tuple(code), tuple(notes)


def _named(code_dirs: Sequence[str]) -> list[Source]:
    """Return the directories that were named, each of them there and by itself."""
    named: dict[Path, str] = {}
    for name in code_dirs:
        path = Path(os.path.realpath(os.path.expanduser(name)))  # noqa: PTH111
        if not name or not path.exists():
            raise ValueError(f"code_dirs has {name!r}, and there is no {path}")
        if not path.is_dir():
            raise ValueError(f"code_dirs has {name!r}, which is not a directory")
        if path in named:
            raise ValueError(f"code_dirs has {named[path]!r} and {name!r}, which are the same")
        named[path] = name
    for one, other in combinations(named, 2):
        inner, outer = (one, other) if one.is_relative_to(other) else (other, one)
        if inner.is_relative_to(outer):
            raise ValueError(
                f"code_dirs has {named[inner]!r}, which is within {named[outer]!r}: {inner} goes "
                "along with that already"
            )
    return [Source(path) for path in named]


def _too_large(directory: Path, found: Found, size: int, max_mb: float) -> str:
    more = "" if found.whole else "more than "
    return (
        f"the code in {directory} is {more}{_mb(size)} large, and at most {max_mb:g} MB go along "
        f"(code_max_mb); the largest in it: {_largest(found)}; {WAY_OUT}"
    )


def _largest(found: Found, count: int = 3) -> str:
    """Return the largest files and directories, none within another, in words."""
    sizes: Counter[str] = Counter(found.sizes)
    inside: dict[str, set[str]] = {}
    for name, size in found.sizes.items():
        below = name
        while below:
            above = below.rpartition("/")[0]
            inside.setdefault(above, set()).add(below)
            if above:
                sizes[above] += size
            below = above
    names = inside.get("", set())
    # A directory that is so large for one thing in it says less than that.
    while name := next((n for n in names if _main(n, inside, sizes)), ""):
        names = names - {name} | {_main(name, inside, sizes)}
    chosen = sorted(names, key=lambda name: (-sizes[name], name))[:count]
    return ", ".join(f"{n}{'/' * (n in inside)} {_mb(sizes[n])}" for n in chosen)


def _main(name: str, inside: dict[str, set[str]], sizes: Counter[str]) -> str:
    """Return what a directory is so large for; nothing, if that is not one thing."""
    children = inside.get(name, set())
    largest = max(children, key=lambda child: sizes[child], default="")
    return largest if largest and sizes[largest] > 0.9 * sizes[name] else ""


def _mb(size: int) -> str:
    return f"{size / MB:,.1f} MB" if size < 1000 * MB else f"{size / MB / 1000:,.1f} GB"
