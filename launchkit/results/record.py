"""What is known of a run besides its rows: its state, and its settings."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from launchkit import process_table
from launchkit.results.discover import STATE, Run
from launchkit.results.settings import read_bytes, read_settings

HEARTBEAT = os.path.join(".launchkit", "heartbeat")  # noqa: PTH118 - the name of a part


@dataclass(frozen=True)
class Record:
    """A run's state file and settings.

    Parameters
    ----------
    state
        `pending` for a job without a state file yet, `unknown` for a run that never had one.
    settings
        Flattened, as in the file; empty if there is none.
    """

    state: str
    attempt: int | None = None
    started: float | None = None  # unix seconds
    ended: float | None = None
    heartbeat: float | None = None
    error: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def seconds(self) -> float | None:
        """How long the job ran, or has run up to its last heartbeat."""
        until = self.ended if self.ended is not None else self.heartbeat
        if self.started is None or until is None:
            return None
        return max(0.0, until - self.started)


def read_record(run: Run) -> Record:
    """Read a run's state and settings; what is wrong with them is in `problems`."""
    settings, problems = read_settings(run.directory)
    try:
        values = json.loads(read_bytes(os.path.join(run.directory, STATE)))  # noqa: PTH118 - a Path costs more
        state = values["state"]
        if not isinstance(state, str):
            raise TypeError("its state is no text")
        if state == "running" and _is_gone(values.get("process")):
            state = "lost"
        return Record(
            state=state,
            attempt=_whole(values.get("attempt")),
            started=_seconds(values.get("started")),
            ended=_seconds(values.get("ended")),
            heartbeat=_heartbeat(run.directory) if state == "running" else None,
            error=_last_line(values.get("error")),
            settings=settings,
            problems=problems,
        )
    except (FileNotFoundError, NotADirectoryError):
        state = "unknown" if run.sweep is None else "pending"
    except OSError as error:
        state = "unknown"
        problems.append(f"{STATE} cannot be read: {error.strerror}")
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        state = "unknown"
        problems.append(f"{STATE} is broken: {error}")
    return Record(state, settings=settings, problems=problems)


def _is_gone(process: Any) -> bool:
    """Tell whether the process that ran a job is known to have ended without a word."""
    return isinstance(process, str) and process_table.is_alive(process) is False


def _heartbeat(directory: str) -> float | None:
    """Return when a running job last gave a sign of life, in unix seconds."""
    try:
        return Path(directory, HEARTBEAT).stat().st_mtime
    except OSError:
        return None


def _seconds(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) else None


def _last_line(error: Any) -> str | None:
    if not isinstance(error, dict):
        return None if error is None else str(error)
    if error.get("last_line"):
        return str(error["last_line"])
    return f"{error.get('type', 'Error')}: {error.get('message', '')}"
