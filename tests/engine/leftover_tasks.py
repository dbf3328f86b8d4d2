"""A job with a family of processes that do all they can to outlive it, and its launcher."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

SLEEPER = [sys.executable, "-c", "import time; time.sleep(900)"]


class Family:
    """Starts processes in every way there is, writes down who they are, and waits."""

    def __init__(self, kinds):
        self.kinds = kinds

    def run(self, job):
        pids = {"job": os.getpid(), **{kind: KINDS[kind]() for kind in self.kinds}}
        path = Path(f"{job.directory}.family")
        path.with_suffix(".tmp").write_text(json.dumps(pids))
        path.with_suffix(".tmp").rename(path)
        while True:
            signal.pause()


def program():
    return subprocess.Popen(SLEEPER).pid


def program_in_a_session():
    return subprocess.Popen(SLEEPER, start_new_session=True).pid


def fork(leave=lambda: None):
    pid = os.fork()
    if pid == 0:
        leave()
        _wait_for_ever()
    return pid


def fork_in_a_session():
    return fork(os.setsid)


def daemon():
    """Start a program whose parent has ended, in a session of its own."""
    return _daemon(lambda: os.execv(SLEEPER[0], SLEEPER))


def forked_daemon():
    """Start a fork whose parent has ended, in a session of its own."""
    return _daemon(lambda: None)


def _daemon(become):
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.setsid()
        pid = os.fork()
        if pid:
            os.write(writing, str(pid).encode())
            os._exit(0)
        become()
        _wait_for_ever()
    os.wait()
    pid = int(os.read(reading, 16))
    os.close(reading)
    os.close(writing)
    return pid


def _wait_for_ever():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        signal.pause()


KINDS = {
    made.__name__: made
    for made in (program, program_in_a_session, fork, fork_in_a_session, daemon, forked_daemon)
}
