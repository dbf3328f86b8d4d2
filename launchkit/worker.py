"""Runs jobs, anywhere: ``python -m launchkit.worker SWEEP NUM…``.

It imports little and starts fast. What it says of a job, it says in the job's files: the
state, the heartbeat, the captured output, the value; its exit code is the job's own.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Sequence
from types import FrameType

from launchkit import capture, payload, stopping
from launchkit.ending import complete, fail
from launchkit.job import Job, JobState, end, make_own, start
from launchkit.machine import processes
from launchkit.sweep import Sweep
from launchkit.task import Cancelled, Task

CANCELLED_CODE = 130


def run_here(job: Job, task: Task) -> int:
    """Run a job in the launcher's own process; its output is also shown.

    Raises
    ------
    KeyboardInterrupt
        If the person at the terminal interrupts it; the job is then cancelled.
    """
    make_own(job)
    with capture.tee(job):
        return _run(job, lambda: task)


def run_apart(job: Job, task: Callable[[], Task]) -> int:
    """Run a job in a process that is for it alone, and return the exit code.

    Parameters
    ----------
    job
        The job.
    task
        Gives the task; what keeps it from doing so is the job's failure.
    """
    make_own(job)
    capture.redirect(job)
    signal.signal(signal.SIGTERM, _on_sigterm)
    try:
        processes.let_signals_through()
        return _run(job, task)
    except (Cancelled, KeyboardInterrupt):
        return CANCELLED_CODE


def main(arguments: Sequence[str] | None = None) -> int:
    """Run jobs of a sweep directory; the exit code is the last bad one, or 0."""
    parser = argparse.ArgumentParser(prog="python -m launchkit.worker", description=main.__doc__)
    parser.add_argument("sweep", help="the sweep directory")
    parser.add_argument("num", nargs="+", type=int, help="the numbers of the jobs, run in turn")
    parser.add_argument("--parent", type=int, help="end with this process, which has started it")
    options = parser.parse_args(arguments)
    if options.parent is not None:
        processes.end_with(options.parent)
        processes.adopt_orphans()
    sweep = Sweep.open(options.sweep)
    jobs = {known.num: known for known in sweep.jobs}
    code = 0
    for num in options.num:
        if num not in jobs:
            parser.error(f"sweep {sweep.directory} has no job {num}")
        code = run_apart(jobs[num], _loader(sweep, num)) or code
        if code == CANCELLED_CODE:
            break
    return code


def _loader(sweep: Sweep, num: int) -> Callable[[], Task]:
    # Whether the versions fit was asked when the sweep was begun, or resumed.
    return lambda: payload.load(sweep, num, other_versions=True)


def _run(job: Job, task: Callable[[], Task]) -> int:
    """Run the task, write how it ended, and return the exit code."""
    try:
        start(job)
        result = task().run(job)
    except (Cancelled, KeyboardInterrupt):
        end(job, JobState.CANCELLED, exit_code=CANCELLED_CODE)
        raise
    except SystemExit as error:
        code = _exit_code(error)
        if code:
            fail(job, error, code)
            return code
        result = None
    except BaseException as error:  # one bad job costs one job, whatever it raises
        fail(job, error)
        return 1
    complete(job, result)
    return 0


def _exit_code(error: SystemExit) -> int:
    """Return what the interpreter would exit with."""
    if error.code is None:
        return 0
    if isinstance(error.code, int):
        return error.code
    print(error.code, file=sys.stderr)  # noqa: T201 - as the interpreter does
    return 1


def _on_sigterm(number: int, frame: FrameType | None) -> None:
    """Ask the job to stop; once it does, being asked again does not disturb it."""
    del number, frame
    handled = sys.exc_info()[1]
    while handled is not None:
        if isinstance(handled, Cancelled):
            return
        handled = handled.__context__
    stopping.request(Cancelled())


if __name__ == "__main__":
    sys.exit(main())
