"""What a person sees of a sweep on a terminal."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from progress_sweeps import completed, failed, make_sweep, plan_of
from terminal import Terminal

from launchkit import job as jobs_room
from launchkit.display import progress as progress_room
from launchkit.display.progress import Progress
from launchkit.job import Attempt, JobState
from launchkit.sweep import Sweep


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(progress_room, "REFRESH_S", 0.0)


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    overrides = [[f"lr={num / 10}", "model=mlp"] for num in range(12)]
    return make_sweep(tmp_path / "sweep", overrides)


def running(seconds: float, attempt: int = 1) -> Attempt:
    return Attempt(JobState.RUNNING, attempt=attempt, started=time.time() - seconds)


def test_states_running_jobs_and_their_metrics(sweep: Sweep) -> None:
    (sweep.jobs[1].directory).mkdir()
    (sweep.jobs[1].directory / "progress.csv").write_text("epoch,loss\n0,0.25\n")
    with Terminal() as terminal:
        progress = Progress(terminal.stream)
        progress.start(plan_of(sweep), turns=False)
        progress.ended(sweep.jobs[0], failed("boom"))
        progress.show([1, 2], {1: running(31), 2: running(272, attempt=3)})
        first, failure, counts, *rows = terminal.shown()
        assert first == "launchkit: 12 jobs, mode local"
        assert failure == "[1/12] job 0 failed in 1.0s  lr=0.0 model=mlp"
        assert counts == "1/12 ended (1 failed), 2 running, 9 waiting, 0.0s"
        assert rows == [
            "  job 1  31.0s             loss 0.25  lr=0.1",
            "  job 2  4m32s  attempt 3             lr=0.2",
        ]


def test_a_job_that_completes_leaves_no_line(sweep: Sweep) -> None:
    with Terminal() as terminal:
        progress = Progress(terminal.stream)
        progress.start(plan_of(sweep), turns=False)
        for job in sweep.jobs[:3]:
            progress.ended(job, completed())
            progress.show([])
        assert terminal.shown() == [
            "launchkit: 12 jobs, mode local",
            "3/12 ended, 9 waiting, 0.0s",
        ]


def test_the_end_is_estimated_once_there_is_evidence(sweep: Sweep) -> None:
    with Terminal() as terminal:
        progress = Progress(terminal.stream)
        progress.start(plan_of(sweep), turns=False)
        two = {1: running(40.0), 2: running(40.0)}
        progress.ended(sweep.jobs[0], completed(100.0))
        progress.show([1, 2], two)
        assert "left" not in terminal.shown()[1]
        progress.ended(sweep.jobs[3], completed(100.0))
        progress.show([1, 2], two)
        # The rest of two jobs, then four rounds of two: 460 s.
        assert terminal.shown()[1].endswith("about 8m left")


def test_when_a_job_started_is_read_from_its_own_file(sweep: Sweep) -> None:
    jobs_room.change(sweep.jobs[4], JobState.RUNNING, started=time.time() - 60, attempt=2)
    with Terminal() as terminal:
        progress = Progress(terminal.stream)
        progress.start(plan_of(sweep), turns=False)
        progress.show([4, 5])
        assert terminal.shown()[2:] == [
            "  job 4  60.0s  attempt 2  lr=0.4",
            "  job 5  0.0s              lr=0.5",
        ]


def test_a_retried_job_waits_again(sweep: Sweep) -> None:
    with Terminal(columns=100) as terminal:
        progress = Progress(terminal.stream)
        progress.start(plan_of(sweep), turns=False)
        progress.show([0])
        progress.retrying(sweep.jobs[0], failed("boom"), 4.0, 3)
        progress.show([])
        assert terminal.shown()[1:] == [
            "job 0 failed (ValueError: boom), attempt 2 of 3 in 4.0s  lr=0.0 model=mlp",
            "0/12 ended, 12 waiting, 0.0s",
        ]
        progress.show([0])
        assert terminal.shown()[3] == "  job 0  0.0s  attempt 2  lr=0.0"


@pytest.mark.parametrize(("lines", "named"), [(24, 7), (7, 4), (4, 1), (2, 0)])
def test_as_many_running_jobs_as_there_is_room_for(sweep: Sweep, lines: int, named: int) -> None:
    with Terminal(lines=lines) as terminal:
        progress = Progress(terminal.stream)
        progress.start(plan_of(sweep), turns=False)
        progress.show(range(12), {num: running(1.0) for num in range(12)})
        counts, *rows = terminal.shown()[1:]
        assert counts.startswith("0/12 ended, 12 running")
        more = [f"  … and {12 - named} more running"] if named else []
        assert rows == [f"  job {num}  1.0s  lr={num / 10}" for num in range(named)] + more


@pytest.mark.parametrize("columns", [80, 40, 12, 3])
def test_nothing_that_changes_is_wider_than_the_terminal(sweep: Sweep, columns: int) -> None:
    with Terminal(columns=columns) as terminal:
        progress = Progress(terminal.stream)
        progress.start(plan_of(sweep), turns=False)
        before = terminal.shown()
        progress.show([1, 2], {1: running(31), 2: running(272)})
        block = terminal.shown()[len(before) :]
        assert len(block) == 3
        assert all(len(row) < columns for row in block)


def test_overrides_cannot_move_the_cursor(tmp_path: Path) -> None:
    sweep = make_sweep(tmp_path / "sweep", [["x=\x1b[2J\x07"], ["x=a\nb"]])
    with Terminal() as terminal:
        progress = Progress(terminal.stream)
        progress.start(plan_of(sweep), turns=False)
        progress.show([0, 1], {0: running(1.0), 1: running(1.0)})
        assert terminal.shown()[2:] == [r"  job 0  1.0s  x=\x1b[2J\x07", r"  job 1  1.0s  x=a\nb"]


def test_it_is_refreshed_every_so_often_only(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_room, "REFRESH_S", 3600.0)
    with Terminal() as terminal:
        progress = Progress(terminal.stream)
        progress.start(plan_of(sweep), turns=False)
        progress.show([1])
        shown = terminal.shown()
        progress.show([2])
        assert terminal.shown() == shown


def test_jobs_that_use_the_terminal_have_it_to_themselves(sweep: Sweep) -> None:
    with Terminal() as terminal:
        progress = Progress(terminal.stream)
        progress.start(plan_of(sweep), turns=True)
        progress.show([0])
        progress.ended(sweep.jobs[0], completed())
        assert terminal.shown() == [
            "launchkit: 12 jobs, mode local",
            "[1/12] job 0 completed in 5.0s  lr=0.0 model=mlp",
        ]


def test_the_table_takes_the_place_of_what_changed(sweep: Sweep) -> None:
    with Terminal(columns=300) as terminal:
        progress = Progress(terminal.stream)
        progress.start(plan_of(sweep), turns=False)
        progress.show([0])
        for job in sweep.jobs:
            progress.ended(job, completed())
        progress.finish()
        shown = terminal.shown()
        assert shown[1].startswith("job   lr  state")
        assert not any("waiting" in row for row in shown)
        assert shown[-2].split() == ["11", "1.1", "completed", "5.0s"]
