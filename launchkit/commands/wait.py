"""``launchkit wait``: shows a sweep until all its jobs have ended."""

from __future__ import annotations

import argparse
import math
import sys

from launchkit.commands.status import launcher_lines
from launchkit.display.follow import End, follow
from launchkit.display.progress import Progress
from launchkit.sweep import Sweep

NOT_ALL_COMPLETED, NOBODY_DRIVES, TIMED_OUT, INTERRUPTED = 1, 3, 124, 130


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the parser of the command."""
    parser = commands.add_parser("wait", help="wait until all jobs have ended, and show them")
    parser.add_argument("directory", help="a sweep directory")
    parser.add_argument("--timeout", type=_seconds, metavar="S", help="seconds to wait at most")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Wait, and return 0 if all jobs have completed."""
    sweep = Sweep.open(options.directory)
    progress = Progress(sys.stdout)
    try:
        known = follow(sweep, progress, timeout=options.timeout)
    except KeyboardInterrupt:
        progress.clear()
        progress.say(
            f"stopped waiting; the sweep goes on: `launchkit cancel {options.directory}` stops it"
        )
        return INTERRUPTED
    progress.finish(known.attempts)
    if known.end is End.TIMEOUT:
        progress.say(f"stopped waiting after {options.timeout:g} s; the sweep goes on")
        return TIMED_OUT
    if known.end is End.UNDRIVEN:
        for line in launcher_lines(known.sweep, known.attempts):
            progress.say(line)
        return NOBODY_DRIVES
    return 0 if known.all_completed else NOT_ALL_COMPLETED


def _seconds(text: str) -> float:
    seconds = float(text)
    if not (seconds >= 0 and math.isfinite(seconds)):
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds")
    return seconds
