"""Killing a process that is known by its identity."""

from __future__ import annotations

import os
import signal

from launchkit import process_table


def kill(process: str) -> bool:
    """Kill the process of an identity, and no other that has its id by now."""
    pid = process_table.here(process)
    if pid is None:
        return False
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        if not process_table.is_alive(process):
            return False
        signal.pidfd_send_signal(fd, signal.SIGKILL)
    except ProcessLookupError:
        return False
    finally:
        os.close(fd)
    return True
