"""Finds all sweeps below a directory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from launchkit.job import OWN_DIR
from launchkit.sweep import Sweep, SweepError

SIBLINGS = "_sweep"
"""Ends the name of a sweep's directory whose jobs' directories lie beside it."""


def find_sweeps(root: str, problem: Callable[[str], None]) -> Iterator[Sweep]:
    """Yield the sweeps in and below a directory, in no particular order.

    The directories of jobs, hidden ones and links are not entered.

    Parameters
    ----------
    root
        The directory.
    problem
        Told of what cannot be read; the search goes on.

    Raises
    ------
    FileNotFoundError, NotADirectoryError
        If there is no such directory.
    """
    with os.scandir(root):
        pass
    unseen = [os.path.abspath(root)]  # noqa: PTH100 - links are kept as given
    jobs: set[str] = set()
    while unseen:
        directory = unseen.pop()
        if directory in jobs:
            jobs.remove(directory)
            continue
        sweep = _open(directory, problem)
        if sweep is not None:
            jobs.update(str(job.directory) for job in sweep.jobs)
            yield sweep
        # The last is seen first: a sweep beside its jobs says which they are.
        unseen += sorted(_folders(directory, problem), key=lambda path: path.endswith(SIBLINGS))


def _open(directory: str, problem: Callable[[str], None]) -> Sweep | None:
    if not os.path.exists(f"{directory}/{OWN_DIR}/sweep.json"):  # noqa: PTH110
        return None
    try:
        return Sweep.open(directory)
    except SweepError as error:
        problem(str(error))
    except OSError as error:
        problem(f"{directory}: {error.strerror}")
    return None


def _folders(directory: str, problem: Callable[[str], None]) -> list[str]:
    try:
        with os.scandir(directory) as entries:
            return [
                entry.path
                for entry in entries
                if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False)
            ]
    except FileNotFoundError:  # gone meanwhile
        return []
    except OSError as error:
        problem(f"{directory}: {error.strerror}")
        return []
