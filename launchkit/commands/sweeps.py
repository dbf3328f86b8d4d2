"""``launchkit list``: all sweeps below a directory."""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any

from launchkit import driver
from launchkit.display.report import in_words
from launchkit.find_sweeps import find_sweeps
from launchkit.job import JobState
from launchkit.logging.table import format_table
from launchkit.standing import standing
from launchkit.sweep import Sweep, SweepError

DRIVEN = {True: "yes", False: "no", None: "unknown"}


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the parser of the command."""
    parser = commands.add_parser("list", help="all sweeps below a directory")
    parser.add_argument("root", nargs="?", default=".", help="the directory, by default this one")
    parser.add_argument("--json", action="store_true", help="print JSON, an object a sweep")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the sweeps, the newest last, and what could not be read to standard error."""
    sweeps = sorted(find_sweeps(options.root, _complain), key=lambda sweep: sweep.created)
    found = [entry for entry in map(_entry, sweeps) if entry is not None]
    if options.json:
        print(json.dumps(found, indent=2))
    elif found:
        heads = ["created", "mode", "driven", "directory", "jobs"]
        print(format_table(map(_row, found), heads))
    else:
        _complain(f"no sweep in {options.root} or below it")
    return 0


def _entry(sweep: Sweep) -> dict[str, Any] | None:
    try:
        attempts = standing(sweep)
        last = driver.current(sweep)
    except SweepError as error:
        _complain(str(error))
        return None
    states = [known.state for known in attempts.values()]
    return {
        "directory": str(sweep.directory),
        "id": sweep.id,
        "mode": sweep.mode,
        "created": sweep.created,
        "counts": {state.value: states.count(state) for state in JobState if state in states},
        "driven": last.alive if last is not None else False,
    }


def _row(entry: dict[str, Any]) -> list[str]:
    created = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry["created"]))
    counts = {JobState(name): count for name, count in entry["counts"].items()}
    return [
        created,
        entry["mode"],
        DRIVEN[entry["driven"]],
        entry["directory"],
        in_words(counts) or "none",
    ]


def _complain(text: str) -> None:
    print(f"launchkit: {text}", file=sys.stderr)
