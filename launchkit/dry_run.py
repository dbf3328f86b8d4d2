"""What a sweep would do, in words: jobs, directories, commands."""

from __future__ import annotations

import shlex
import sys
from dataclasses import replace
from pathlib import Path

from launchkit import masking, runner
from launchkit.driver import refuse_driven
from launchkit.job import Attempt, Job, JobState
from launchkit.modes.base import Mode
from launchkit.policy import Policy
from launchkit.runner import Work
from launchkit.standing import standing


def describe(work: Work, mode: Mode, policy: Policy, aside: Path | None = None) -> str:
    """Return the plan of a sweep, having done nothing.

    Parameters
    ----------
    work, mode, policy
        As for `runner.run`.
    aside
        Where a sweep that is in the directory now would be moved.

    Raises
    ------
    SweepError
        If the jobs cannot be added to the sweep, or another process drives it.
    ValueError
        If the mode cannot run a job.
    """
    if work.resumed:
        refuse_driven(work.sweep)
        attempts = standing(work.sweep)
    else:
        work.sweep.check(work.jobs, vacated=aside is not None)
        attempts = {}
    left = work.left(attempts)
    plan = runner.check(replace(work, jobs=left), mode, policy, ask=False)
    lines = [
        f"dry run, nothing is started: {len(left)} job{'s' * (len(left) != 1)}, mode {mode.name}",
        f"  directory: {work.sweep.directory}",
        *([f"  the sweep that is there is renamed: {aside}"] if aside else []),
        f"  program: {masking.mask_text(shlex.join([sys.executable, *work.sweep.command]))}",
        *(f"  {masking.mask_text(line)}" for line in (*plan.lines, *plan.details)),
    ]
    for job in left:
        overrides = " ".join(map(masking.mask_override, job.overrides)) or "-"
        lines.append(f"  job {job.num}: {overrides}{_notes(job, attempts.get(job.num))}")
        lines.append(f"    in {job.directory}")
    completed = len(work.jobs) - len(left)
    if completed:
        lines.append(f"  completed and not run again: {completed} job{'s' * (completed != 1)}")
    return "\n".join(lines)


def _notes(job: Job, before: Attempt | None) -> str:
    """Return what sets a job apart: its needs, and how often it has been tried."""
    found = [f"{key}={value}" for key, value in vars(job.needs).items() if value is not None]
    if before is not None and before.state is not JobState.PENDING:
        found.append(f"{before.state} before")
    return f"  ({', '.join(found)})" if found else ""
