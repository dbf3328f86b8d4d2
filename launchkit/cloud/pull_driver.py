"""Who drives a sweep that was pulled, as a claim in its directory says."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path

from launchkit import driver, files, process_table
from launchkit.cloud.depot import Lease
from launchkit.driver import Driver
from launchkit.sweep import Sweep

TOKEN = "pulled-"  # noqa: S105 - the beginning of a claim's name
FILE = "driver-1.json"


def note(directory: Path, lease: Lease | None, *, closed: bool) -> None:
    """Leave the claim of the sweep's driver in a directory, unless it was driven from here.

    Parameters
    ----------
    directory
        The sweep's directory here.
    lease
        The driver's last sign of life; None if there is none.
    closed
        Whether the sweep is over.
    """
    if lease is None or not _names_a_process(lease):
        return
    sweep = Sweep.open(directory)
    last = driver.current(sweep)
    if last is not None and not last.token.startswith(TOKEN):
        return
    claim = Driver(
        token=f"{TOKEN}{sweep.id}",
        host=lease.host,
        pid=lease.pid,
        process=lease.process,
        directory=lease.directory,
        since=sweep.created,
        released=closed,
    )
    files.write_json(sweep.own / FILE, asdict(claim), mode=0o600)
    os.utime(sweep.own / FILE, (lease.time, lease.time))


def _names_a_process(lease: Lease) -> bool:
    """Tell whether it can be asked for, whatever somebody has written to the bucket."""
    try:
        process_table.is_alive(lease.process)
    except (ValueError, AttributeError):
        return False
    return True
