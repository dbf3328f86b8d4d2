"""Finding run directories: those that a sweep lists, and those that only their files betray."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from launchkit.files import read_json_lines

RUN_FILES = frozenset({"progress.csv", "variant.json", "params.json"})
NOT_ENTERED = frozenset({".hydra", ".launchkit", ".git"})
JOBS = ".launchkit/jobs.jsonl"
STATE = ".launchkit/state.json"
LEVELS_ABOVE = 4  # how far up the sweep of a job's directory is looked for


@dataclass(frozen=True)
class Run:
    """A run's directory, and what its sweep says of it.

    Parameters
    ----------
    directory
        Absolute path; it need not exist while the job is pending.
    sweep
        The sweep's directory, or None for a run that no sweep lists.
    job
        The job's number in its sweep; without one, its place among such runs.
    overrides
        The job's override strings, as Hydra got them.
    """

    directory: str
    sweep: str | None = None
    job: int = 0
    overrides: tuple[str, ...] = ()


@dataclass
class _Found:
    """What the paths gave so far; the keys are real paths, so that no run is doubled."""

    sweeps: set[str] = field(default_factory=set)
    listed: dict[str, Run] = field(default_factory=dict)
    plain: dict[str, str] = field(default_factory=dict)
    problems: list[tuple[str, str]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.listed.keys() | self.plain.keys())


def find_runs(
    paths: Iterable[str | os.PathLike[str]],
) -> tuple[list[Run], list[tuple[str, str]]]:
    """Find every run below the given directories and globs, each once.

    Returns
    -------
    list of Run, list of (directory, reason)
        Jobs of sweeps by number, sweep after sweep, then the other runs in the natural
        order of their directories; and the places that could not be read.

    Raises
    ------
    FileNotFoundError
        If a path does not exist, or a glob matches no directory.
    NotADirectoryError
        If a path is a file.
    ValueError
        If there is no run below a path, or no path was given.
    """
    found = _Found()
    patterns = [os.fspath(path) for path in paths]
    if not patterns:
        raise ValueError("no directory given: load_sweep needs at least one path or glob")
    for pattern in patterns:
        roots = _directories(pattern)
        held = [_take(root, found) for root in roots]
        if not any(held):
            raise ValueError(
                f"no runs in {pattern!r}: none of its directories holds progress.csv, "
                f"variant.json, params.json, {STATE} or {JOBS}"
            )
    return _in_order(found), found.problems


def natural_key(text: str) -> tuple[Any, ...]:
    """Return a sort key that puts `run2` before `run10`."""
    return tuple(
        (1, int(part), "") if part.isdecimal() else (0, 0, part)
        for part in re.split(r"([0-9]+)", text)
    )


def _directories(pattern: str) -> list[str]:
    expanded = os.path.expanduser(pattern)  # noqa: PTH111 - Path.expanduser raises on ~nobody
    path = Path(expanded)
    if path.is_dir():
        return [os.path.abspath(expanded)]  # noqa: PTH100 - Path.resolve follows symlinks
    if path.exists():
        raise NotADirectoryError(f"{pattern!r} is a file: give the directory that holds it")
    if not glob.has_magic(expanded):
        raise FileNotFoundError(f"{pattern!r} does not exist")
    matches = glob.glob(expanded, recursive=True)  # noqa: PTH207 - absolute patterns too
    folders = sorted({os.path.abspath(m) for m in matches if Path(m).is_dir()}, key=natural_key)  # noqa: PTH100
    if not folders:
        raise FileNotFoundError(f"{pattern!r} matches no directory")
    return folders


def _take(root: str, found: _Found) -> bool:
    """Add what lies below `root`, and tell whether it holds any run."""
    real_root = os.path.realpath(root)
    held = False
    for above in _sweeps_around(root):
        held |= _list_jobs(above, found, only_below=real_root)
    for folder, is_run, is_sweep in _walk(root, found.problems):
        real = real_root + folder[len(root) :]
        if is_sweep:
            held |= _list_jobs(folder, found)
        if is_run:
            held = True
            found.plain.setdefault(real, folder)
    return held


def _walk(root: str, problems: list[tuple[str, str]]) -> Iterator[tuple[str, bool, bool]]:
    """Yield every directory with whether it is a run's, and whether it is a sweep's."""
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        is_run = is_sweep = False
        below = []
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    name = entry.name
                    if name in RUN_FILES:
                        is_run = True
                    elif name == ".launchkit":
                        is_run = is_run or Path(folder, STATE).exists()
                        is_sweep = Path(folder, JOBS).exists()
                    elif name not in NOT_ENTERED and entry.is_dir(follow_symlinks=False):
                        below.append(entry.path)
        except OSError as error:
            problems.append((folder, f"cannot be listed: {error.strerror}"))
            continue
        yield folder, is_run, is_sweep
        waiting.extend(sorted(below, key=natural_key, reverse=True))


def _sweeps_around(root: str) -> Iterator[str]:
    """Yield the sweeps that may list a job at or below `root` without lying below it."""
    for above in list(Path(root).parents)[:LEVELS_ABOVE]:
        if (above / JOBS).exists():
            yield str(above)
    # run_experiment puts its sweep directory beside those of its runs
    for beside in sorted(Path(root).parent.glob("*_sweep")):
        if str(beside) != root and (beside / JOBS).exists():
            yield str(beside)


def _list_jobs(sweep: str, found: _Found, only_below: str | None = None) -> bool:
    """Add the jobs of a sweep's list, and tell whether there were any."""
    real_sweep = os.path.realpath(sweep)
    if only_below is None:
        if real_sweep in found.sweeps:
            return True
        found.sweeps.add(real_sweep)
    held = False
    for line in read_json_lines(Path(sweep, JOBS)):
        run = _job(sweep, line)
        if run is None:
            found.problems.append((sweep, f"a line of {JOBS} is not a job: {str(line)[:80]}"))
            continue
        real = os.path.realpath(run.directory)
        if only_below is None or real == only_below or real.startswith(only_below + os.sep):
            held = True
            found.listed.setdefault(real, run)
    return held


def _job(sweep: str, line: Any) -> Run | None:
    try:
        directory = os.path.normpath(Path(sweep, line["directory"]))
        return Run(directory, sweep, int(line["num"]), tuple(map(str, line["overrides"])))
    except (KeyError, TypeError, ValueError):
        return None


def _in_order(found: _Found) -> list[Run]:
    order: dict[str | None, int] = {}
    for run in found.listed.values():
        order.setdefault(run.sweep, len(order))
    listed = sorted(found.listed.values(), key=lambda run: (order[run.sweep], run.job))
    others = (folder for real, folder in found.plain.items() if real not in found.listed)
    plain = sorted(others, key=natural_key)
    return [*listed, *(Run(folder, job=num) for num, folder in enumerate(plain))]
