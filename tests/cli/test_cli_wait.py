"""`launchkit wait`."""

from __future__ import annotations

import re
import signal
import time
from pathlib import Path

import pytest
from cli_sweeps import complete, drive, fail, launch, make_sweep, start_elsewhere

from launchkit import cli, job
from launchkit.display import follow
from launchkit.job import Job, JobState
from launchkit.sweep import Sweep

Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "LOOK_S", 0.01)
    monkeypatch.setattr(follow, "UNDRIVEN_S", 0.2)


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    return make_sweep(tmp_path / "sweep", 2)


def wait(sweep: Sweep, *options: str) -> int:
    return cli.main(["wait", str(sweep.directory), *options])


def test_0_when_all_have_completed(sweep: Sweep, capsys: Captured) -> None:
    complete(*sweep.jobs)
    assert wait(sweep) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == "launchkit: 2 completed, mode local"
    assert shown[1].split() == ["job", "x", "state", "time"]
    assert shown[-1] == f"2 completed: {sweep.directory}"


def test_1_when_some_have_not(sweep: Sweep, capsys: Captured) -> None:
    complete(sweep.jobs[0])
    fail(sweep.jobs[1], "token=s3cr3t")
    assert wait(sweep) == 1
    shown = capsys.readouterr().out
    assert "job 1 failed: ValueError: token=***  [x=1 wandb.api_key=***]" in shown
    assert "s3cr3t" not in shown


def test_1_when_a_job_is_lost_and_nothing_is_left_to_run(sweep: Sweep) -> None:
    complete(sweep.jobs[0])
    start_elsewhere(sweep.jobs[1])
    assert wait(sweep) == 1


def test_3_when_nobody_drives_it_and_jobs_are_left(sweep: Sweep, capsys: Captured) -> None:
    complete(sweep.jobs[0])
    assert wait(sweep) == 3
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == (
        f"no launcher is running: `launchkit resume {sweep.directory}` runs the 1 job left"
    )


def test_a_job_that_runs_on_without_its_launcher_is_waited_for(sweep: Sweep) -> None:
    complete(sweep.jobs[0])
    job.start(sweep.jobs[1])
    assert wait(sweep, "--timeout", "0.6") == 124


def test_124_at_the_timeout(sweep: Sweep, capsys: Captured) -> None:
    with drive(sweep):
        assert wait(sweep, "--timeout", "0.1") == 124
    shown = capsys.readouterr().out.splitlines()
    assert shown[-1] == "stopped waiting after 0.1 s; the sweep goes on"
    counts = rf"2 pending in [0-9.]+s: {re.escape(str(sweep.directory))}"
    assert any(re.fullmatch(counts, line) for line in shown)


def test_130_on_ctrl_c_and_the_sweep_goes_on(sweep: Sweep) -> None:
    with drive(sweep):
        process = launch("wait", sweep.directory)
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "the sweep goes on" in out
    assert f"launchkit cancel {sweep.directory}" in out
    assert err == ""


def test_a_launcher_that_is_there_may_try_a_failed_job_again(sweep: Sweep) -> None:
    with drive(sweep):
        process = launch("wait", sweep.directory)
        assert process.stdout is not None
        process.stdout.readline()
        complete(sweep.jobs[0])
        fail(sweep.jobs[1])
        assert any("job 1 failed in" in process.stdout.readline() for _ in sweep.jobs)
        job.renew(sweep.jobs[1])
        assert process.stdout.readline().startswith(
            "job 1 failed (ValueError: boom), attempt 2 now  x=1"
        )
        complete(sweep.jobs[1])
        assert process.stdout.readline().startswith("[2/2] job 1 completed in")
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert out.splitlines()[0].split() == ["job", "x", "state", "attempts", "time"]
    assert "failed" not in out


def test_jobs_that_are_added_meanwhile_are_waited_for(sweep: Sweep) -> None:
    with drive(sweep):
        process = launch("wait", sweep.directory)
        assert process.stdout is not None
        process.stdout.readline()
        sweep.add([Job(2, ("x=2",), sweep.directory / "2")])
        complete(sweep.jobs[2], *sweep.jobs[:2])
        seen = sorted(process.stdout.readline().split(" in ")[0][6:] for _ in range(3))
        assert seen == [f"job {num} completed" for num in range(3)]
    out, _ = process.communicate(timeout=30)
    assert (process.returncode, out.splitlines()[-1][:11]) == (0, "3 completed")


def test_a_sweep_that_has_just_been_made_is_given_a_moment(
    sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = drive(sweep)
    real, looks = follow.standing, []

    def standing(known: Sweep) -> object:
        looks.append(time.monotonic())
        if len(looks) == 2:
            claim.__enter__()
        if len(looks) == 60:
            complete(*sweep.jobs)
            claim.__exit__()
        return real(known)

    monkeypatch.setattr(follow, "UNDRIVEN_S", 0.3)
    monkeypatch.setattr(follow, "standing", standing)
    assert wait(sweep) == 0
    assert looks[-1] - looks[0] > 0.3


@pytest.mark.parametrize("text", ["-1", "inf", "nan", "soon"])
def test_a_timeout_is_a_number_of_seconds(sweep: Sweep, text: str, capsys: Captured) -> None:
    with pytest.raises(SystemExit) as stop:
        wait(sweep, f"--timeout={text}")
    assert stop.value.code == 2
    assert text in capsys.readouterr().err


def test_what_is_shown_may_be_thrown_away(sweep: Sweep) -> None:
    with drive(sweep):
        process = launch("wait", sweep.directory)
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        complete(sweep.jobs[0])
        fail(sweep.jobs[1])
    assert process.wait(timeout=30) == 1
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.stderr.close()
    assert sweep.attempts()[1].state is JobState.FAILED
