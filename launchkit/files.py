"""How bytes get to disk safely.

Every other room writes through this one: a reader sees the whole old file or the
whole new one, never a part, whatever happens to the writer.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

PathLike = str | os.PathLike[str]


@contextlib.contextmanager
def atomic_writer(path: PathLike, *, mode: int = 0o666, sync: bool = False) -> Iterator[IO[bytes]]:
    """Open a temporary file beside `path` that takes its name when the block ends well.

    Parameters
    ----------
    path
        The file to write or to replace.
    mode
        Permission bits of the new file, before the process's umask.
    sync
        Whether the bytes must be on the disk before the name changes. Without it the
        file survives the death of the process, not that of the machine.

    Raises
    ------
    OSError
        If the bytes could not be written; `path` is then as it was.
    """
    target = os.fspath(path)
    folder, name = os.path.split(target)
    # Not `tempfile`: a logger's import would take twice as long.
    temporary = os.path.join(folder, f".{name}.{os.urandom(6).hex()}.tmp")  # noqa: PTH118
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(fd, "wb") as stream:
            yield stream
            stream.flush()
            if sync:
                os.fsync(stream.fileno())
        os.replace(temporary, target)  # noqa: PTH105 - a Path costs more than the call
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)  # noqa: PTH108
        raise


def write_atomic(
    path: PathLike, data: bytes | str, *, mode: int = 0o666, sync: bool = False
) -> None:
    """Write a whole file so that a reader never sees a part of it.

    Parameters are those of `atomic_writer`; text is encoded as UTF-8.
    """
    with atomic_writer(path, mode=mode, sync=sync) as stream:
        stream.write(encode(data) if isinstance(data, str) else data)


def write_json(path: PathLike, value: Any, *, mode: int = 0o666) -> None:
    """Write `value` as one JSON document, atomically."""
    write_atomic(path, json.dumps(value, ensure_ascii=False) + "\n", mode=mode)


def append_line(path: PathLike, line: str, *, mode: int = 0o666) -> None:
    """Append a line in a single write, after ending a line that a dead writer left open."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, mode)
    try:
        end = os.lseek(fd, 0, os.SEEK_END)
        torn = end > 0 and os.pread(fd, 1, end - 1) != b"\n"
        data = encode(("\n" if torn else "") + line + "\n")
        written = os.write(fd, data)
        if written != len(data):
            raise OSError(f"{os.fspath(path)}: only {written} of {len(data)} bytes were written")
    finally:
        os.close(fd)


def encode(text: str) -> bytes:
    r"""Return `text` as UTF-8; a lone surrogate becomes its escape, ``\udc80`` for one."""
    return text.encode("utf-8", errors="backslashreplace")


def read_json_lines(path: PathLike) -> Iterator[Any]:
    """Yield the value of every whole line; a line torn by a dead writer is left out."""
    if not os.path.exists(path):  # noqa: PTH110
        return
    with Path(path).open(encoding="utf-8", errors="replace") as stream:
        for line in stream:
            try:
                value = json.loads(line)
            except json.JSONDecodeError:
                continue
            yield value


def write_new(path: PathLike, data: str, *, mode: int = 0o666) -> bool:
    """Write a whole file only if there is none of that name, and tell whether it did.

    The name is given with a hard link, which on every file system, NFS included, is
    made for one of two callers and refused to the other; no lock outlives its owner.
    """
    # Not by the process id, which processes of two machines may share.
    temporary = f"{os.fspath(path)}.{os.urandom(6).hex()}.tmp"
    write_atomic(temporary, data, mode=mode)
    try:
        os.link(temporary, path)
    except FileExistsError:
        # A file server may have made it, and its answer got lost: asked again, it says this.
        return os.stat(temporary).st_nlink > 1  # noqa: PTH116 - a Path costs more
    finally:
        os.unlink(temporary)  # noqa: PTH108
    return True
