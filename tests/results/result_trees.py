"""Trees of runs on disk, as launchkit, rlkit and rllab leave them."""

from __future__ import annotations

import json
from pathlib import Path


def put(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def run(directory: Path, variant=None, progress=None, params=None, state=None) -> Path:
    """Write a run directory; what is None is not written."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, value in (("variant.json", variant), ("params.json", params)):
        if value is not None:
            put(directory / name, value if isinstance(value, str | bytes) else json.dumps(value))
    if progress is not None:
        put(directory / "progress.csv", progress)
    if state is not None:
        put(directory / ".launchkit" / "state.json", json.dumps(state))
    return directory


def sweep(directory: Path, jobs: list[tuple[list[str], str]]) -> Path:
    """Write a sweep's own files; jobs are (overrides, directory)."""
    lines = [
        json.dumps({"num": num, "overrides": overrides, "directory": where})
        for num, (overrides, where) in enumerate(jobs)
    ]
    put(directory / ".launchkit" / "jobs.jsonl", "\n".join(lines) + "\n")
    put(directory / ".launchkit" / "sweep.json", '{"id": "x", "mode": "local"}\n')
    return directory


def state(name: str, **values) -> dict:
    return {
        "state": name, "attempt": 1, "host": "here", "pid": 1, "started": None,
        "ended": None, "exit_code": None, "error": None,
    } | values  # fmt: skip
