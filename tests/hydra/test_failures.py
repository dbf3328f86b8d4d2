"""One bad job costs one job, and the end of the run tells the truth about it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from apps import App

BAD = """
if cfg.x == 1:
    raise ValueError("boom")
if cfg.x == 2:
    sys.exit(3)
if cfg.x == 3:
    return threading.Lock()
if cfg.x == 4 and "local" in HydraConfig.get().runtime.choices["hydra/launcher"]:
    os.kill(os.getpid(), signal.SIGKILL)
if cfg.x == 5:
    sys.exit(0)
return cfg.x
"""
IMPORTS = """
import os
import signal
import sys
import threading
from hydra.core.hydra_config import HydraConfig
"""


def test_every_other_job_runs_and_its_result_is_kept(app: App) -> None:
    done = app.write(BAD, imports=IMPORTS).sweep("x=0,1,2,3,4,5,6", code=1)
    assert done.states == [
        "completed",
        "failed",
        "failed",
        "completed",
        "failed",
        "completed",
        "completed",
    ]
    said = done.process.stderr
    assert "4 completed, 3 failed" in said
    for num, reason in ((1, "ValueError: boom"), (2, "SystemExit: 3"), (4, "SIGKILL")):
        line = next(line for line in said.splitlines() if line.startswith(f"job {num} failed"))
        assert reason in line
        assert f"[x={num}]" in line
        assert str(done.jobs[num] / ".launchkit" / "stderr.log") in said
    assert "Traceback" in done.log(1)
    assert done.log(1).rstrip().endswith("ValueError: boom")
    results = [(job / ".launchkit/result.json") for job in done.jobs]
    assert json.loads(results[0].read_text()) == 0
    assert json.loads(results[3].read_text()).startswith("<unlocked _thread.lock")
    assert "warning: job 3 returned a lock that cannot be pickled" in said
    assert json.loads(results[5].read_text()) is None
    state = json.loads((done.jobs[2] / ".launchkit/state.json").read_text())
    assert state["exit_code"] == 3


def test_in_the_launchers_own_process_too(app: App) -> None:
    app.write(BAD, imports=IMPORTS)
    done = app.sweep("x=0,1,2,3,5,6", launcher="launchkit_here_no_doodad", code=1)
    assert done.states == ["completed", "failed", "failed"] + ["completed"] * 3


def test_an_error_in_the_config_outside_the_task(app: App, launcher: str) -> None:
    app.write("return cfg.x", config="x: 0\nhydra: {sweep: {subdir: '${oc.env:V${x}}'}}\n")
    os.environ["V1"] = "one"
    try:
        done = app.sweep("x=1,2", launcher=launcher, code=1)
    finally:
        del os.environ["V1"]
    assert done.states == ["completed", "failed"]
    assert [job.name for job in done.jobs] == ["one", "1"]
    assert "V2" in done.log(1)


def test_failures_of_an_early_batch_do_not_cost_the_later_batches(app: App, launcher: str) -> None:
    app.write("if cfg.x == 1: raise ValueError('boom')\nreturn cfg.x")
    done = app.sweep("x=1,2,3,4,5", "hydra.sweeper.max_batch_size=2", launcher=launcher, code=1)
    assert done.states == ["failed"] + ["completed"] * 4
    assert "boom" in done.process.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_every_job_and_exits_130(
    app: App, launcher: str, number: signal.Signals
) -> None:
    app.write(
        """
        logger.record_dict({"epoch": 0})
        logger.dump_tabular()
        child = subprocess.Popen(["sleep", "300"])
        Path(f"started{cfg.x}").write_text(f"{os.getpid()} {child.pid}")
        time.sleep(300)
        """,
        imports="""
        import os, subprocess, time
        from pathlib import Path
        from launchkit import logger
        """,
    )
    command = app.command("-m", f"hydra/launcher={launcher}", "hydra.sweep.dir=sweep", "x=0,1,2,3")
    process = subprocess.Popen(
        command,
        cwd=app.directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell starts what it runs in the background with SIGINT ignored, tests included.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    started = app.directory / "started0"
    deadline = time.monotonic() + 60
    while not (started.exists() and len(started.read_text().split()) == 2):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        time.sleep(0.05)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    try:
        assert process.returncode == 130, said
        assert "Traceback" not in said
        jobs = [app.directory / "sweep" / str(num) for num in range(4)]
        states = [json.loads((job / ".launchkit/state.json").read_text())["state"] for job in jobs]
        assert states == ["cancelled"] * 4
        assert (jobs[0] / "progress.csv").read_text().split() == ["epoch", "0"]
        if launcher == "launchkit_local":
            for file in app.directory.glob("started*"):
                assert not any(_alive(int(pid)) for pid in file.read_text().split())
    finally:
        for file in app.directory.glob("started*"):
            for pid in file.read_text().split():
                if _alive(int(pid)) and _is_sleep(int(pid)):
                    os.kill(int(pid), signal.SIGKILL)


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def _is_sleep(pid: int) -> bool:
    return b"sleep" in Path(f"/proc/{pid}/cmdline").read_bytes()
