"""The containers of a machine: they run in this machine's Docker engine, and go with it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

_PATIENCE_S = 60


def remove(disk: Path) -> None:
    """Remove the containers that have something mounted from below a machine's directory."""
    if shutil.which("docker") is None:
        return
    known = _docker("ps", "--all", "--quiet", "--no-trunc").split()
    if not known:
        return
    form = "{{.Id}}{{range .Mounts}}\t{{.Source}}{{end}}"
    doomed = []
    # One that is gone by now makes the call fail, but not what it prints of the others.
    for line in _docker("inspect", "--format", form, *known).splitlines():
        container, *sources = line.split("\t")
        if any(Path(source).is_relative_to(disk) for source in sources):
            doomed.append(container)
    if doomed:
        _docker("rm", "--force", "--volumes", *doomed)


def _docker(*words: str) -> str:
    done = subprocess.run(
        ["docker", *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=_PATIENCE_S,
    )
    return done.stdout
