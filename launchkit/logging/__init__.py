"""The logger of an experiment: metrics, text, snapshots and the variant of one job.

``logger`` is the one global `Logger` that rlkit's interface requires. This room stands
on its own: an experiment that only wants the logger imports nothing else.
"""

from __future__ import annotations

from launchkit.logging.logger import Logger, NotOpenError, logger

__all__ = ["Logger", "NotOpenError", "logger"]
