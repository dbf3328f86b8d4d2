"""What the jobs of a sweep share, pickled once for processes that are not forks.

The file is a line of JSON that says what is in it and which Python wrote it, then the
pickle. The line is checked before anything is unpickled.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sys
from importlib import metadata
from typing import Any

from launchkit import files
from launchkit.sweep import Sweep
from launchkit.task import Task

PACKAGES = ("hydra-core", "omegaconf", "cloudpickle")


class PayloadError(RuntimeError):
    """A payload cannot be written, or must not be read here."""


def save(sweep: Sweep, task: Task) -> None:
    """Pickle the task of a sweep into its directory, for the owner only.

    Raises
    ------
    PayloadError
        If the task cannot be pickled.
    """
    import cloudpickle  # noqa: PLC0415 - slow to import, and a fork needs none

    try:
        data = cloudpickle.dumps(task)
    except Exception as error:  # what is pickled is the user's, and may raise anything
        raise PayloadError(
            f"the task function cannot be pickled ({type(error).__name__}: {error}); "
            "mode 'local' with start_method=fork, or mode 'here_no_doodad', needs no pickling"
        ) from error
    header = {
        "sweep": sweep.id,
        "python": platform.python_version(),
        "packages": _versions(),
        "sha256": hashlib.sha256(data).hexdigest(),
        "path": [os.path.abspath(entry) for entry in sys.path],  # noqa: PTH100 - '' is the cwd
        "cwd": os.getcwd(),  # noqa: PTH109
    }
    files.write_atomic(
        sweep.own / "payload.pkl", json.dumps(header).encode() + b"\n" + data, mode=0o600
    )


def load(sweep: Sweep) -> Task:
    """Unpickle the task of a sweep, after its header has been found to fit.

    Raises
    ------
    PayloadError
        If it is of another sweep or another Python, or damaged.
    """
    path = sweep.own / "payload.pkl"
    try:
        line, _, data = path.read_bytes().partition(b"\n")
        header = json.loads(line)
        _check(header, sweep, data)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PayloadError(f"{path} cannot be read ({error}); start the sweep again") from error
    sys.path[:] = [*sys.path, *(entry for entry in header["path"] if entry not in sys.path)]
    if os.path.isdir(header["cwd"]):  # noqa: PTH112
        os.chdir(header["cwd"])
    import cloudpickle  # noqa: PLC0415 - slow to import

    task: Task = cloudpickle.loads(data)
    return task


def _check(header: dict[str, Any], sweep: Sweep, data: bytes) -> None:
    if header["sweep"] != sweep.id:
        raise PayloadError(
            f"the payload is of sweep {header['sweep']}, not of {sweep.id}; start the sweep again"
        )
    written, here = header["python"].split(".")[:2], platform.python_version().split(".")[:2]
    if written != here:
        raise PayloadError(
            f"the payload was written by Python {header['python']} and this is "
            f"{platform.python_version()}; run the job with Python {'.'.join(written)}"
        )
    if hashlib.sha256(data).hexdigest() != header["sha256"]:
        raise PayloadError("the payload is damaged (its checksum differs); start the sweep again")


def _versions() -> dict[str, str]:
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions
