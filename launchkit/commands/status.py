"""``launchkit status``: how many jobs of a sweep are in which state, and who drives it."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from launchkit import driver
from launchkit.cloud.bill import bill
from launchkit.display.follow import End, follow
from launchkit.display.progress import Progress
from launchkit.display.report import LIST_AT_MOST, counts, describe, failures, time_of, warnings
from launchkit.job import Attempt, Job, JobState
from launchkit.masking import mask_overrides, mask_text
from launchkit.modes import registry
from launchkit.standing import describe as describe_driver
from launchkit.standing import standing
from launchkit.sweep import Sweep


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the parser of the command."""
    parser = commands.add_parser("status", help="how many jobs are in which state")
    parser.add_argument("directory", help="a sweep directory")
    parser.add_argument("--jobs", action="store_true", help="also print a line a job")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON")
    form.add_argument("--watch", action="store_true", help="show it until all jobs have ended")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the status; the exit code is 0 whatever it is."""
    sweep = Sweep.open(options.directory)
    if options.watch:
        return _watch(sweep, options)
    attempts = standing(sweep)
    if options.json:
        print(json.dumps(_content(sweep, attempts), indent=2))
    else:
        _print(sweep, attempts, jobs=options.jobs)
    return 0


def _watch(sweep: Sweep, options: argparse.Namespace) -> int:
    progress = Progress(sys.stdout)
    # Nobody is helped by a watch that nobody sees.
    known = follow(sweep, progress, unseen=False)
    progress.clear()
    if known.end is not End.UNSEEN:
        _print(known.sweep, known.attempts, jobs=options.jobs)
    return 0


def _print(sweep: Sweep, attempts: Mapping[int, Attempt], *, jobs: bool) -> None:
    created = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(sweep.created))
    count = len(sweep.jobs)
    print(
        f"{sweep.directory}  mode {sweep.mode}, {count} job{'s' * (count != 1)}, created {created}"
    )
    print(counts(sweep.jobs, attempts) or "no jobs")
    rented = bill(sweep)
    for line in [*launcher_lines(sweep, attempts), *(rented.lines if rented else ())]:
        print(line)
    if jobs:
        retried = any(known.attempt > 1 for known in attempts.values())
        for job in sweep.jobs:
            print(_line(job, attempts[job.num], retried=retried))
    lines = warnings(attempts) + failures(sweep.jobs, attempts)
    # So many more would push the counts off the screen.
    shown = lines if jobs else lines[: 2 * LIST_AT_MOST]
    for line in shown:
        print(line)
    if len(shown) < len(lines):
        print("… and more: --jobs shows them all")


def launcher_lines(sweep: Sweep, attempts: Mapping[int, Attempt]) -> list[str]:
    """Return who drives a sweep, and how to run what is left if nobody does."""
    last = driver.current(sweep)
    if last is not None and last.alive is not False:
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(last.since))
        return [f"{describe_driver(sweep)}, since {since}"]
    left = sum(known.state is not JobState.COMPLETED for known in attempts.values())
    if not left:
        return []
    submitted = any(known.state is JobState.SUBMITTED for known in attempts.values())
    if submitted and registry.find(sweep.mode).hands_over:
        return [f"its jobs are carried by hand: see {sweep.directory / 'README.txt'}"]
    count = f"{left} job{'s' * (left != 1)}"
    directory = shlex.quote(str(sweep.directory))
    return [f"{describe_driver(sweep)}: `launchkit resume {directory}` runs the {count} left"]


def _line(job: Job, attempt: Attempt, *, retried: bool) -> str:
    tries = f"  {f'attempt {attempt.attempt}' if attempt.attempt > 1 else '':9}" if retried else ""
    return f"{job.num:5} {attempt.state:10} {time_of(attempt):>7}{tries}  {describe(job)}"


def _content(sweep: Sweep, attempts: Mapping[int, Attempt]) -> dict[str, Any]:
    states = [known.state for known in attempts.values()]
    last = driver.current(sweep)
    rented = bill(sweep)
    return {
        "id": sweep.id,
        "directory": str(sweep.directory),
        "mode": sweep.mode,
        "created": sweep.created,
        "counts": {state.value: states.count(state) for state in JobState if state in states},
        "driven": last.alive if last is not None else False,
        "driver": {"host": last.host, "pid": last.pid, "since": last.since} if last else None,
        "rented": asdict(rented) if rented else None,
        "jobs": [
            {
                "num": job.num,
                "overrides": mask_overrides(job.overrides),
                "directory": str(job.directory),
                **_masked(attempts[job.num]),
            }
            for job in sweep.jobs
        ],
    }


def _masked(attempt: Attempt) -> dict[str, Any]:
    content = attempt.to_json()
    if content["error"]:
        content["error"] = {key: mask_text(text) for key, text in content["error"].items()}
    if content["warning"]:
        content["warning"] = mask_text(content["warning"])
    return content
