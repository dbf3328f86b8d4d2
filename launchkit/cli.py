"""``launchkit``: what is known of a sweep, read from its directory."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from launchkit import doctor
from launchkit._version import __version__
from launchkit.job import JobState
from launchkit.progress import counts, failures, warnings
from launchkit.sweep import Sweep, SweepError

USAGE_ERROR = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command, and return its exit code: 0, or 2 where there is nothing to read."""
    options = _parser().parse_args(arguments)
    try:
        code: int = options.run(options)
    except (SweepError, FileNotFoundError, ValueError) as error:
        print(f"launchkit: {error}", file=sys.stderr)
        return USAGE_ERROR
    except BrokenPipeError:  # the reader, `head` say, has seen enough
        sys.stderr.close()
        return 0
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="launchkit", description=__doc__)
    parser.add_argument("--version", action="version", version=f"launchkit {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    table = commands.add_parser("table", help="a row a job: state, time, swept values, metrics")
    table.add_argument("directory", nargs="+", help="sweep directories, or globs of them")
    table.add_argument("--metrics", help="the metrics to show, separated by commas")
    form = table.add_mutually_exclusive_group()
    form.add_argument("--csv", action="store_true", help="print CSV")
    form.add_argument("--json", action="store_true", help="print JSON, an object a job")
    table.set_defaults(run=_table)

    status = commands.add_parser("status", help="how many jobs are in which state")
    status.add_argument("directory", help="a sweep directory")
    status.add_argument("--jobs", action="store_true", help="also print a line a job")
    status.add_argument("--json", action="store_true", help="print JSON")
    status.set_defaults(run=_status)

    modes = commands.add_parser("modes", help="the modes, and whether each can run here")
    modes.set_defaults(run=_modes)

    check = commands.add_parser("doctor", help="versions, and what each mode needs")
    check.set_defaults(run=_doctor)
    return parser


def _table(options: argparse.Namespace) -> int:
    # pandas takes longer to import than all the other commands to run.
    from launchkit.results import (  # noqa: PLC0415
        load_sweep,
        render_table,
        summary_table,
    )

    results = load_sweep(*options.directory)
    names = options.metrics.split(",") if options.metrics else None
    table = summary_table(results, metrics=names)
    if options.csv:
        print(table.to_csv(index=False), end="")
    elif options.json:
        print(table.to_json(orient="records", indent=2))
    else:
        # What reads a pipe is no terminal with an edge.
        print(render_table(table, width=None if sys.stdout.isatty() else sys.maxsize))
    for directory, reason in results.problems:
        print(f"launchkit: {directory}: {reason}", file=sys.stderr)
    return 0


def _status(options: argparse.Namespace) -> int:
    sweep = Sweep.open(Path(options.directory))
    attempts = sweep.attempts()
    if options.json:
        states = [attempt.state for attempt in attempts.values()]
        content = {
            "id": sweep.id,
            "directory": str(sweep.directory),
            "mode": sweep.mode,
            "counts": {state.value: states.count(state) for state in JobState if state in states},
            "jobs": [
                {"num": job.num, "overrides": job.overrides, "directory": str(job.directory)}
                | attempts[job.num].to_json()
                for job in sweep.jobs
            ],
        }
        print(json.dumps(content, indent=2))
        return 0
    print(f"{sweep.directory}  mode {sweep.mode}, {len(sweep.jobs)} jobs")
    print(counts(sweep.jobs, attempts) or "no jobs")
    if options.jobs:
        for job in sweep.jobs:
            print(f"{job.num:5} {attempts[job.num].state:10} {job.describe()}")
    for line in warnings(attempts) + failures(sweep.jobs, attempts):
        print(line)
    return 0


def _modes(options: argparse.Namespace) -> int:
    del options
    print(doctor.modes_table())
    return 0


def _doctor(options: argparse.Namespace) -> int:
    del options
    print(doctor.report())
    return 0 if doctor.healthy() else 1


if __name__ == "__main__":
    sys.exit(main())
