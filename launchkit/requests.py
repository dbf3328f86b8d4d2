"""Requests to whoever drives a sweep, left in files below it: to end jobs."""

from __future__ import annotations

import contextlib
import json
import os
import secrets

from launchkit import files
from launchkit.sweep import Sweep

FOLDER = "requests"


def ask_to_cancel(sweep: Sweep, nums: tuple[int, ...] | None) -> None:
    """Ask the driver of a sweep to end jobs.

    Parameters
    ----------
    sweep
        The sweep.
    nums
        The jobs' numbers; None for all of them, and no new ones.
    """
    folder = sweep.own / FOLDER
    folder.mkdir(exist_ok=True, mode=0o700)
    files.write_json(folder / f"cancel-{secrets.token_hex(6)}.json", nums, mode=0o600)


def take(sweep: Sweep) -> list[tuple[int, ...] | None]:
    """Return the jobs that are to be ended, a tuple a request, and forget the requests."""
    folder = sweep.own / FOLDER
    taken: list[tuple[int, ...] | None] = []
    try:
        names = os.listdir(folder)  # noqa: PTH208 - asked for every second
    except OSError:  # there is none; or a file server does not answer for a while
        return taken
    for name in names:
        if not (name.startswith("cancel-") and name.endswith(".json")):
            continue
        path = folder / name
        with contextlib.suppress(OSError, ValueError):
            nums = json.loads(path.read_text(encoding="utf-8"))
            path.unlink()
            taken.append(None if nums is None else tuple(nums))
    return taken
