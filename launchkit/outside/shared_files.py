"""The sweep's own files that those need who run its jobs elsewhere, sent again as they change."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from launchkit.outside.exchange import below
from launchkit.sweep import Sweep

SHARED = re.compile(r"sweep\.json|jobs\.jsonl|packs\.jsonl|payload(-\d+)?\.pkl|shared")


def shared(sweep: Sweep) -> list[Path]:
    """Return which files these are."""
    names = sorted(name for name in os.listdir(sweep.own) if SHARED.fullmatch(name))  # noqa: PTH208
    return [path for name in names for path in below(sweep.own / name)]


class Sent:
    """Which of them have been sent, as they are."""

    def __init__(self) -> None:
        self._sent: dict[Path, tuple[int, int, int]] = {}

    def changed(self, paths: Iterable[Path]) -> dict[Path, tuple[int, int, int]]:
        """Return the files that have not, and what tells how they are."""
        now = {path: _signature(path) for path in paths}
        return {path: mark for path, mark in now.items() if self._sent.get(path) != mark}

    def note(self, sent: dict[Path, tuple[int, int, int]]) -> None:
        """Take note that files have been sent, as `changed` has told of them."""
        self._sent.update(sent)

    def forget(self) -> None:
        """Take note that nothing is there any more."""
        self._sent.clear()


def _signature(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns
