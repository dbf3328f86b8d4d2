"""A sweep on a disk that gets full, and is then given room; prints what became of it as JSON."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import chaos_verdict
from chaos_namespace import mount
from chaos_programs import command, ended, engine

JOBS, STEPS = 3, 6
PAGE = 4096


def main() -> None:
    disk, ledger, pages = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    method = sys.argv[4]
    mount("-t", "tmpfs", "-o", "size=4m", "tmpfs", disk)
    ballast, sweep = disk / "ballast", disk / "sweep"
    fill(ballast, pages)
    train = [f"--jobs={JOBS}", f"--steps={STEPS}", "--pause=0.01", f"--method={method}"]
    found = {"first": ended(engine(sweep, ledger, *train))}
    begun = (sweep / ".launchkit" / "sweep.json").exists()
    if begun:
        found["status"] = ended(command("status", "--json", sweep))
        found["resumed_on_it"] = ended(engine(sweep, ledger, *train))
    ballast.unlink()
    if (sweep / ".launchkit" / "payload.pkl").exists():
        found["second"] = ended(command("resume", sweep))
    else:
        found["second"] = ended(engine(sweep, ledger, *train))
    found["lost"] = chaos_verdict.lost(sweep, ledger, JOBS, STEPS)
    print(json.dumps(found))


def fill(ballast: Path, pages: int) -> None:
    """Leave so many pages of the disk free."""
    with ballast.open("wb") as stream:
        while (left := os.statvfs(ballast.parent).f_bavail) > pages:
            stream.write(bytes(PAGE * min(64, left - pages)))
            stream.flush()


if __name__ == "__main__":
    main()
