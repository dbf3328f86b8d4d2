"""Somebody who looks at a sweep all the time, and remembers what should not have been seen."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

from launchkit.job import Attempt, JobState

LOOK_S = 0.003
STATUS_S = 0.25


class Watch:
    """Reads all files of a sweep's jobs, and `launchkit status --json`, for the time of a block.

    Attributes
    ----------
    wrong
        What was seen that is never to be seen.
    looks, statuses
        How often the files, and the command, were read.
    """

    def __init__(self, sweep: Path, jobs: int) -> None:
        self.wrong: list[str] = []
        self.looks = self.statuses = 0
        self._sweep, self._jobs = sweep, jobs
        self._seen: dict[int, Attempt] = {}
        self._rows: dict[int, list[str]] = {}
        self._over = threading.Event()
        self._threads = [threading.Thread(target=run) for run in (self._look, self._ask)]

    def __enter__(self) -> Watch:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _look(self) -> None:
        while not self._over.wait(LOOK_S):
            for num in range(self._jobs):
                self._look_at_state(num)
                self._look_at_rows(num)
            self.looks += 1

    def _look_at_state(self, num: int) -> None:
        path = self._sweep / str(num) / ".launchkit" / "state.json"
        try:
            text = path.read_text()
        except (FileNotFoundError, NotADirectoryError):
            if num in self._seen:
                self.wrong.append(f"job {num} has no state file any more")
            return
        try:
            now = Attempt.from_json(json.loads(text))
        except (ValueError, KeyError) as error:
            self.wrong.append(f"job {num}: unreadable state {text!r}: {error!r}")
            return
        before = self._seen.get(num, now)
        if now.attempt < before.attempt:
            self.wrong.append(f"job {num} went from attempt {before.attempt} to {now.attempt}")
        if before.state is JobState.COMPLETED and now != before:
            self.wrong.append(f"job {num} had completed, and then {now}")
        self._seen[num] = now

    def _look_at_rows(self, num: int) -> None:
        """See that the whole rows are those that were there before, and more."""
        try:
            rows = (self._sweep / str(num) / "progress.csv").read_text().split("\n")[:-1]
        except (FileNotFoundError, NotADirectoryError):
            rows = []
        before = self._rows.get(num, [])
        if rows[: len(before)] != before:
            self.wrong.append(f"job {num}: progress.csv had {before}, and then {rows}")
        self._rows[num] = rows

    def _ask(self) -> None:
        command = [sys.executable, "-m", "launchkit.cli", "status", "--json", str(self._sweep)]
        while not self._over.wait(STATUS_S):
            if not (self._sweep / ".launchkit" / "sweep.json").exists():
                continue
            said = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ))
            try:
                json.loads(said.stdout)["counts"]
            except (ValueError, KeyError):
                self.wrong.append(f"launchkit status: {said.stdout!r} {said.stderr!r}")
            self.statuses += 1
