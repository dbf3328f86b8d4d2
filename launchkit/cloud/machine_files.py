"""The programs that go to the machines in the archive of a sweep."""

from __future__ import annotations

from pathlib import Path


def agent() -> dict[str, Path]:
    """Return the files of the agent, by their names in the archive."""
    return {path.name: path for path in sorted(Path(__file__).parent.glob("agent*.py"))}
