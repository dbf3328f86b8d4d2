"""What the jobs of a sweep share, pickled for processes that are no forks of the launcher.

The file is a line of JSON that says what is in it and which Python wrote it, then the
pickle. The line is checked before anything is unpickled. Each batch of jobs has a file;
what is large in it, and the same in all of them, is in a file of its own, named after its
checksum.
"""

from __future__ import annotations

import bisect
import hashlib
import importlib
import io
import json
import os
import pickle
import platform
import re
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from launchkit import files
from launchkit.job import Job
from launchkit.sweep import Sweep
from launchkit.task import Task

PACKAGES = {"hydra-core": "hydra", "omegaconf": "omegaconf", "cloudpickle": "cloudpickle"}

PATHS = "LAUNCHKIT_PATHS"
"""The environment variable that says, as JSON, where directories of the launcher's are here."""

SAME_CWD = "LAUNCHKIT_SAME_CWD"
"""The environment variable that says that jobs have the launcher's own working directory, and
not the copy of it that goes along with their code."""

LARGE = 512
"""Bytes from which on a bytes object is kept in a file of its own."""


class PayloadError(RuntimeError):
    """A payload cannot be written, or must not be read here."""


def save(sweep: Sweep, task: Task, first: int = 0) -> None:
    """Pickle the task of a batch of jobs into the sweep's directory, for the owner only.

    Parameters
    ----------
    sweep
        The sweep.
    task
        What the jobs run.
    first
        The lowest of their numbers.

    Raises
    ------
    PayloadError
        If the task cannot be pickled.
    """
    try:
        data = _dumps(task, sweep.own / "shared")
    except OSError:
        raise
    except Exception as error:  # what is pickled is the user's, and may raise anything
        raise PayloadError(
            f"the task function cannot be pickled ({type(error).__name__}: {error}); "
            "mode 'local' with start_method=fork, or mode 'here_no_doodad', needs no pickling"
        ) from error
    header = {
        "sweep": sweep.id,
        "python": platform.python_version(),
        "packages": _imported_versions(),
        "sha256": hashlib.sha256(data).hexdigest(),
        "path": [os.path.abspath(entry) for entry in sys.path],  # noqa: PTH100 - '' is the cwd
        "cwd": os.getcwd(),  # noqa: PTH109
    }
    files.write_atomic(_path(sweep, first), json.dumps(header).encode() + b"\n" + data, mode=0o600)


def save_batch(sweep: Sweep, task: Task, jobs: Collection[Job]) -> None:
    """Pickle what a batch of jobs runs, as `save` does, in place of what was saved for them.

    A batch of a resumed sweep need not be one of those it was begun with: what the jobs
    after it run stays what it was.
    """
    nums = [job.num for job in jobs] or [0]
    first, after = min(nums), max(nums) + 1
    known = batches(sweep)
    if after not in known and any(job.num >= after for job in sweep.jobs):
        earlier = [number for number in known if number < after]
        if earlier:
            files.write_atomic(
                _path(sweep, after), _path(sweep, max(earlier)).read_bytes(), mode=0o600
            )
    save(sweep, task, first)
    for number in known:
        if first < number < after:
            _path(sweep, number).unlink(missing_ok=True)


def load(sweep: Sweep, num: int = 0, *, other_versions: bool = False) -> Task:
    """Unpickle what a job of a sweep runs, after the header has been found to fit.

    Parameters
    ----------
    sweep
        The sweep.
    num
        The job's number.
    other_versions
        Whether packages of other versions than those it was written with will do.

    Raises
    ------
    PayloadError
        If it is of another sweep, another Python or other packages, or damaged.
    """
    path = _path(sweep, batch_of(num, batches(sweep)))
    try:
        line, _, data = path.read_bytes().partition(b"\n")
        header = json.loads(line)
        _check(header, sweep, data, other_versions=other_versions)
    except FileNotFoundError as error:
        raise PayloadError(
            f"{path} is not there: what the jobs run could not be pickled, or the launcher was "
            "killed before it was; run the program itself again, with "
            f"hydra.sweep.dir={sweep.directory} hydra.launcher.resume=true"
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PayloadError(f"{path} cannot be read ({error}); start the sweep again") from error
    entries = [_here(entry) for entry in header["path"]]
    sys.path[:] = [*sys.path, *(entry for entry in entries if entry not in sys.path)]
    if not os.environ.get(SAME_CWD) or not _enter(header["cwd"]):
        _enter(_here(header["cwd"]))
    task: Task = _Unpickler(data, sweep.own / "shared").load()
    return task


def _enter(directory: str) -> bool:
    """Make a directory the working directory, if it is there."""
    found = os.path.isdir(directory)  # noqa: PTH112
    if found:
        os.chdir(directory)
    return found


def _here(path: str) -> str:
    """Return where a path of the launcher's is here: its code may have been brought along."""
    places: dict[str, str] = json.loads(os.environ.get(PATHS, "{}"))
    for there, here in places.items():
        if path == there or path.startswith(f"{there.rstrip('/')}/"):
            return here + path[len(there.rstrip("/")) :]
    return path


def _dumps(task: Task, shared: Path) -> bytes:
    import cloudpickle  # noqa: PLC0415 - slow to import

    kept: dict[int, tuple[bytes, str]] = {}

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # it has no types
        def persistent_id(self, value: Any) -> str | None:
            if type(value) is not bytes or len(value) < LARGE:
                return None
            if id(value) not in kept:
                kept[id(value)] = (value, _keep(value, shared))
            return kept[id(value)][1]

    stream = io.BytesIO()
    Pickler(stream).dump(task)
    return stream.getvalue()


def _keep(value: bytes, shared: Path) -> str:
    """Write a value into the file that is named after its checksum, if it is not there."""
    name = hashlib.sha256(value).hexdigest()
    path = shared / name
    if not path.exists():
        shared.mkdir(exist_ok=True, mode=0o700)
        files.write_atomic(path, value, mode=0o600)
    return name


class _Unpickler(pickle.Unpickler):
    """Unpickles a task, with what is in files of its own."""

    def __init__(self, data: bytes, shared: Path) -> None:
        super().__init__(io.BytesIO(data))
        self._shared = shared
        self._kept: dict[str, bytes] = {}

    def persistent_load(self, name: str) -> bytes:
        if name not in self._kept:
            path = self._shared / name
            try:
                value = path.read_bytes()
            except OSError as error:
                raise PayloadError(f"{path} cannot be read ({error.strerror})") from error
            if hashlib.sha256(value).hexdigest() != name:
                raise PayloadError(f"{path} is damaged (its checksum differs)")
            self._kept[name] = value
        return self._kept[name]


def _path(sweep: Sweep, first: int) -> Path:
    return sweep.own / (f"payload-{first}.pkl" if first else "payload.pkl")


def batches(sweep: Sweep) -> list[int]:
    """Return the lowest number of each batch that has a payload, in order."""
    names = os.listdir(sweep.own)  # noqa: PTH208
    found = (re.fullmatch(r"payload(?:-(\d+))?\.pkl", name) for name in names)
    return sorted(int(name[1] or 0) for name in found if name)


def batch_of(num: int, batches: Sequence[int]) -> int:
    """Return the lowest number of the batch that a job is of."""
    at = bisect.bisect_right(batches, num)
    return batches[at - 1] if at else 0


def _check(header: dict[str, Any], sweep: Sweep, data: bytes, *, other_versions: bool) -> None:
    if header["sweep"] != sweep.id:
        raise PayloadError(
            f"the payload is of sweep {header['sweep']}, not of {sweep.id}; start the sweep again"
        )
    written = header["python"].split(".")[:2]
    if written != platform.python_version().split(".")[:2]:
        raise PayloadError(
            f"the payload was written by Python {header['python']} and this is "
            f"{platform.python_version()}; run the job with Python {'.'.join(written)}"
        )
    if hashlib.sha256(data).hexdigest() != header["sha256"]:
        raise PayloadError("the payload is damaged (its checksum differs); start the sweep again")
    changed = [
        f"{name} {version} (here {here})"
        for name, version in header["packages"].items()
        if not other_versions and (here := _version(name)) != version
    ]
    if changed:
        raise PayloadError(
            f"the payload was written with {', '.join(changed)}; install these versions, or "
            "resume with --force"
        )


def _imported_versions() -> dict[str, str]:
    """Return the versions of what a task may be made of, as far as it has been imported."""
    imported = {name: sys.modules.get(module) for name, module in PACKAGES.items()}
    return {name: module.__version__ for name, module in imported.items() if module is not None}


def _version(name: str) -> str:
    try:
        version: str = importlib.import_module(PACKAGES[name]).__version__
    except (ImportError, KeyError):
        return "none"
    return version
