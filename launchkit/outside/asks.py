"""What the launcher asks of the host of a pack, left in a file below the sweep.

The file is ``.launchkit/asks/<pack>.jsonl``, a line a wish; beside it is what the pack was
refused for, if it was, in ``<pack>.refused``. Where a host waits for more jobs, the end of
each is told in ``<pack>.ended``, and the time of ``<pack>.lease`` is that of the launcher's
last sign of life.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launchkit import files
from launchkit.job import Attempt, JobError, JobState
from launchkit.sweep import Sweep

FOLDER = "asks"
ON_SIGNAL = "LAUNCHKIT_ON_SIGNAL"
"""The environment variable with the state that a signal gives the jobs: cancelled, if not set."""
UNFINISHED_CODE = 75
"""The exit code of a host that a signal has ended before its jobs, which are to go on elsewhere."""


@dataclass(frozen=True)
class Ask:
    """A wish.

    Parameters
    ----------
    cancel
        The numbers of jobs to end.
    grace
        Seconds that each of these has to stop by itself.
    state, error
        What they are then, and why.
    run
        The numbers of jobs to run as well.
    end
        Whether to end once all jobs have.
    seen
        The numbers of jobs that have ended badly, as the launcher knows by now.
    """

    cancel: tuple[int, ...] = ()
    grace: float = 0.0
    state: JobState = JobState.CANCELLED
    error: JobError | None = None
    run: tuple[int, ...] = ()
    end: bool = False
    seen: tuple[int, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return it as a line's value."""
        error = self.error and [self.error.type, self.error.message]
        return {**vars(self), "state": self.state.value, "error": error}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Ask:
        """Read back what `to_json` returned."""
        error = JobError(*values["error"]) if values["error"] else None
        lists = {key: tuple(values[key]) for key in ("cancel", "run", "seen")}
        return cls(**{**values, **lists, "state": JobState(values["state"]), "error": error})


def path_of(sweep: Sweep, pack: int) -> Path:
    """Return the file of what is asked of a pack's host."""
    return sweep.own / FOLDER / f"{pack}.jsonl"


def ask(sweep: Sweep, pack: int, wish: Ask) -> None:
    """Leave a wish."""
    path = path_of(sweep, pack)
    path.parent.mkdir(exist_ok=True, mode=0o700)
    files.append_line(path, json.dumps(wish.to_json()), mode=0o600)


class Asks:
    """What is asked of a pack's host, each wish once.

    Parameters
    ----------
    sweep
        The sweep.
    pack
        The pack's number.
    """

    def __init__(self, sweep: Sweep, pack: int) -> None:
        self._path = path_of(sweep, pack)
        self._at = 0

    def take(self) -> Iterable[Ask]:
        """Return the wishes that have come since the last call."""
        try:
            with self._path.open("rb") as stream:
                stream.seek(self._at)
                text = stream.read()
        except OSError:  # nothing was asked; or a file server does not answer for a while
            return []
        whole = text[: text.rfind(b"\n") + 1]
        self._at += len(whole)
        return [Ask.from_json(json.loads(line)) for line in whole.splitlines() if line.strip()]


def tell_ended(sweep: Sweep, pack: int, ended: Mapping[int, Attempt]) -> None:
    """Say, as a pack's host, how jobs have ended whose processes are gone."""
    lines = [json.dumps({"num": num, **attempt.to_json()}) for num, attempt in ended.items()]
    path = sweep.own / FOLDER / f"{pack}.ended"
    path.parent.mkdir(exist_ok=True, mode=0o700)
    files.append_line(path, "\n".join(lines), mode=0o600)


def parse_ended(text: bytes) -> tuple[dict[int, Attempt], int]:
    """Return what `tell_ended` has said, and how many bytes of it are whole."""
    whole = text[: text.rfind(b"\n") + 1]
    said = [json.loads(line) for line in whole.splitlines() if line.strip()]
    return {values["num"]: Attempt.from_json(values) for values in said}, len(whole)


def last_wanted(sweep: Sweep, pack: int) -> float | None:
    """Return when the launcher of a host elsewhere last gave a sign, in seconds; None if never."""
    try:
        return (sweep.own / FOLDER / f"{pack}.lease").stat().st_mtime
    except OSError:
        return None


def refuse(sweep: Sweep, pack: int, error: JobError) -> None:
    """Leave why a pack cannot be run, where that shows on this side."""
    path = sweep.own / FOLDER / f"{pack}.refused"
    path.parent.mkdir(exist_ok=True, mode=0o700)
    files.write_json(path, {"error": error.type, "message": error.message}, mode=0o600)


def refusal(sweep: Sweep, pack: int) -> JobError | None:
    """Return why a pack could not be run where it was started; None if nothing was said."""
    try:
        said = json.loads((sweep.own / FOLDER / f"{pack}.refused").read_text(encoding="utf-8"))
        return JobError(said["error"], said["message"])
    except (OSError, ValueError, KeyError):
        return None
