"""The program of the chaos that drives the engine itself: it begins a sweep, or takes it up."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from chaos_acts import ACTS, Act
from chaos_jobs import Train
from chaos_steps import WHO, die_before_change

from launchkit import detach, runner
from launchkit.display.progress import Progress
from launchkit.job import Job
from launchkit.modes.local import LocalMode
from launchkit.policy import Policy
from launchkit.runner import Work
from launchkit.sweep import Sweep, SweepError


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=Path)
    parser.add_argument("ledger")
    parser.add_argument("--method", default="fork")
    parser.add_argument("--jobs", type=int, default=3)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--pause", type=float, default=0.02)
    parser.add_argument("--retries", type=int, default=0)
    parser.add_argument("--detach", action="store_true")
    parser.add_argument("--act", choices=ACTS)
    parser.add_argument("--barrier", type=Path)
    parser.add_argument("--dies", choices=WHO)
    parser.add_argument("--change", type=int)
    options = parser.parse_args()
    while options.barrier is not None and not options.barrier.exists():
        pass
    if options.dies:
        die_before_change(options.dies, options.change, options.ledger)
    resumed = (options.directory / ".launchkit" / "sweep.json").exists()
    settings = {"n_jobs": 2, "start_method": options.method}
    policy = {"max_retries": options.retries, "retry_delay_s": 0.0}
    try:
        if resumed:
            sweep = Sweep.open(options.directory)
        else:
            sweep = Sweep.create(
                options.directory, mode="local", settings=settings, command=sys.argv, policy=policy
            )
        jobs = [Job(num, (f"x={num}",), sweep.directory / str(num)) for num in range(options.jobs)]
        task = Train(options.ledger, options.steps, options.pause)
        if options.act:
            task = Act(options.ledger, options.act)
        work = Work(sweep, jobs, task, resumed=resumed)
        mode = LocalMode(**settings)
        if options.detach:
            detach.detach(work, mode, Policy(**policy))
            return 0
        outcomes = runner.run(work, mode, Progress(sys.stderr), Policy(**policy))
    except SweepError as error:
        print(error, file=sys.stderr)
        return 2
    except runner.Interrupted:
        return 130
    return 1 if runner.bad(outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
