"""How the contract of the modes runs sweeps: in this process, and in one that can be killed."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
from engine_helpers import PATIENCE_S, environment, is_alive, wait_until

from launchkit import job as jobs
from launchkit import payload, runner
from launchkit.display.progress import Progress
from launchkit.job import Job
from launchkit.modes import registry
from launchkit.runner import Work
from launchkit.sweep import Sweep

LAUNCHER = Path(__file__).with_name("mode_launcher.py")


class ModeCase:
    """A mode under test.

    A subclass sets `name` and `settings`, and the rest where the mode differs. Give it a
    setting for two jobs at a time where the mode runs jobs side by side.
    """

    name: ClassVar[str]
    """The mode's name."""

    settings: ClassVar[Mapping[str, Any]] = {}
    """The mode's settings."""

    own_process: ClassVar[bool] = True
    """Whether a job has a process of its own."""

    pickles: ClassVar[bool] = False
    """Whether the task is pickled."""

    longer_s: ClassVar[float] = 2.0
    """Seconds in which the mode runs a few jobs that do nothing, on a busy machine too."""

    @pytest.fixture(autouse=True)
    def _nothing_is_left(self, tmp_path):
        """End what a failed test has left behind."""
        self._programs = []
        yield
        for program in self._programs:
            program.kill()
        for path in files_below(tmp_path, ".pids"):
            for pid in map(int, path.read_text().split()):
                if is_alive(pid):
                    os.kill(pid, signal.SIGKILL)
        for program in self._programs:
            program.communicate()

    def make_mode(self):
        return registry.create(self.name, self.settings)

    def make_sweep(self, directory):
        return Sweep.create(directory, mode=self.name, settings=self.settings, command=["test"])

    def make_jobs(self, sweep, nums):
        return [Job(num, (f"x={num}",), sweep.directory / str(num)) for num in nums]

    def run(self, directory, task, count, policy=None):
        """Run a sweep of so many jobs to its end."""
        sweep = self.make_sweep(directory)
        return self.drive(Work(sweep, self.make_jobs(sweep, range(count)), task), policy=policy)

    def drive(self, work, *, mode=None, progress=None, policy=None):
        """Run work to its end, here."""
        mode = mode or self.make_mode()
        try:
            return runner.run(work, mode, progress or Progress(io.StringIO()), policy)
        except runner.Interrupted as error:  # it would end the run of the tests
            raise AssertionError("the sweep was stopped by a request or a signal") from error

    def submit(self, mode, sweep, made, task):
        """Hand jobs to a mode, as the runner does."""
        sweep.add(made)
        plan = mode.plan(sweep, made, task)
        if plan.pickles:
            payload.save_batch(sweep, task, made)
        mode.prepare(plan)
        mode.submit(plan)

    # In a process of its own

    def launch(self, directory, actions, **more) -> subprocess.Popen:
        """Start a launcher whose jobs act so; see `mode_launcher`."""
        wanted = {
            "directory": str(directory),
            "mode": self.name,
            "settings": dict(self.settings),
            "actions": actions,
            **more,
        }
        program = subprocess.Popen(
            [sys.executable, LAUNCHER, json.dumps(wanted)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        self._programs.append(program)
        return program

    def wait_for_blocks(self, directory, nums) -> tuple[Sweep, list[int]]:
        """Wait until jobs have said who they are, and return their sweep and processes."""
        for num in nums:
            wait_until(lambda: self.pids(directory, num), f"job {num} to block")  # noqa: B023
        return Sweep.open(directory), [pid for num in nums for pid in self.pids(directory, num)]

    def pids(self, directory, num) -> list[int]:
        path = directory / f"{num}.pids"
        text = path.read_text() if path.exists() else ""
        return [int(pid) for pid in text.split()] if text.endswith("\n") else []

    def see_gone(self, pids):
        """See that processes are gone of jobs that were ended at once."""
        assert not any(is_alive(pid) for pid in pids)

    def hosts(self, directory) -> set[str]:
        """Return the names of the machines that run the jobs of a sweep."""
        return {socket.gethostname()}

    def release(self, directory, *nums):
        """Let jobs go on that wait to be released."""
        for num in nums:
            (directory / f"{num}.go").touch()


def files_below(top, suffix) -> list[Path]:
    """Return files by the end of their names; a warden may be removing directories meanwhile."""
    return [
        Path(folder, name)
        for folder, _, names in os.walk(top)
        for name in names
        if name.endswith(suffix)
    ]


def end_of(program) -> tuple[int, str, str]:
    """Return how a program has ended, and what it printed."""
    out, err = program.communicate(timeout=PATIENCE_S)
    return program.returncode, out, err


def kill(program):
    """Kill a program; what it has started may still hold its output."""
    program.kill()
    program.wait(PATIENCE_S)


def wait_for_end_of(pids):
    wait_until(lambda: not any(is_alive(pid) for pid in pids), "the processes to end")


def changes_of(job) -> list[tuple[int, str]]:
    """Return the attempts and states of a job, but for its being handed over."""
    events = jobs.events(job.directory)
    found = [(known["attempt"], known["state"]) for known in events]
    return [change for change in found if change[1] != "submitted"]


def states(sweep) -> list[str]:
    return [str(attempt.state) for attempt in sweep.attempts().values()]
