"""One archive a sweep: the user's code and what runs it, packed by doodad and its makeself."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from launchkit.doodad import engine
from launchkit.doodad.engine import Doodad
from launchkit.doodad.makeself import make
from launchkit.doodad.mounts import Wanted, code_mount, make_writable
from launchkit.doodad.unpacking import unpack, unpack_command
from launchkit.files import atomic_writer

__all__ = [
    "CODE",
    "QUICK",
    "SMALL",
    "START",
    "Code",
    "Content",
    "Wanted",
    "build",
    "unpack",
    "unpack_command",
]

START = "final_script.sh"
"""What an archive runs once it has unpacked itself."""

CODE = PurePosixPath("deps", "local")
"""Where the code is in an archive, a folder each."""

QUICK, SMALL = 1, 6
"""Levels of gzip. The last fifth of the size takes most of the time, which is for an archive that
goes far."""

Content = str | bytes | Path
"""Text (lone surrogates are the bytes they stand for), bytes, or a file or folder to copy."""


@dataclass(frozen=True)
class Code:
    """A piece of the user's code.

    Parameters
    ----------
    source
        A directory, or a single file.
    name
        The folder below `CODE` that it is copied to: the directory's content, or the file
        under its own name. Files may share a folder.
    wanted
        What of a directory goes along, by name relative to it; by default all.
    """

    source: Path
    name: str
    wanted: Wanted | None = None


def build(
    target: Path, code: Sequence[Code], files: Mapping[str, Content], level: int = QUICK
) -> None:
    """Write an archive that unpacks itself and runs `START`.

    Parameters
    ----------
    target
        The archive. It is replaced once the new one is whole; only its owner may read it.
    code
        The user's code.
    files
        What else is in it, by relative name; one that ends in ``.sh`` may be executed.
    level
        How small it is to be, from 1, made quickly, to 9.

    Raises
    ------
    DoodadMissing
        If there is no doodad to build it with.
    ValueError
        If a name is no relative name, or is there twice.
    OSError
        If something cannot be read, or there is no room.
    """
    _check_names(code, files)
    doodad = engine.load()
    with _work_directory() as work:
        content = work / "content"
        content.mkdir()
        for piece in code:
            _copy_code(doodad, piece, content)
        for name, what in files.items():
            _write(content / name, what)
        doodad.archive_builder.write_metadata(str(content))
        archive = make(doodad.makeself, work, content.name, f"./{START}", level)
        with archive.open("rb") as source, atomic_writer(target, mode=0o600) as stream:
            shutil.copyfileobj(source, stream, 2**20)


@contextlib.contextmanager
def _work_directory() -> Iterator[Path]:
    """Make a directory that nobody else may look into, and remove it after the block."""
    work = tempfile.mkdtemp(prefix="launchkit-archive-")
    try:
        yield Path(work)
    finally:
        make_writable(Path(work))  # where a copy was not finished
        shutil.rmtree(work, ignore_errors=True)


def _check_names(code: Sequence[Code], files: Mapping[str, Content]) -> None:
    for piece in code:
        if not re.fullmatch(r"\w[\w.-]*", piece.name, re.ASCII):
            raise ValueError(f"{piece.name!r} is no name for a folder of code")
        if not piece.source.is_absolute():
            raise ValueError(f"code directory {str(piece.source)!r} is not absolute")
    for name in files:
        path = PurePosixPath(name)
        if not path.parts or path.is_absolute() or ".." in path.parts or name == "METADATA":
            raise ValueError(f"{name!r} is no name for a file of an archive")
    if START not in files:
        raise ValueError(f"an archive needs a file {START}")


def _copy_code(doodad: Doodad, piece: Code, content: Path) -> None:
    folder = content / CODE / piece.name
    try:
        if piece.source.is_dir():
            if folder.exists():
                raise ValueError(f"two pieces of code have the name {piece.name!r}")
            mount = code_mount(doodad, piece.source, piece.name, piece.wanted)
            mount.dar_build_archive(str(content / CODE.parent))
        else:
            folder.mkdir(parents=True, exist_ok=True)
            _refuse_used(folder / piece.source.name)
            shutil.copy2(piece.source, folder)
    except shutil.Error as error:
        raise _first_of(error) from error


def _first_of(error: shutil.Error) -> OSError:
    """Return the first of the errors that a copy has collected."""
    problems = error.args[0]
    if isinstance(problems, str):
        return OSError(problems)
    source, _, why = problems[0]
    others = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return OSError(f"{os.fspath(source)} cannot be copied: {why}{others}")


def _write(path: Path, content: Content) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, Path) and content.is_dir():
        shutil.copytree(content, path, symlinks=True, dirs_exist_ok=True)
        return
    _refuse_used(path)
    if isinstance(content, Path):
        shutil.copyfile(content, path)
    elif isinstance(content, str):
        path.write_bytes(content.encode("utf-8", "surrogateescape"))
    else:
        path.write_bytes(content)
    path.chmod(0o755 if path.suffix == ".sh" else 0o644)


def _refuse_used(path: Path) -> None:
    if os.path.lexists(path):
        raise ValueError(f"two files of an archive have the name {path.name!r}")
