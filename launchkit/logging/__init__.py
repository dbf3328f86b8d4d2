"""The logger of an experiment: metrics, text, snapshots and the variant of one job.

``logger`` is the one global `Logger` that rlkit's interface requires. This room stands
on its own: an experiment that only wants the logger imports nothing else.
"""

from __future__ import annotations

from launchkit.logging.logger import Logger, NotOpenError, logger
from launchkit.logging.restoring import Restored, RestoreError

__all__ = ["Logger", "NotOpenError", "RestoreError", "Restored", "logger", "restore"]


def restore() -> Restored | None:
    """Load the newest whole snapshot of the job that runs: ``logger.restore()``."""
    return logger.restore()
