"""`launchkit status`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from cli_sweeps import complete, drive, fail, launch, make_sweep, start_elsewhere

from launchkit import cli, job
from launchkit.job import JobError, JobState
from launchkit.sweep import Sweep

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    return make_sweep(tmp_path / "a sweep", 4)


def status(sweep: Sweep, capsys: Captured, *options: str) -> list[str]:
    assert cli.main(["status", str(sweep.directory), *options]) == 0
    return capsys.readouterr().out.splitlines()


def test_counts_who_drives_it_and_the_failures(sweep: Sweep, capsys: Captured) -> None:
    complete(sweep.jobs[0])
    fail(sweep.jobs[2], "token=s3cr3t\nmore")
    with drive(sweep) as claim:
        job.start(sweep.jobs[1])
        shown = status(sweep, capsys)
        assert shown[0].startswith(f"{sweep.directory}  mode local, 4 jobs, created 20")
        assert shown[1] == "1 pending, 1 running, 1 completed, 1 failed"
        assert str(claim.driver.pid) in shown[2]
        assert claim.driver.host in shown[2]
        assert "resume" not in shown[2]
        assert shown[3:] == [
            "job 2 failed: ValueError: token=***  [x=2 wandb.api_key=***]",
            f"  log: {sweep.directory}/2/.launchkit/stderr.log",
        ]


def test_what_to_do_when_nobody_drives_it(sweep: Sweep, capsys: Captured) -> None:
    complete(*sweep.jobs[:2])
    assert status(sweep, capsys)[2] == (
        f"no launcher is running: `launchkit resume '{sweep.directory}'` runs the 2 jobs left"
    )


def test_nothing_is_to_be_done_when_all_have_completed(sweep: Sweep, capsys: Captured) -> None:
    complete(*sweep.jobs)
    assert status(sweep, capsys)[1:] == ["4 completed"]


def test_a_job_whose_process_and_launcher_are_gone_is_lost(sweep: Sweep, capsys: Captured) -> None:
    start_elsewhere(sweep.jobs[0])
    shown = status(sweep, capsys)
    assert shown[1] == "3 pending, 1 lost"
    assert any(line.startswith("job 0 lost: ") for line in shown)


def test_a_line_a_job(sweep: Sweep, capsys: Captured) -> None:
    complete(sweep.jobs[0])
    fail(sweep.jobs[1])
    job.renew(sweep.jobs[1])
    shown = status(sweep, capsys, "--jobs")
    assert shown[3:] == [
        "    0 completed     0.0s             x=0 wandb.api_key=***",
        "    1 pending          -  attempt 2  x=1 wandb.api_key=***",
        "    2 pending          -             x=2 wandb.api_key=***",
        "    3 pending          -             x=3 wandb.api_key=***",
    ]


def test_many_failures_do_not_push_the_counts_off_the_screen(
    sweep: Sweep, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    for known in sweep.jobs:
        fail(known)
    monkeypatch.setattr("launchkit.commands.status.LIST_AT_MOST", 1)
    shown = status(sweep, capsys)
    assert sum(line.startswith("job ") for line in shown) == 1
    assert "--jobs" in shown[-1]
    everything = status(sweep, capsys, "--jobs")
    assert sum(line.startswith("job ") for line in everything) == 4


def test_as_json(sweep: Sweep, capsys: Captured) -> None:
    complete(sweep.jobs[0])
    error = JobError("ValueError", "password=s3cr3t")
    job.end(sweep.jobs[1], JobState.FAILED, exit_code=1, error=error)
    with drive(sweep) as claim:
        content = json.loads("\n".join(status(sweep, capsys, "--json")))
    assert content["id"] == sweep.id
    assert content["directory"] == str(sweep.directory)
    assert content["counts"] == {"pending": 2, "completed": 1, "failed": 1}
    assert content["driven"] is True
    assert content["driver"]["pid"] == claim.driver.pid
    assert [entry["num"] for entry in content["jobs"]] == [0, 1, 2, 3]
    assert content["jobs"][1]["error"]["last_line"] == "ValueError: password=***"
    assert "s3cr3t" not in json.dumps(content)


def test_without_a_launcher_json_says_so(sweep: Sweep, capsys: Captured) -> None:
    content = json.loads("\n".join(status(sweep, capsys, "--json")))
    assert (content["driven"], content["driver"]) == (False, None)


def test_watching_ends_with_the_sweep(sweep: Sweep) -> None:
    with drive(sweep):
        process = launch("status", sweep.directory, "--watch")
        assert process.stdout is not None
        assert process.stdout.readline() == "launchkit: 4 pending, mode local\n"
        complete(*sweep.jobs)
        seen = [process.stdout.readline() for _ in sweep.jobs]
        assert [line.split(" in ")[0] for line in seen] == [
            f"[{num + 1}/4] job {num} completed" for num in range(4)
        ]
    out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")
    assert out.splitlines()[1:] == ["4 completed"]


def test_a_watch_that_nobody_sees_ends(sweep: Sweep) -> None:
    with drive(sweep):
        process = launch("status", sweep.directory, "--watch")
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        complete(sweep.jobs[0])
        assert process.wait(timeout=30) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""
        process.stderr.close()


def test_it_starts_without_what_is_slow_to_import(sweep: Sweep) -> None:
    program = (
        "import sys; from launchkit import cli; cli.main(sys.argv[1:]);"
        "print({'pandas', 'numpy', 'hydra', 'omegaconf', 'cloudpickle'} & set(sys.modules))"
    )
    argv = [sys.executable, "-c", program, "status", str(sweep.directory)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"
