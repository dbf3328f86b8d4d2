"""A launcher for the modes' tests, to be interrupted, killed, and left by its terminal.

Its argument is JSON: `directory`, `mode`, `settings`, `actions` (a list, an action a job),
and if it is wanted `policy`, `resume` or `detach`.
"""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

from mode_tasks import Act

from launchkit import runner
from launchkit.detach import detach
from launchkit.display.progress import Progress
from launchkit.job import Job
from launchkit.modes import registry
from launchkit.policy import Policy
from launchkit.resume import work_of
from launchkit.runner import Work
from launchkit.sweep import Sweep


def main(wanted) -> None:
    directory, mode, settings = Path(wanted["directory"]), wanted["mode"], wanted["settings"]
    policy = Policy(**wanted.get("policy", {}))
    if wanted.get("resume"):
        work = work_of(Sweep.open(directory))
    else:
        saved = wanted.get("policy", {})
        sweep = Sweep.create(
            directory, mode=mode, settings=settings, command=sys.argv, policy=saved
        )
        actions = dict(enumerate(wanted["actions"]))
        jobs = [Job(num, (), sweep.directory / str(num)) for num in actions]
        work = Work(sweep, jobs, Act(actions))
    if wanted.get("detach"):
        print("supervisor", detach(work, registry.create(mode, settings), policy), flush=True)
        sys.stdin.read()
        return
    try:
        runner.run(work, registry.create(mode, settings), Progress(), policy)
    except runner.Interrupted:
        print("interrupted")


if __name__ == "__main__":
    # A shell starts what runs in its background with Ctrl-C ignored, a test run for one.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    main(json.loads(sys.argv[1]))
