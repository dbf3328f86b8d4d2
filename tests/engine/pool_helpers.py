"""What the tests of the pool share: jobs at gates, and families of processes."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from engine_helpers import PATIENCE_S, wait_until

from launchkit.job import Job, Needs


class Gates:
    """A job waits at its gate until the test lets it through with an exit code."""

    def __init__(self, count):
        self._pipes = [os.pipe() for _ in range(count)]

    def pass_through(self, num):
        return os.read(self._pipes[num][0], 1)[0]

    def open(self, num, code=0):
        os.write(self._pipes[num][1], bytes([code]))

    def close(self):
        for ends in self._pipes:
            for end in ends:
                os.close(end)


def numbered(nums, needs=Needs()):  # noqa: B008 - it is frozen
    return [Job(num, (), Path("unused"), needs) for num in nums]


def stop(pool, nums, grace):
    """Stop jobs, and return how each has ended."""
    pool.stop(nums, grace)
    ended = []
    while set(nums) & set(pool.running):
        ended += pool.wait(PATIENCE_S)
    return ended


def wait_for_all(pool):
    ended = []
    while pool.running or pool.queued:
        ended += pool.wait(PATIENCE_S)
    return {end.num: end.code for end in ended}


def wait_for_text(path):
    def text():
        return path.read_text() if path.exists() and path.read_text().endswith("\n") else ""

    return wait_until(text, str(path)).strip()


def block(path):
    """Say that the job is there, and stay."""
    Path(path).write_text(f"{os.getpid()}\n")
    while True:
        signal.pause()


FAMILY = {"child": None, "own_group": os.setpgrp, "own_session": os.setsid}


def start_family(path):
    """Start a child, one in a group and one in a session of its own, each with a file."""
    for name, leave in FAMILY.items():
        if os.fork() == 0:
            if leave is not None:
                leave()
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            block(path / name)
    family(path)


def family(path):
    return [int(wait_for_text(path / name)) for name in FAMILY]
