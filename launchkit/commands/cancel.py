"""``launchkit cancel``: ends jobs of a sweep, whoever runs it, or ran it."""

from __future__ import annotations

import argparse
import sys
import time

from launchkit import driver, requests
from launchkit.display.report import counts
from launchkit.job import Attempt, JobState
from launchkit.modes import registry
from launchkit.standing import standing
from launchkit.sweep import Sweep

LOOK_S = 0.2
NOT_ENDED = 1


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the parser of the command."""
    parser = commands.add_parser("cancel", help="end the jobs of a sweep, or some of them")
    parser.add_argument("directory", help="a sweep directory")
    parser.add_argument("num", nargs="*", type=int, help="job numbers; all jobs without any")
    parser.add_argument(
        "--timeout", type=float, default=60.0, metavar="S", help="seconds to wait for their end"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """End jobs, and return 0 once they have ended."""
    sweep = Sweep.open(options.directory)
    jobs = {job.num: job for job in sweep.jobs}
    for num in options.num:
        if num not in jobs:
            raise ValueError(f"{sweep.directory} has no job {num}; it has {len(jobs)}")
    wanted = set(options.num or jobs)
    attempts = standing(sweep)
    last = driver.current(sweep)
    driven = last is not None and last.alive is not False
    if not _unended(attempts, wanted):
        if not driven and registry.find(sweep.mode).leaves_elsewhere:
            # They are said to have ended; what ran them elsewhere need not have.
            _end_what_is_left(sweep, wanted)
        print("nothing to cancel: all of these jobs have ended")
        return 0
    if last is None or not driven:
        _end_what_is_left(sweep, wanted)
    else:
        requests.ask_to_cancel(sweep, tuple(options.num) or None)
        count = len(_unended(attempts, wanted))
        print(f"asked {last.describe()} to end {count} job{'s' * (count != 1)}", flush=True)
        deadline = time.monotonic() + options.timeout
        while _unended(attempts, wanted) and time.monotonic() < deadline:
            time.sleep(LOOK_S)
            attempts = standing(sweep)
    attempts = standing(sweep)
    left = _unended(attempts, wanted)
    print(counts(sweep.jobs, attempts))
    if left:
        print(
            f"launchkit: {len(left)} jobs have not ended after {options.timeout:g} s; "
            "they will when their launcher hears of it",
            file=sys.stderr,
        )
    return NOT_ENDED if left else 0


def _end_what_is_left(sweep: Sweep, wanted: set[int]) -> None:
    """Do what the launcher would, which is gone."""
    from launchkit.leftovers import cancel_left  # noqa: PLC0415 - the other commands start faster

    cancel_left(sweep, wanted, lambda text: print(text, flush=True))


def _unended(attempts: dict[int, Attempt], wanted: set[int]) -> list[int]:
    """Return the jobs that may still run, or be run; a lost one is yet to be marked as such."""
    return [
        num
        for num in sorted(wanted)
        if not attempts[num].state.final or attempts[num].state is JobState.LOST
    ]
