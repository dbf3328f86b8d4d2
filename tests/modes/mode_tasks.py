"""What the jobs of the modes' tests do, importable where the jobs run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from launchkit import stopping
from launchkit.job import read
from launchkit.logging import logger


class Act:
    """Each job does what its number stands for."""

    def __init__(self, actions):
        self.actions = actions

    def run(self, job):
        return ACTIONS[self.actions[job.num]](job)


class Same:
    """All jobs do the same."""

    def __init__(self, action):
        self.action = action

    def run(self, job):
        return ACTIONS[self.action](job)


class Unpicklable:
    def __init__(self):
        self.lock = threading.Lock()

    def run(self, job):
        return job.num


class CannotBePickled(Exception):
    def __init__(self):
        super().__init__("has a lock")
        self.lock = threading.Lock()


class CannotBeShown(Exception):
    def __str__(self):
        raise RuntimeError("no")


class NotAnException(BaseException):
    pass


def good(job):
    print(f"stdout of {job.num}")
    return job.num * 10


def chatty(job):
    print("print ü 😀")
    print("error ü", file=sys.stderr)
    return job.num


def chatty_outside_python(job):
    os.write(1, b"descriptor one\n")
    os.write(2, b"descriptor two\n")
    child = "import sys; print('child out'); print('child err', file=sys.stderr)"
    subprocess.run([sys.executable, "-c", child], check=True)


def raises(job):
    inner(job)


def inner(job):
    raise ValueError(f"boom {job.num}\nand more")


def unfriendly(error):
    def act(job):
        raise error()

    return act


def recursion(job):
    return recursion(job)


def memory(job):
    return bytearray(2**62)


def kill_self(job):
    os.kill(os.getpid(), signal.SIGKILL)


def exits(code):
    return lambda job: sys.exit(code)


def exits_at_once(code):
    return lambda job: os._exit(code)


def returns_unpicklable(job):
    return {"lock": threading.Lock()}


def returns_itself(job):
    value = [job.num]
    value.append(value)
    return value


def removes_its_directory(job):
    for path in sorted(job.directory.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    job.directory.rmdir()


def leaves_an_unfinished_file(job):
    """Leave what a process leaves that is killed while it writes."""
    (job.directory / ".itr_3.pkl.0123456789ab.tmp").write_text("half")
    (job.directory / "itr_2.pkl").write_text("whole")


def where(job):
    return os.getpid(), os.getcwd(), threading.active_count()


def block(job):
    """Start a process that waits as well, say who they are, and wait for the end."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
    say(job, os.getpid(), child.pid)
    wait_forever()


def block_stubbornly(job):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    say(job, os.getpid())
    wait_forever()


def block_and_die_at_once(job):
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    say(job, os.getpid())
    wait_forever()


def block_at_first(job):
    """Block in the first attempt, and be good in any other."""
    return block(job) if read(job.directory).attempt == 1 else good(job)


def fails_twice(job):
    attempt = read(job.directory).attempt
    print(f"attempt {attempt}")
    print(f"attempt {attempt}", file=sys.stderr)
    if attempt < 3:
        raise ValueError(f"not yet: attempt {attempt}")
    return attempt


def raises_beside_the_next(job):
    """Raise as soon as the next job is there."""
    wait_for(Path(f"{job.directory.with_name(str(job.num + 1))}.pids"))
    raise ValueError("boom")


def waits_for_release(job):
    say(job, os.getpid())
    wait_for(Path(f"{job.directory}.go"))
    return job.num * 10


def trains(job):
    """Write a row and a snapshot, again and again, and go on where the last snapshot was."""
    attempt = read(job.directory).attempt
    logger.open(job.directory, resume=attempt > 1)
    restored = logger.restore()
    first = 0 if restored is None else restored.iteration + 1
    # The first attempt goes on until it is released; any other needs a few steps more.
    for epoch in range(first, first + (3000 if attempt == 1 else 5)):
        logger.record_dict({"epoch": epoch, "attempt": attempt, "time": time.time()})
        logger.dump_tabular()
        logger.save_itr_params(epoch, {"epoch": epoch})
        if Path(f"{job.directory}.go").exists():
            break
        time.sleep(0.1)
    return epoch


class AskedToStop:
    """Something whose snapshot is being written when the job is asked to stop."""

    def __init__(self, job):
        self.job = job

    def __reduce__(self):
        say(self.job, os.getpid())
        while stopping._SHIELD.waiting is None:
            time.sleep(0.005)
        return str, ("whole",)


def stopped_in_a_snapshot(job):
    logger.open(job.directory)
    logger.save_itr_params(3, AskedToStop(job))
    print("went on")


def wait_for(path):
    while not path.exists():
        time.sleep(0.005)


def say(job, *pids):
    Path(f"{job.directory}.pids").write_text(" ".join(map(str, pids)) + "\n")


def wait_forever():
    while True:
        time.sleep(1000)


@dataclass(frozen=True)
class Bad:
    """A bad job, and how it is to end; `kills` if it takes its process with it."""

    state: str
    exit_code: int
    error: str | None
    kills: bool = False
    log: str = ""


BAD_JOBS = {
    "raises": Bad("failed", 1, "ValueError: boom 1", log="ValueError: boom 1\nand more\n"),
    "exit_3": Bad("failed", 3, "SystemExit: 3"),
    "exit_text": Bad("failed", 1, "SystemExit: bye", log="bye\n"),
    "exit_0": Bad("completed", 0, None),
    "exit_none": Bad("completed", 0, None),
    "unpicklable_return": Bad("completed", 0, None),
    "returns_itself": Bad("completed", 0, None),
    "unpicklable_error": Bad("failed", 1, "CannotBePickled: has a lock"),
    "error_without_text": Bad(
        "failed", 1, "CannotBeShown: (its message raises RuntimeError)", log="CannotBeShown"
    ),
    "no_exception": Bad("failed", 1, "NotAnException"),
    "recursion": Bad("failed", 1, "RecursionError: maximum recursion depth exceeded"),
    "memory": Bad("failed", 1, "MemoryError"),
    "killed": Bad("failed", -9, "ProcessKilled: SIGKILL ended the process of job", kills=True),
    "os_exit_7": Bad("failed", 7, "ProcessEnded: exit code 7 before the job", kills=True),
    "os_exit_0": Bad("failed", 0, "ProcessEnded: exit code 0 before the job", kills=True),
}

ACTIONS = {
    "good": good,
    "chatty": chatty,
    "chatty_outside_python": chatty_outside_python,
    "leaves_an_unfinished_file": leaves_an_unfinished_file,
    "where": where,
    "block": block,
    "block_at_first": block_at_first,
    "block_stubbornly": block_stubbornly,
    "block_and_die_at_once": block_and_die_at_once,
    "fails_twice": fails_twice,
    "raises_beside_the_next": raises_beside_the_next,
    "stopped_in_a_snapshot": stopped_in_a_snapshot,
    "trains": trains,
    "waits_for_release": waits_for_release,
    "removes_its_directory": removes_its_directory,
    "raises": raises,
    "exit_3": exits(3),
    "exit_text": exits("bye"),
    "exit_0": exits(0),
    "exit_none": exits(None),
    "unpicklable_return": returns_unpicklable,
    "returns_itself": returns_itself,
    "unpicklable_error": unfriendly(CannotBePickled),
    "error_without_text": unfriendly(CannotBeShown),
    "no_exception": unfriendly(NotAnException),
    "recursion": recursion,
    "memory": memory,
    "killed": kill_self,
    "os_exit_7": exits_at_once(7),
    "os_exit_0": exits_at_once(0),
}
