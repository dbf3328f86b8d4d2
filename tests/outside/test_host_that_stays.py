"""A host that waits for more jobs, as the one does that ssh has started on another machine."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from engine_helpers import PATIENCE_S, environment, wait_until
from mode_tasks import Act

from launchkit import payload
from launchkit.job import Job, JobState, read
from launchkit.outside import asks, packs
from launchkit.outside.asks import Ask
from launchkit.sweep import Sweep


class Staying:
    """A sweep whose jobs act so, and a host of it that stays."""

    def __init__(self, directory: Path, actions: list[str]) -> None:
        self.sweep = Sweep.create(directory, mode="ssh", settings={}, command=["test"])
        made = [Job(num, (), directory / str(num)) for num in range(len(actions))]
        self.sweep.add(made)
        payload.save_batch(self.sweep, Act(dict(enumerate(actions))), made)
        self.program: subprocess.Popen[str] | None = None

    def start(self, nums: list[int], **times: float) -> None:
        (pack,) = packs.add(self.sweep, [nums], {"n_jobs": 1}, stays=True, tells=True)
        changes = "".join(f"host.{name} = {value}\n" for name, value in times.items())
        program = (
            f"import sys\nfrom launchkit import host\n{changes}"
            "sys.exit(host.main([sys.argv[1], sys.argv[2]]))\n"
        )
        self.program = subprocess.Popen(
            [sys.executable, "-c", program, str(self.sweep.directory), str(pack.num)],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
        )

    def ask(self, **wish) -> None:
        asks.ask(self.sweep, 0, Ask(**wish))

    def told(self):
        path = self.sweep.own / asks.FOLDER / "0.ended"
        return asks.parse_ended(path.read_bytes())[0] if path.exists() else {}

    def state(self, num: int) -> JobState:
        return read(self.sweep.jobs[num].directory).state

    def code(self) -> int:
        assert self.program is not None
        _, err = self.program.communicate(timeout=PATIENCE_S)
        assert "Traceback" not in err
        return self.program.returncode


@pytest.fixture
def make(tmp_path):
    made = []

    def staying(actions):
        made.append(Staying(tmp_path / "sweep", actions))
        return made[-1]

    yield staying
    for case in made:
        if case.program is not None:
            case.program.kill()
            case.program.communicate()


def test_it_tells_the_end_of_each_job_and_runs_what_else_is_asked(make):
    case = make(["good", "good", "good"])
    case.start([0])
    wait_until(lambda: 0 in case.told(), "job 0 to be told of")
    assert case.told()[0] == read(case.sweep.jobs[0].directory)
    assert case.program.poll() is None
    case.ask(run=(1, 2))
    wait_until(lambda: case.told().keys() == {0, 1, 2}, "the others to be told of")
    case.ask(end=True)
    assert case.code() == 0


def test_it_ends_when_it_is_told_to_and_not_before_its_jobs(make):
    case = make(["waits_for_release"])
    case.start([0])
    wait_until((case.sweep.directory / "0.pids").exists, "job 0 to block")
    case.ask(end=True)
    time.sleep(0.7)
    assert case.program.poll() is None
    (case.sweep.directory / "0.go").touch()
    assert case.code() == 0
    assert case.state(0) is JobState.COMPLETED


def test_after_a_bad_end_no_job_starts_before_the_launcher_has_heard(make):
    case = make(["raises", "good", "good"])
    case.start([0, 1, 2])
    wait_until(lambda: 0 in case.told(), "job 0 to be told of")
    time.sleep(0.7)
    assert case.state(1) is JobState.PENDING
    case.ask(cancel=(1,))
    case.ask(seen=(0,))
    wait_until(lambda: case.told().keys() == {0, 1, 2}, "the others to be told of")
    assert (case.state(1), case.state(2)) == (JobState.CANCELLED, JobState.COMPLETED)
    assert read(case.sweep.jobs[1].directory).started is None


def test_it_does_not_wait_for_ever_to_be_heard(make):
    case = make(["raises", "good"])
    case.start([0, 1], HOLD_S=0.5)
    wait_until(lambda: case.state(1) is JobState.COMPLETED, "job 1 to run")


def test_it_ends_when_it_has_no_job_and_its_launcher_gives_no_sign(make):
    case = make(["good"])
    case.start([0], FORGOTTEN_S=1.5)
    lease = case.sweep.own / asks.FOLDER / "0.lease"
    lease.parent.mkdir(exist_ok=True)
    deadline = time.monotonic() + 3.0
    while time.monotonic() < deadline:
        lease.touch()
        time.sleep(0.1)
    assert case.program.poll() is None
    assert case.code() == 0
    assert case.told().keys() == {0}


def test_without_a_sign_it_goes_on_as_long_as_a_job_runs(make):
    case = make(["waits_for_release"])
    case.start([0], FORGOTTEN_S=0.2)
    wait_until((case.sweep.directory / "0.pids").exists, "job 0 to block")
    time.sleep(1.0)
    assert case.program.poll() is None
    (case.sweep.directory / "0.go").touch()
    assert case.code() == 0


def test_a_full_disk_delays_what_it_tells(make, monkeypatch):
    case = make(["good"])
    folder = case.sweep.own / asks.FOLDER
    folder.mkdir()
    blocker = folder / "0.ended"
    blocker.mkdir()  # nothing can be appended to it
    case.start([0])
    wait_until(lambda: case.state(0) is JobState.COMPLETED, "job 0 to end")
    time.sleep(0.5)
    os.rmdir(blocker)
    wait_until(lambda: 0 in case.told(), "job 0 to be told of")
