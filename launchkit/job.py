"""A job of a sweep, its state, and the only code that changes that state.

A job's own worker writes its running and its final state; the launcher writes the
others. Each change replaces ``.launchkit/state.json`` atomically and adds a line to
``.launchkit/events.jsonl`` in the job's directory.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from launchkit import files, process_table

OWN_DIR = ".launchkit"
HEARTBEAT_S = 15.0
"""From one sign of life of a running job to the next."""


class JobState(str, Enum):
    """Where a job stands."""

    PENDING = "pending"
    SUBMITTED = "submitted"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMEOUT = "timeout"
    PREEMPTED = "preempted"
    LOST = "lost"

    @property
    def final(self) -> bool:
        """Whether a job in this state has ended."""
        return self not in (JobState.PENDING, JobState.SUBMITTED, JobState.RUNNING)

    @property
    def bad(self) -> bool:
        """Whether a job in this state has ended without completing."""
        return self.final and self is not JobState.COMPLETED

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Needs:
    """What a job needs where it is not what its mode's settings say.

    Parameters
    ----------
    gpus
        How many GPUs it gets.
    cpus
        How many threads its libraries may use.
    timeout_min
        Minutes after which it is ended.
    """

    gpus: int | None = None
    cpus: int | None = None
    timeout_min: float | None = None


@dataclass(frozen=True)
class Job:
    """One job of a sweep.

    Parameters
    ----------
    num
        Its number in the sweep, from 0.
    overrides
        What makes it differ from the others, as Hydra override strings.
    directory
        Its output directory, absolute.
    needs
        What it needs beside what all need.
    """

    num: int
    overrides: tuple[str, ...]
    directory: Path
    needs: Needs = Needs()

    @property
    def own(self) -> Path:
        """The directory of launchkit's files about this job."""
        return self.directory / OWN_DIR

    @property
    def stdout(self) -> Path:
        """The captured standard output."""
        return self.own / "stdout.log"

    @property
    def stderr(self) -> Path:
        """The captured standard error, a failure's traceback included."""
        return self.own / "stderr.log"

    def describe(self) -> str:
        """Return the overrides as one line, or a dash where there is none."""
        return " ".join(self.overrides) or "-"


@dataclass(frozen=True)
class JobError:
    """Why a job did not complete."""

    type: str
    message: str

    @property
    def last_line(self) -> str:
        """The last line of its traceback."""
        lines = self.message.strip().splitlines()
        return f"{self.type}: {lines[0]}" if lines else self.type


@dataclass(frozen=True)
class Attempt:
    """One run of a job, as its state file has it.

    Times are seconds since the epoch. `host`, `pid` and `process` are of the process that
    runs it; the last is its `process_table.identity`. `warning` is what is to be known of a
    job that completed all the same.
    """

    state: JobState = JobState.PENDING
    attempt: int = 1
    host: str | None = None
    pid: int | None = None
    process: str | None = None
    started: float | None = None
    ended: float | None = None
    exit_code: int | None = None
    error: JobError | None = None
    warning: str | None = None

    @property
    def seconds(self) -> float | None:
        """How long it has run, or ran; None before it starts."""
        if self.started is None:
            return None
        return max(0.0, (self.ended or time.time()) - self.started)

    @property
    def reason(self) -> str:
        """Why it ended badly, on a line."""
        return self.error.last_line if self.error else f"exit code {self.exit_code}"

    def to_json(self) -> dict[str, Any]:
        """Return the content of a state file."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        values["state"] = self.state.value
        if self.error is not None:
            values["error"] = {
                "type": self.error.type,
                "message": self.error.message,
                "last_line": self.error.last_line,
            }
        return values

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Attempt:
        """Read back what `to_json` returned; keys of later versions are left out."""
        known = {f.name: values[f.name] for f in dataclasses.fields(cls) if f.name in values}
        known["state"] = JobState(known["state"])
        if known.get("error"):
            known["error"] = JobError(known["error"]["type"], known["error"]["message"])
        return cls(**known)


def read(directory: Path) -> Attempt:
    """Return the last state written in a job's directory; pending where there is none."""
    try:
        text = (directory / OWN_DIR / "state.json").read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return Attempt()
    return Attempt.from_json(json.loads(text))


def events(directory: Path) -> Iterator[dict[str, Any]]:
    """Yield every change of state there has been, the oldest first."""
    return files.read_json_lines(directory / OWN_DIR / "events.jsonl")


def change(job: Job, state: JobState, **values: Any) -> Attempt:
    """Write a new state of a job and return it.

    Parameters
    ----------
    job
        The job; its directory is made where it is missing.
    state
        The new state.
    **values
        Fields of `Attempt` that change with it; the others are kept.

    Raises
    ------
    OSError
        If the state could not be written, and the old one is still there; or it was, and
        could not be added to the events.
    """
    make_own(job)
    attempt = dataclasses.replace(read(job.directory), state=state, **values)
    content = attempt.to_json()
    event = {"time": time.time(), **{k: v for k, v in content.items() if v is not None}}
    # In this order: what is killed in between has told less than is so, not more.
    files.write_json(job.own / "state.json", content, mode=0o600)
    files.append_line(job.own / "events.jsonl", json.dumps(event, ensure_ascii=False), mode=0o600)
    return attempt


def make_own(job: Job) -> None:
    """Make the directory of launchkit's files about a job, for its owner only."""
    job.own.mkdir(parents=True, exist_ok=True, mode=0o700)


def renew(job: Job) -> Attempt:
    """Make a job pending again, and put away what its last attempt printed.

    The logs get the number of their attempt, ``stdout.1.log`` say; snapshots, rows and all
    else that the job wrote stay where they are, for the next attempt to go on from.
    """
    before = read(job.directory)
    for log in (job.stdout, job.stderr):
        with contextlib.suppress(FileNotFoundError):
            log.rename(log_of(log, before.attempt))
    for name in ("result.json", "result.pkl", "failure.pkl"):
        (job.own / name).unlink(missing_ok=True)
    fresh = Attempt(attempt=before.attempt + 1)
    values = {f.name: getattr(fresh, f.name) for f in dataclasses.fields(fresh)}
    return change(job, values.pop("state"), **values)


def log_of(log: Path, attempt: int) -> Path:
    """Return where a log of a past attempt is: ``stdout.2.log`` for ``stdout.log``."""
    return log.with_suffix(f".{attempt}{log.suffix}")


def beat(job: Job) -> None:
    """Leave a sign of life of a running job: the time of its file ``heartbeat``."""
    path = job.own / "heartbeat"
    try:
        os.utime(path)
    except OSError:
        # A job that has not made its directory yet, or lost it, costs nobody else anything.
        with contextlib.suppress(OSError):
            path.touch(0o600)


def last_sign(job: Job) -> float | None:
    """Return when a job last gave a sign of life, in seconds since the epoch."""
    times = [
        path.stat().st_mtime
        for path in (job.own / "heartbeat", job.own / "state.json")
        if path.exists()
    ]
    return max(times, default=None)


def start(job: Job) -> Attempt:
    """Mark a job as running in this process."""
    return change(
        job,
        JobState.RUNNING,
        host=socket.gethostname(),
        pid=os.getpid(),
        process=process_table.identity(),
        started=time.time(),
        ended=None,
        exit_code=None,
        error=None,
        warning=None,
    )


def end(
    job: Job,
    state: JobState,
    *,
    exit_code: int | None = None,
    error: JobError | None = None,
    warning: str | None = None,
) -> Attempt:
    """Mark a job as ended in a final state."""
    now = time.time()
    return change(job, state, ended=now, exit_code=exit_code, error=error, warning=warning)
