"""`launchkit logs`."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest
from cli_sweeps import COMMAND, complete, drive, fail, launch, make_sweep

from launchkit import cli, job
from launchkit.job import Job, JobState
from launchkit.sweep import Sweep

Captured = pytest.CaptureFixture[str]
BinaryCaptured = pytest.CaptureFixture[bytes]


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    return make_sweep(tmp_path / "sweep", 2)


def logs(sweep: Sweep, *options: object) -> int:
    return cli.main(["logs", str(sweep.directory), *map(str, options)])


def write(known: Job, text: bytes, stream: str = "stdout") -> None:
    with (known.own / f"{stream}.log").open("ab") as log:
        log.write(text)


def test_a_log_byte_for_byte(sweep: Sweep, capfdbinary: BinaryCaptured) -> None:
    complete(*sweep.jobs)
    content = bytes(range(256)) * 1000 + b"no newline at its end"
    write(sweep.jobs[1], content)
    write(sweep.jobs[1], b"Traceback\n", "stderr")
    assert logs(sweep, 1) == 0
    assert capfdbinary.readouterr() == (content, b"")
    assert logs(sweep, 1, "--stderr") == 0
    assert capfdbinary.readouterr() == (b"Traceback\n", b"")


def test_of_an_earlier_attempt(sweep: Sweep, capsys: Captured) -> None:
    fail(sweep.jobs[0])
    write(sweep.jobs[0], b"first\n")
    job.renew(sweep.jobs[0])
    complete(sweep.jobs[0])
    write(sweep.jobs[0], b"second\n")
    for options, text in (((), "second\n"), (("--attempt", 1), "first\n")):
        assert logs(sweep, 0, *options) == 0
        assert capsys.readouterr().out == text
    assert logs(sweep, 0, "--attempt", 2) == 0
    assert capsys.readouterr().out == "second\n"
    assert logs(sweep, 0, "--attempt", 3) == 2
    assert "job 0 has no attempt 3; it has made 2" in capsys.readouterr().err


def test_a_job_that_has_not_started(sweep: Sweep, capsys: Captured) -> None:
    assert logs(sweep, 0) == 1
    assert "job 0 is pending and has no stdout.log (-f waits for it)" in capsys.readouterr().err


def test_a_job_that_is_not_there(sweep: Sweep, capsys: Captured) -> None:
    assert logs(sweep, 7) == 2
    assert "has no job 7; its jobs are 0 to 1" in capsys.readouterr().err


def test_where_the_text_is_if_not_here(sweep: Sweep, capsys: Captured) -> None:
    fail(sweep.jobs[0])
    write(sweep.jobs[0], b"")
    write(sweep.jobs[0], b"Traceback\n", "stderr")
    assert logs(sweep, 0) == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert "stdout.log is empty; stderr.log is not (with --stderr)" in said.err


def test_following_goes_through_all_attempts_to_the_end(tmp_path: Path) -> None:
    policy = {"max_retries": 1, "retry_on": ["failed"]}
    sweep = make_sweep(tmp_path / "sweep", 1, policy=policy)
    known = sweep.jobs[0]
    with drive(sweep):
        process = launch("logs", sweep.directory, 0, "-f")
        assert process.stdout is not None
        job.start(known)
        write(known, b"one\n")
        assert process.stdout.readline() == "one\n"
        write(known, b"two\n")
        assert process.stdout.readline() == "two\n"
        write(known, b"last words\n")
        fail(known)
        job.renew(known)
        job.start(known)
        write(known, b"again\n")
        assert process.stdout.readline() == "last words\n"
        assert process.stdout.readline() == "again\n"
        write(known, b"the end\n")
        job.end(known, JobState.COMPLETED, exit_code=0)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (0, "the end\n")
    assert err == "launchkit: job 0, attempt 2\n"


def test_following_a_job_that_has_ended_prints_it(sweep: Sweep, capsys: Captured) -> None:
    fail(sweep.jobs[0])
    write(sweep.jobs[0], b"all\n")
    assert logs(sweep, 0, "-f") == 0
    assert capsys.readouterr().out == "all\n"


def test_a_failed_job_without_retries_is_over_while_the_sweep_goes_on(
    sweep: Sweep, capsys: Captured
) -> None:
    fail(sweep.jobs[0])
    write(sweep.jobs[0], b"all\n")
    with drive(sweep):
        assert logs(sweep, 0, "-f") == 0
    assert capsys.readouterr().out == "all\n"


def test_nobody_waits_for_a_job_that_nobody_will_start(
    sweep: Sweep, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("launchkit.commands.logs.UNDRIVEN_S", 0.1)
    assert logs(sweep, 0, "-f") == 0
    assert "job 0 is pending, and no launcher is running" in capsys.readouterr().err


def test_ctrl_c_ends_it_without_a_traceback(sweep: Sweep) -> None:
    job.start(sweep.jobs[0])
    write(sweep.jobs[0], b"one\n")
    process = launch("logs", sweep.directory, 0, "-f")
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (130, "", "")


def test_a_reader_that_has_seen_enough(sweep: Sweep) -> None:
    complete(sweep.jobs[0])
    write(sweep.jobs[0], b"line\n" * 100_000)
    for option in ("", "-f"):
        command = " ".join([*COMMAND, "logs", str(sweep.directory), "0", option])
        script = f"{command} | head -n 1; echo ${{PIPESTATUS[0]}}"
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
        assert (done.stdout, done.stderr) == ("line\n0\n", "")
