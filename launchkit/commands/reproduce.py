"""``launchkit reproduce``: what a run ran, and a checkout of it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

FAILED = 1


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the parser of the command."""
    parser = commands.add_parser(
        "reproduce", help="what a run ran: code, versions, overrides, and the command"
    )
    parser.add_argument("directory", metavar="RUN_DIR", help="a job's directory, or a sweep's")
    parser.add_argument("--job", type=int, metavar="NUM", help="the job of a sweep's directory")
    parser.add_argument(
        "--checkout", type=Path, metavar="DIR", help="make DIR with the code that the run ran"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print what a run ran; return 1 if its checkout cannot be made."""
    # Each command imports what it needs: `launchkit status` is to start fast.
    from launchkit.code import code_snapshot, reproduce, rerun  # noqa: PLC0415
    from launchkit.code.checkout import CheckoutError, prepare  # noqa: PLC0415

    sweep, job = reproduce.find(Path(options.directory), options.job)
    snapshot = code_snapshot.load(sweep)
    if options.checkout is not None:
        try:
            prepare(snapshot, options.checkout, rerun.command(sweep, job, snapshot))
        except CheckoutError as error:
            print(f"launchkit: {error}", file=sys.stderr)
            return FAILED
    print(reproduce.report(sweep, job, snapshot))
    print()
    print(reproduce.instructions(sweep, job, snapshot, options.checkout))
    return 0
