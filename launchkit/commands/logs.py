"""``launchkit logs``: what a job printed, and prints."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import time
from pathlib import Path
from typing import BinaryIO

from launchkit.display.follow import UNDRIVEN_S
from launchkit.job import Attempt, Job, JobState, log_of
from launchkit.standing import describe, driven, standing_of
from launchkit.sweep import Sweep

BLOCK = 65536
LOOK_S = 0.2
NOTHING = 1


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the parser of the command."""
    parser = commands.add_parser("logs", help="what a job printed")
    parser.add_argument("directory", help="a sweep directory")
    parser.add_argument("num", type=int, help="the job's number")
    parser.add_argument("--stderr", action="store_true", help="standard error, not output")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("-f", "--follow", action="store_true", help="go on until the job ends")
    which.add_argument("--attempt", type=int, metavar="N", help="of this attempt, not the last")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print a log, byte for byte."""
    sweep = Sweep.open(options.directory)
    job = _find(sweep, options.num)
    log = job.stderr if options.stderr else job.stdout
    out = sys.stdout.buffer
    if options.follow:
        _Follower(sweep, job, log, out).run()
        return 0
    path = _log_of_attempt(sweep, job, log, options.attempt)
    if not path.exists():
        known = standing_of(sweep, job)
        hint = "" if known.state.final else " (-f waits for it)"
        if known.error is not None:
            hint = f": {known.error.type}: {known.error.message}"
        _note(f"job {job.num} is {known.state} and has no {path.name}{hint}")
        return NOTHING
    with path.open("rb") as stream:
        written = _copy(stream, out)
    if not written:
        _point_elsewhere(path)
    return 0


def _find(sweep: Sweep, num: int) -> Job:
    for job in sweep.jobs:
        if job.num == num:
            return job
    nums = [job.num for job in sweep.jobs]
    there = f"its jobs are {min(nums)} to {max(nums)}" if nums else "it has no jobs yet"
    raise ValueError(f"{sweep.directory} has no job {num}; {there}")


def _log_of_attempt(sweep: Sweep, job: Job, log: Path, attempt: int | None) -> Path:
    last = standing_of(sweep, job).attempt
    if attempt is None or attempt == last:
        return log
    if not 1 <= attempt <= last:
        raise ValueError(f"job {job.num} has no attempt {attempt}; it has made {last}")
    return log_of(log, attempt)


def _point_elsewhere(path: Path) -> None:
    """Say so where a log is empty and the other one is not."""
    stream, dot, rest = path.name.partition(".")
    wanted, option = ("stderr", "with") if stream == "stdout" else ("stdout", "without")
    other = path.with_name(f"{wanted}{dot}{rest}")
    if other.exists() and other.stat().st_size:
        _note(f"{path.name} is empty; {other.name} is not ({option} --stderr)")


class _Follower:
    """Copies a log as it grows, through all attempts of the job."""

    def __init__(self, sweep: Sweep, job: Job, log: Path, out: BinaryIO) -> None:
        self._sweep = sweep
        self._job = job
        self._log = log
        self._out = out
        self._stream: BinaryIO | None = None
        self._seen_driven = time.monotonic()

    def run(self) -> None:
        """Copy until the job has ended for good."""
        try:
            while True:
                # What it wrote before it ended is there once it is known to have ended.
                over = self._is_over(standing_of(self._sweep, self._job))
                self._copy()
                if self._moved():
                    self._reopen()
                elif over:
                    return
                else:
                    time.sleep(LOOK_S)
        finally:
            if self._stream is not None:
                self._stream.close()

    def _copy(self) -> None:
        if self._stream is not None and _copy(self._stream, self._out):
            self._out.flush()

    def _moved(self) -> bool:
        """Tell whether the log's name leads to another file than the one that is read."""
        try:
            there = self._log.stat()
        except FileNotFoundError:
            return False
        if self._stream is None:
            return True
        return not os.path.samestat(there, os.fstat(self._stream.fileno()))

    def _reopen(self) -> None:
        if self._stream is not None:
            self._copy()
            self._stream.close()
            self._stream = None
            attempt = standing_of(self._sweep, self._job).attempt
            _note(f"job {self._job.num}, attempt {attempt}")
        # It may have been moved once more, just now.
        with contextlib.suppress(FileNotFoundError):
            self._stream = self._log.open("rb")

    def _is_over(self, known: Attempt) -> bool:
        if driven(self._sweep):
            self._seen_driven = time.monotonic()
            return known.state.final and not _may_come_again(self._sweep, known)
        if known.state is not JobState.PENDING:
            return known.state.final
        if time.monotonic() - self._seen_driven < UNDRIVEN_S:
            return False
        _note(f"job {self._job.num} is pending, and {describe(self._sweep)}")
        return True


def _may_come_again(sweep: Sweep, known: Attempt) -> bool:
    policy = sweep.policy
    return bool(policy.get("max_retries")) and known.state.value in policy.get("retry_on", ())


def _copy(stream: BinaryIO, out: BinaryIO) -> int:
    """Copy what is there, and return how many bytes that was."""
    written = 0
    while block := stream.read(BLOCK):
        out.write(block)
        written += len(block)
    return written


def _note(text: str) -> None:
    sys.stdout.flush()
    print(f"launchkit: {text}", file=sys.stderr)
