"""Asks programs of this machine, which may not answer."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence


def call(
    command: Sequence[str], timeout: float, environment: Mapping[str, str], stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run a program, and return how it went; Ctrl-C is the launcher's affair, and not its own.

    Parameters
    ----------
    command
        The program and its arguments.
    timeout
        Seconds that it has.
    environment
        Its environment variables, all of them.
    stdin
        What it reads.

    Raises
    ------
    subprocess.TimeoutExpired
        If it has not ended in time; it is killed then.
    OSError
        If it cannot be started.
    """
    return subprocess.run(
        command,
        input=stdin,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=timeout,
        check=False,
        start_new_session=True,
        env=environment,
    )
