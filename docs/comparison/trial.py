"""One run of a launcher: started, watched through the journals of its jobs, and cleaned up."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import secrets
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from launchers import Launcher

Facts = dict[str, Any]
Scenario = Callable[[Launcher, Path], Facts]

APP = Path(__file__).with_name("app.py")
MARK = "LAUNCHER_TRIAL"
QUIET_S = 6.0
LONGEST_S = 240.0


class Trial:
    """A scratch directory in which a launcher runs the program.

    Parameters
    ----------
    python
        The interpreter of the environment that has the launcher.
    base
        What every run of it is told.
    jobs
        How many jobs a sweep has.
    """

    def __init__(self, python: Path, base: tuple[str, ...], jobs: int = 4) -> None:
        self._python = python
        self._base = base
        self._jobs = jobs
        self.directory = Path(tempfile.mkdtemp(prefix="trial-"))
        self.sweep = self.directory / "sweep"
        (self.directory / "journal").mkdir()
        self._mark = uuid.uuid4().hex
        self.environment = {
            **os.environ,
            MARK: self._mark,
            "PATH": os.pathsep.join([str(python.parent), os.environ["PATH"]]),
            "RAY_USAGE_STATS_ENABLED": "0",
            # Ray's server and its commands want the same one; this one is nobody else's.
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_DEDUP_LOGS": "0",
        }

    def command(self, *overrides: str, x: str | None = None) -> list[str]:
        """Return the command of the sweep: by default jobs of 1 s that all go well."""
        given = {override.lstrip("+").partition("=")[0] for override in overrides}
        defaults = {"steps": "2", "pause": "0.5", "bad": "-1", "bad_starts": "99", "how": "raise"}
        return [
            str(self._python),
            str(APP),
            "-m",
            *self._base,
            f"hydra.sweep.dir={self.sweep}",
            f"+journal={self.directory / 'journal'}",
            f"+x={x or ','.join(map(str, range(self._jobs)))}",
            *(f"+{key}={value}" for key, value in defaults.items() if key not in given),
            *overrides,
        ]

    def start(self, command: list[str]) -> subprocess.Popen[bytes]:
        """Start a command, whose output goes to a file."""
        with (self.directory / "output.txt").open("ab") as stream:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                cwd=self.directory,
                env=self.environment,
                start_new_session=True,
                preexec_fn=_hear_signals,  # noqa: PLW1509 - there are no threads
            )

    def run(self, command: list[str]) -> tuple[int | None, float]:
        """Run a command, and return its exit code, or None if it takes too long, and seconds."""
        began = time.monotonic()
        process = self.start(command)
        try:
            code: int | None = process.wait(LONGEST_S)
        except subprocess.TimeoutExpired:
            code = None
        return code, round(time.monotonic() - began, 1)

    def in_terminal(self, command: list[str]) -> tuple[int, int]:
        """Start a command under a shell in a terminal of its own; return its pid and the pty."""
        pid, master = pty.fork()
        if not pid:
            _hear_signals()
            os.chdir(self.directory)
            line = f"{shlex.join(command)}; sleep 1000"
            os.execvpe("bash", ["bash", "-c", line], self.environment)  # noqa: S606, S607 - a terminal's
        os.set_blocking(master, False)
        return pid, master

    def output(self) -> str:
        """Return what the commands printed."""
        path = self.directory / "output.txt"
        return self.told(path.read_bytes().decode(errors="replace") if path.exists() else "")

    def told(self, text: str) -> str:
        """Return a text without the directories, and the name, of the machine."""
        for path in (self.directory, self._python.parents[1], APP.parents[2]):
            text = text.replace(str(path), "…")
        return re.sub(rf"\bon {re.escape(os.uname().nodename)}\b", "on host", text)

    def said(self, command: tuple[str, ...]) -> Facts:
        """Run a command of the launcher's own, and return its exit code and what it said."""
        words = [str(self.sweep) if word == "SWEEP" else word for word in command]
        done = subprocess.run(
            words,
            check=False,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            cwd=self.directory,
        )
        said = self.told(done.stdout + done.stderr).strip()[-1500:]
        return {"code": done.returncode, "said": said}

    def journal(self) -> dict[int, list[dict[str, Any]]]:
        """Return what each job wrote down, by its x."""
        found = {}
        for path in sorted((self.directory / "journal").glob("*.jsonl")):
            lines = path.read_text(encoding="utf-8").splitlines()
            found[int(path.stem)] = [json.loads(line) for line in lines]
        return found

    def count(self, event: str) -> dict[int, int]:
        """Return how often each job wrote an event, by its x."""
        return {
            x: sum(entry["event"] == event for entry in entries)
            for x, entries in self.journal().items()
        }

    def ended(self, *, but: int = -1) -> int:
        """Return how many jobs, but one, got to their end."""
        return sum(bool(count) for x, count in self.count("end").items() if x != but)

    def wait_for(self, condition: Callable[[], bool], seconds: float = 90.0) -> bool:
        """Wait until something is so, and tell whether it is."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True

    def wait_until_quiet(self, within: float = 60.0) -> None:
        """Wait until no job has written anything for a while."""
        deadline = time.monotonic() + within
        last, since = self.journal(), time.monotonic()
        while time.monotonic() < min(deadline, since + QUIET_S):
            time.sleep(0.3)
            now = self.journal()
            if now != last:
                last, since = now, time.monotonic()

    def processes(self) -> list[int]:
        """Return the living processes that were started in this trial, at whatever remove."""
        mark = f"{MARK}={self._mark}".encode()
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                state = (path / "stat").read_text().rpartition(")")[2].split()[0]
                if state != "Z" and mark in (path / "environ").read_bytes().split(b"\0"):
                    found.append(int(path.name))
        return found

    def megabytes(self) -> int:
        """Return the memory of these processes, shared pages counted once."""
        total = 0
        for pid in self.processes():
            with contextlib.suppress(OSError):
                for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                    if line.startswith("Pss:"):
                        total += int(line.split()[1])
        return round(total / 1024)

    def end(self) -> None:
        """End whatever is left, and remove the directory."""
        for _ in range(20):
            left = self.processes()
            if not left:
                break
            for pid in left:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    continue
            time.sleep(0.1)
        shutil.rmtree(self.directory, ignore_errors=True)


def _hear_signals() -> None:
    """Undo what a shell does to those it starts in the background."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


@contextlib.contextmanager
def trial(python: Path, base: tuple[str, ...], jobs: int = 4) -> Iterator[Trial]:
    """Give a trial, and clean up after it."""
    found = Trial(python, base, jobs)
    try:
        yield found
    finally:
        found.end()
