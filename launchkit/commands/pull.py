"""``launchkit pull``: a sweep home from its bucket, and nothing else is needed for it."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from launchkit.display.screen import Screen, printable
from launchkit.logging.table import format_table
from launchkit.sweep import Sweep, SweepError

if TYPE_CHECKING:
    from launchkit.cloud.bucket_sweeps import Kept

FAILED = 1
USAGE_ERROR = 2
LIST_AT_MOST = 5
REFRESH_S = 0.2


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the parser of the command."""
    parser = commands.add_parser("pull", help="bring a sweep home from its bucket")
    parser.add_argument(
        "url", metavar="URL", help="s3://bucket/prefix/id or gs://…; without the id, list sweeps"
    )
    parser.add_argument(
        "directory",
        nargs="?",
        type=Path,
        metavar="DIRECTORY",
        help="where to: new, empty, or pulled before; by default by the sweep's own name, here",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Bring a sweep home; return 1 if some of it could not be brought, 2 if it was only listed."""
    # Each command imports what it needs: `launchkit status` is to start fast.
    from launchkit.cloud import bucket_sweeps  # noqa: PLC0415
    from launchkit.cloud.depot import HOME  # noqa: PLC0415
    from launchkit.cloud.pulling import pull  # noqa: PLC0415
    from launchkit.cloud.stores import NotThere, StoreError, open_store, split  # noqa: PLC0415

    scheme, bucket, prefix = split(options.url)
    screen = Screen(sys.stderr)
    drawn = float("-inf")

    def told(files: int, total: int, size: int) -> None:
        nonlocal drawn
        if time.monotonic() - drawn >= REFRESH_S:
            drawn = time.monotonic()
            screen.draw([f"pulling: {files} of {total} files, {_size(size)}"])

    try:
        store = open_store(scheme, bucket)
        try:
            store.get(f"{prefix}/{HOME}/sweep/sweep.json")
        except NotThere:
            return _list(options.url, bucket_sweeps.find(store, prefix))
        try:
            done = pull(store, prefix, options.directory, told)
        finally:
            screen.clear()
    except StoreError as error:
        raise SweepError(str(error)) from error
    _complain(f"left out: {reason}" for reason in done.left_out)
    _complain(done.problems)
    sweep = Sweep.open(done.directory)
    came = f"{done.files} files, {_size(done.size)}" if done.files else "nothing new"
    over = "over" if done.closed else "not over: pull again for what comes"
    jobs = f"{len(sweep.jobs)} job{'s' * (len(sweep.jobs) != 1)}"
    print(f"{printable(str(done.directory))}: {came}; {jobs}, the sweep is {over}")
    return FAILED if done.problems else 0


def _list(url: str, sweeps: Iterable[Kept]) -> int:
    rows = [(each.id, printable(each.name), each.jobs, each.driven) for each in sweeps]
    if not rows:
        raise SweepError(f"no sweep in {url} or just below it")
    print(format_table(rows, ["id", "name", "jobs", "driven"]))
    example = f"{url.rstrip('/')}/{rows[-1][0]}"
    print(f"launchkit: name one of them: `launchkit pull {example}`", file=sys.stderr)
    return USAGE_ERROR


def _complain(reasons: Iterable[str]) -> None:
    lines = sorted(reasons)
    for line in lines[:LIST_AT_MOST]:
        print(f"launchkit: {printable(line)}", file=sys.stderr)
    if len(lines) > LIST_AT_MOST:
        print(f"launchkit: … and {len(lines) - LIST_AT_MOST} more", file=sys.stderr)


def _size(count: int) -> str:
    """Return a number of bytes in words."""
    amount = float(count)
    for unit in ("bytes", "kB", "MB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "bytes" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"
