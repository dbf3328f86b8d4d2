"""What a sweep would do, in words: jobs, directories, commands."""

from __future__ import annotations

import shlex
import sys

from launchkit import masking, runner
from launchkit.job import Needs
from launchkit.modes.base import Mode
from launchkit.policy import Policy
from launchkit.runner import Work


def describe(work: Work, mode: Mode, policy: Policy) -> str:
    """Return the plan of a sweep, having done nothing.

    Raises
    ------
    SweepError
        If the jobs cannot be added to the sweep.
    ValueError
        If the mode cannot run a job.
    """
    plan = runner.check(work, mode, policy)
    if not work.resumed:
        work.sweep.check(work.jobs)
    lines = [
        f"dry run, nothing is started: {len(work.jobs)} job{'s' * (len(work.jobs) != 1)}, "
        f"mode {mode.name}",
        f"  directory: {work.sweep.directory}",
        f"  program: {masking.mask_text(shlex.join([sys.executable, *work.sweep.command]))}",
        *(f"  {line}" for line in plan.lines),
    ]
    for job in work.jobs:
        overrides = " ".join(map(masking.mask_override, job.overrides)) or "-"
        lines.append(f"  job {job.num}: {overrides}{_needs(job.needs)}")
        lines.append(f"    in {job.directory}")
    return "\n".join(lines)


def _needs(needs: Needs) -> str:
    found = ", ".join(f"{key}={value}" for key, value in vars(needs).items() if value is not None)
    return f"  ({found})" if found else ""
