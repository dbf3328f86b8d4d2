"""Reads where all jobs of a sweep stand, quickly however many they are."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterable, Iterator, Sequence

from launchkit.job import OWN_DIR, Attempt
from launchkit.sweep import Sweep, SweepError

THREADS = 16
"""The reads of cold files wait for the disk, or for a file server, most of their time."""
CHUNK = 64
"""Jobs read in a row; threads are worth their start from a few times as many."""
BLOCK = 65536


def read_all(sweep: Sweep) -> dict[int, Attempt]:
    """Return what the state file of each job says, by the job's number.

    Raises
    ------
    SweepError
        If one of the files is damaged, or may not be read.
    """
    nums = [job.num for job in sweep.jobs]
    paths = [f"{job.directory}/{OWN_DIR}/state.json" for job in sweep.jobs]
    return dict(zip(nums, map(_parse, paths, _contents(paths)), strict=True))


def _contents(paths: Sequence[str]) -> Iterator[bytes | None]:
    chunks = [paths[at : at + CHUNK] for at in range(0, len(paths), CHUNK)]
    if len(chunks) <= 2:
        return map(_content, paths)
    # An import that a small sweep does without.
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415

    with ThreadPoolExecutor(THREADS) as pool:
        return _chain(list(pool.map(lambda chunk: [*map(_content, chunk)], chunks)))


def _chain(chunks: Iterable[Iterable[bytes | None]]) -> Iterator[bytes | None]:
    return (content for chunk in chunks for content in chunk)


def _content(path: str) -> bytes | None:
    """Return the content of a file, or None where there is none."""
    try:
        return _read(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if error.errno != errno.ESTALE:
            raise SweepError(f"cannot read {path}: {error.strerror}") from error
    # On NFS, the file that had this name a moment ago; the name leads to its successor.
    return _read(path)


def _read(path: str) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        blocks = [os.read(fd, BLOCK)]
        while len(blocks[-1]) == BLOCK:
            blocks.append(os.read(fd, BLOCK))
        return b"".join(blocks)
    finally:
        os.close(fd)


def _parse(path: str, content: bytes | None) -> Attempt:
    if content is None:
        return Attempt()
    try:
        return Attempt.from_json(json.loads(content))
    except (ValueError, KeyError, TypeError) as error:
        raise SweepError(f"{path} is damaged: {error!r}") from error
