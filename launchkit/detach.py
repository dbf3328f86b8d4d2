"""Sweeps whose launcher leaves: a supervisor drives them, a process that outlives it.

It is a fork of the launcher where that is safe, and else ``python -m launchkit.detach``,
which reads all it needs from the sweep's directory. It prints to ``supervisor.log``.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from launchkit import capture, runner
from launchkit.display.progress import Progress
from launchkit.driver import refuse_driven
from launchkit.machine import processes
from launchkit.modes import registry
from launchkit.modes.base import Mode, Plan
from launchkit.payload import PayloadError
from launchkit.policy import Policy
from launchkit.resume import work_of
from launchkit.runner import Work
from launchkit.sweep import Sweep, SweepError

LOG = "supervisor.log"
READY = "ready "

FAILED_CODE, REFUSED_CODE, INTERRUPTED_CODE = 1, 2, 130


def detach(work: Work, mode: Mode, policy: Policy) -> int:
    """Hand a sweep over to a supervisor, and return its process id once it drives it.

    Parameters are those of `runner.run`.

    Raises
    ------
    ValueError
        If the mode needs the launcher's own process, or cannot run a job.
    SweepError, PayloadError
        If the sweep cannot be run as it is; none of its jobs has run then.
    """
    plan = check(work, mode, policy)
    if not plan.pickles:
        return _fork(work, mode, policy)
    if work.resumed:
        refuse_driven(work.sweep)
    runner.write_down(work, plan, mode)
    return _spawn(work)


def check(work: Work, mode: Mode, policy: Policy) -> Plan:
    """Return what a detached run would do; raises ValueError if the mode cannot do it."""
    if mode.in_this_process:
        raise ValueError(
            f"detach is true, and mode {mode.name!r} runs the jobs in the launcher's own process; "
            "use another mode"
        )
    if mode.hands_over:
        raise ValueError(
            f"detach is true, and mode {mode.name!r} leaves the jobs to you; run it without detach"
        )
    return runner.check(work, mode, policy)


def handed_over(sweep: Sweep, jobs: int, pid: int) -> str:
    """Return what a person is told who has detached a sweep."""
    many = f"{jobs} job{'s' * (jobs != 1)}"
    return (
        f"launchkit: {many} handed over to process {pid}; the launcher may leave\n"
        f"  launchkit status {shlex.quote(str(sweep.directory))}    (also: wait, logs, cancel)"
    )


def _fork(work: Work, mode: Mode, policy: Policy) -> int:
    reading, writing = os.pipe()

    def supervise() -> int:
        # The one that stays is nobody's child, and leaves nobody to wait for it.
        if os.fork():
            os._exit(0)
        os.close(reading)
        _print_to_log(work.sweep)
        return _supervise(work, mode, policy, _Launcher(writing).tell)

    with processes.holding_signals():
        pid = processes.fork(supervise, bound=False)
        os.waitpid(pid, 0)
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8", errors="replace") as stream:
        return _ready(work.sweep, stream.read())


def _spawn(work: Work) -> int:
    wanted = {
        "nums": [job.num for job in work.jobs],
        "again": work.again,
        "changed": sorted(work.changed),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "launchkit.detach", str(work.sweep.directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=_open_log(work.sweep),
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with contextlib.suppress(BrokenPipeError), process.stdin as stream:
        stream.write(json.dumps(wanted).encode())
    with process.stdout as stream:
        said = stream.read().decode(errors="replace")
    process.returncode = 0  # nobody waits for its end
    return _ready(work.sweep, said)


def main(directory: str) -> int:
    """Supervise the jobs of a sweep whose numbers come from standard input."""
    wanted = json.load(sys.stdin)
    launcher = _Launcher(os.dup(1))
    sweep = Sweep.open(directory)
    _print_to_log(sweep)
    try:
        mode = registry.create(sweep.mode, sweep.settings)
        work = work_of(
            sweep,
            only=wanted["nums"],
            again=wanted["again"],
            changed=wanted["changed"],
            other_versions=True,
        )
        policy = Policy(**sweep.policy)
    except (ValueError, SweepError, PayloadError) as error:
        launcher.tell(str(error))
        return REFUSED_CODE
    return _supervise(work, mode, policy, launcher.tell)


def _supervise(work: Work, mode: Mode, policy: Policy, tell: Callable[[str], None]) -> int:
    try:
        progress = Progress(sys.stderr)
        outcomes = runner.run(work, mode, progress, policy, lambda: tell(f"{READY}{os.getpid()}"))
    except runner.Interrupted:
        return INTERRUPTED_CODE
    except (ValueError, SweepError, PayloadError, OSError) as error:
        print(f"launchkit: {error}", file=sys.stderr)  # noqa: T201 - the supervisor's log
        tell(str(error))
        return REFUSED_CODE
    return FAILED_CODE if runner.bad(outcomes) else 0


def _ready(sweep: Sweep, said: str) -> int:
    """Return the process id of a supervisor that is ready, or raise what it said instead."""
    if said.startswith(READY):
        return int(said.removeprefix(READY))
    raise SweepError(said or f"the supervisor has ended early; see {sweep.own / LOG}")


class _Launcher:
    """The launcher, at the other end of a pipe, which waits for one word."""

    def __init__(self, fd: int) -> None:
        self._fd: int | None = fd

    def tell(self, text: str) -> None:
        """Say something, the first time; it then has no more to wait for."""
        fd, self._fd = self._fd, None
        if fd is None:
            return
        with contextlib.suppress(BrokenPipeError):  # it has left without waiting
            os.write(fd, text.encode(errors="backslashreplace"))
        os.close(fd)


def _open_log(sweep: Sweep) -> int:
    path: Path = sweep.own / LOG
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def _print_to_log(sweep: Sweep) -> None:
    processes.print_to(_open_log(sweep))
    # Whatever the launcher had put in their place shows nobody anything any more.
    capture.make_streams()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
