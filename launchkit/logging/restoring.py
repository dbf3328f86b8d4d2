"""Finding the newest whole snapshot of a job, and loading it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

from launchkit.logging import trailer
from launchkit.logging.snapshots import LAST
from launchkit.logging.trailer import Trailer
from launchkit.logging.warn import warn

_NUMBERED = re.compile(r"itr_(-?\d+)\.pkl")


class Restored(NamedTuple):
    """The newest snapshot of a job.

    Attributes
    ----------
    iteration
        The iteration it was saved in.
    object
        What was saved.
    """

    iteration: int
    object: Any


class RestoreError(RuntimeError):
    """A snapshot is whole, and cannot be loaded in this environment."""


class Loaded(NamedTuple):
    """A snapshot that was loaded, and its trailer; one of another program has none."""

    restored: Restored
    trailer: Trailer | None


def newest(directory: Path) -> Loaded | None:
    """Load the snapshot of the highest iteration, or return None if there is none.

    ``itr_<n>.pkl`` is of iteration n; the iteration of ``params.pkl`` is in its trailer.
    One that is torn is passed over, with a warning.

    Raises
    ------
    RestoreError
        If the snapshot is whole, and something else keeps it from being loaded: a module
        that is missing, say. To go on from an older one would throw away what is there.
    OSError
        If it cannot be read.
    """
    for iteration, path in _found(directory):
        try:
            stream = path.open("rb")
        except FileNotFoundError:  # removed since the directory was read
            continue
        with stream:
            known = trailer.read(stream)
            try:
                return Loaded(Restored(iteration, _load(stream, known is not None)), known)
            except _TornError as error:
                _pass_over(path, f"it is torn ({error})")
            except Exception as error:
                if isinstance(error, MemoryError):
                    raise
                raise RestoreError(_why(path, iteration, error)) from error
    return None


class _TornError(Exception):
    """A pickle ends too early, or is none."""


def _load(stream: IO[bytes], whole: bool) -> Any:
    """Unpickle a snapshot; what only a torn one raises is raised as `_TornError`."""
    import pickle  # noqa: PLC0415 - the logger imports fast without it

    try:
        return pickle.load(stream)
    except (EOFError, pickle.UnpicklingError) as error:
        # Every cut through a pickle gives one of these two; so may an object's own code.
        if whole:
            raise
        raise _TornError(error) from error


def _found(directory: Path) -> list[tuple[int, Path]]:
    """Return the snapshots of a directory and their iterations, the newest first."""
    found = [*_numbered(directory), *_last(directory)]
    return sorted(found, key=lambda snapshot: snapshot[0], reverse=True)


def _numbered(directory: Path) -> Iterator[tuple[int, Path]]:
    if directory.is_dir():
        for name in os.listdir(directory):  # noqa: PTH208 - there may be very many
            if match := _NUMBERED.fullmatch(name):
                yield int(match[1]), directory / name


def _last(directory: Path) -> Iterator[tuple[int, Path]]:
    path = directory / LAST
    try:
        with path.open("rb") as stream:
            known = trailer.read(stream)
    except FileNotFoundError:
        return
    if known is None:
        _pass_over(path, "it does not say its iteration: it is torn, or of another program")
    else:
        yield known.iteration, path


def _pass_over(path: Path, why: str) -> None:
    warn("the snapshot %s is passed over: %s", path, why)


def _why(path: Path, iteration: int, error: Exception) -> str:
    return (
        f"the snapshot of iteration {iteration}, {path}, cannot be loaded "
        f"({type(error).__name__}: {error}). Put right what it needs, or remove the file to go "
        "on from an older one."
    )
