"""``launchkit resume``: runs what has not completed of a sweep."""

from __future__ import annotations

import argparse
import sys

from launchkit.sweep import Sweep, SweepError

BAD, INTERRUPTED = 1, 130


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the parser of the command."""
    parser = commands.add_parser("resume", help="run what has not completed of a sweep")
    parser.add_argument("directory", help="a sweep directory")
    parser.add_argument("--only", nargs="+", type=int, metavar="NUM", help="only these jobs")
    parser.add_argument(
        "--failed", action="store_true", help="only jobs that failed, timed out or got lost"
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="also with other versions of packages; and run completed jobs of --only again",
    )
    parser.add_argument("--detach", action="store_true", help="leave the jobs to a supervisor")
    parser.add_argument("--dry-run", action="store_true", help="print the plan, and run nothing")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the jobs, and return 0 if all of them completed."""
    # What runs jobs takes longer to import than the other commands to run.
    from launchkit import detach, dry_run, runner  # noqa: PLC0415
    from launchkit.display.progress import Progress  # noqa: PLC0415
    from launchkit.modes import registry  # noqa: PLC0415
    from launchkit.payload import PayloadError  # noqa: PLC0415
    from launchkit.policy import Policy  # noqa: PLC0415
    from launchkit.resume import work_of  # noqa: PLC0415

    sweep = Sweep.open(options.directory)
    try:
        work = work_of(
            sweep,
            only=options.only,
            failed=options.failed,
            again=options.force and options.only is not None,
            other_versions=options.force,
        )
        if not sweep.jobs:
            raise SweepError(
                f"{sweep.directory} was ended before its jobs were written down; run the program "
                f"again, with hydra.sweep.dir={sweep.directory} hydra.launcher.resume=true"
            )
        if not work.jobs:
            print(f"nothing to resume: no such job of {sweep.directory} is left")
            return 0
        mode = registry.create(sweep.mode, sweep.settings)
        policy = Policy(**sweep.policy)
        if options.dry_run:
            print(dry_run.describe(work, mode, policy))
            return 0
        if options.detach:
            pid = detach.detach(work, mode, policy)
            print(detach.handed_over(sweep, len(work.jobs), pid))
            return 0
        if mode.hands_over:
            runner.hand_over(work, mode, policy, print)
            return 0
        outcomes = runner.run(work, mode, Progress(sys.stderr), policy)
    except PayloadError as error:
        raise SweepError(str(error)) from error
    except runner.Interrupted:
        return INTERRUPTED
    return BAD if runner.bad(outcomes) else 0
