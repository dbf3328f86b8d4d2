"""What must be so of a sweep after whatever has happened to it, by the evidence of its jobs."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Iterator
from pathlib import Path

import chaos_ledger
from chaos_jobs import trained

from launchkit import driver, job, process_table, value
from launchkit.job import Job, JobState
from launchkit.logging import restoring
from launchkit.sweep import Sweep

ENDING_S = 3.0
"""How long a process that was killed may take to be gone, on a machine that is busy."""


def lost(directory: Path, ledger: Path, jobs: int, steps: int) -> list[str]:
    """Return what a sweep has lost or done twice, a line each."""
    sweep = Sweep.open(directory)
    found = list(left_over(sweep, ledger, jobs))
    if [known.num for known in sweep.jobs] != list(range(jobs)):
        return [*found, f"the jobs of the sweep are {sweep.jobs}"]
    for known in sweep.jobs:
        found += [f"job {known.num}: {line}" for line in _of_job(known, ledger, steps)]
    return found


def left_over(sweep: Sweep, ledger: Path, jobs: int) -> Iterator[str]:
    """Yield the processes of a sweep that run although nobody drives it."""
    deadline = time.monotonic() + ENDING_S
    while time.monotonic() < deadline and _running(sweep, ledger, jobs):
        time.sleep(0.01)
    yield from _running(sweep, ledger, jobs)


def _running(sweep: Sweep, ledger: Path, jobs: int) -> list[str]:
    tagged = process_table.living(process_table.tagged("LAUNCHKIT_SWEEP", sweep.id))
    found = [f"process {pid} is left: {_command(pid)}" for pid in tagged]
    locked = [num for num in range(jobs) if chaos_ledger.is_locked(ledger, num)]
    found += [f"a process of job {num} is left" for num in locked]
    last = driver.current(sweep)
    for name in ("process", "warden"):
        known = getattr(last, name) if last is not None else None
        if known and process_table.is_alive(known):
            found.append(f"the {name} of the last claim is left: {known}")
    return found


def _of_job(known: Job, ledger: Path, steps: int) -> Iterator[str]:
    attempt = job.read(known.directory)
    if attempt.state is not JobState.COMPLETED:
        yield f"it is {attempt}"
        return
    models = trained(known.num, steps)
    if value.load(known) != models[-1]:
        yield f"it returned {value.load(known)}, not {models[-1]}"
    yield from _of_rows(known, models)
    yield from _of_events(known)
    yield from _of_ledger(chaos_ledger.lines(ledger, known.num), attempt.attempt)
    newest = restoring.newest(known.directory)
    if newest is None or newest.restored != (steps - 1, models[-1]):
        yield f"its newest snapshot is {newest}"
    torn = [path.name for path in known.directory.glob(".*.tmp")]
    if torn:
        yield f"half-written files are left: {torn}"


def _of_rows(known: Job, models: list[int]) -> Iterator[str]:
    with (known.directory / "progress.csv").open(newline="") as stream:
        rows = [(int(row["step"]), int(row["model"])) for row in csv.DictReader(stream)]
    if rows != list(enumerate(models)):
        yield f"its rows are {rows}"


def _of_events(known: Job) -> Iterator[str]:
    events = [(event["attempt"], event["state"]) for event in job.events(known.directory)]
    attempts = [attempt for attempt, _ in events]
    if attempts != sorted(attempts):
        yield f"its attempts went backwards: {events}"
    if [state for _, state in events].count("completed") > 1:
        yield f"it completed twice: {events}"
    for line in (known.own / "events.jsonl").read_text().splitlines():
        json.loads(line)


def _of_ledger(lines: list[dict], last: int) -> Iterator[str]:
    if any(line["what"] == "overlap" for line in lines):
        yield f"two attempts ran together: {lines}"
    starts = [line["attempt"] for line in lines if line["what"] == "start"]
    if starts != sorted(set(starts)):
        yield f"its attempts started in this order: {starts}"
    if not starts or starts[-1] != last:
        yield f"attempt {last} completed, and attempts {starts} started"
    if [line["at"] for line in lines] != sorted(line["at"] for line in lines):
        yield f"lines of two attempts are mixed: {lines}"
    saved = dumped = -1
    attempt = 0
    for line in lines:
        if line["what"] == "dumped":
            if line["attempt"] != attempt and not saved < line["step"] <= dumped + 1:
                yield f"attempt {line['attempt']} went on at {line['step']}, {saved} was saved"
            attempt, dumped = line["attempt"], max(dumped, line["step"])
        elif line["what"] == "saved":
            saved = line["step"]


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return "(ended)"
