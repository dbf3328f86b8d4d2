"""Sweeps in directories that cannot be written to; prints what became of them as JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import chaos_verdict
from chaos_namespace import read_only, writable
from chaos_programs import command, ended, engine, wait_for

JOBS, STEPS = 3, 12
TRAIN = [f"--jobs={JOBS}", f"--steps={STEPS}", "--pause=0.02"]


def main() -> None:
    root, method = Path(sys.argv[1]), f"--method={sys.argv[2]}"
    found = {}
    for case in (new, resumed, one_job):
        directory, ledger = root / case.__name__, root / f"ledger-{case.__name__}"
        directory.mkdir()
        ledger.mkdir()
        found[case.__name__] = case(directory, ledger, method)
        found[case.__name__]["lost"] = chaos_verdict.lost(directory / "sweep", ledger, JOBS, STEPS)
    print(json.dumps(found))


def new(directory, ledger, method):
    """It is to be begun there."""
    read_only(directory)
    first = ended(engine(directory / "sweep", ledger, *TRAIN, method))
    writable(directory)
    return {"first": first, "second": ended(engine(directory / "sweep", ledger, *TRAIN, method))}


def resumed(directory, ledger, method):
    """It is to be resumed there."""
    sweep = directory / "sweep"
    launcher = engine(sweep, ledger, *TRAIN, method)
    wait_for(ledger, "saved", 0, 1, program=launcher)
    launcher.kill()
    ended(launcher)
    read_only(directory)
    found = {"first": ended(command("resume", sweep)), "status": ended(command("status", sweep))}
    writable(directory)
    return {**found, "second": ended(command("resume", sweep))}


def one_job(directory, ledger, method):
    """The directory of one of its jobs is such a one."""
    sweep, job = directory / "sweep", directory / "sweep" / "1"
    job.mkdir(parents=True)
    read_only(job)
    first = ended(engine(sweep, ledger, *TRAIN, method))
    status = ended(command("status", "--json", sweep))
    writable(job)
    return {"first": first, "status": status, "second": ended(command("resume", sweep))}


if __name__ == "__main__":
    main()
