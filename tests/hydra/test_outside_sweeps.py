"""Detach, resume, cancel and Ctrl-C through Hydra, in the modes that leave this Python."""

from __future__ import annotations

import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ec2_case
import gcp_case
import pytest
import testbed
from apps import App, Done, wait_for
from outside_modes import DOCKER, SINGULARITY, SLURM, SSH, SSS, OutsideMode, marks, params

from launchkit import process_table
from launchkit.cloud.providers import Standing
from launchkit.sweep import TAG, Sweep

pytestmark = pytest.mark.long
CLOUDS = {"ec2": ec2_case.EC2, "gcp": gcp_case.GCP}
RESUME = "hydra.launcher.resume=true"
WAITING = """
deadline = time.monotonic() + 60
while not Path(cfg.watched, "go").exists():
    assert time.monotonic() < deadline
    time.sleep(0.02)
return cfg.x * 10
"""
FAILING = """
mended = Path(cfg.watched, "mended")
if cfg.x > (int(mended.read_text()) if mended.exists() else 1):
    raise ValueError("boom")
return cfg.x * 10
"""
IMPORTS = "import time\nfrom pathlib import Path"


@pytest.fixture
def watched() -> Iterator[Path]:
    """A directory that jobs see in all modes, whoever they run as."""
    path = Path(tempfile.mkdtemp())
    path.chmod(0o755)
    yield path
    (path / "go").touch()
    shutil.rmtree(path)


def chosen(mode: OutsideMode, watched: Path, **settings: Any) -> list[str]:
    if mode is DOCKER or mode.name in CLOUDS:
        known = mode.settings.get("container_args", [])
        settings["container_args"] = [*known, f"--volume={watched}:{watched}"]
    return [*mode.flags(**settings), "hydra.sweep.dir=sweep", f"+watched={watched}"]


def elsewhere(sweep: Sweep, mode: OutsideMode) -> list[str]:
    """Return what is there of a sweep beyond this machine's processes."""
    if mode is DOCKER:
        return asked("docker", "ps", "--all", "--quiet", f"--filter=name=launchkit-{sweep.id}")
    if mode.name in CLOUDS:
        # One that ends is nothing that is left.
        alive = (Standing.STARTING, Standing.RUNNING)
        found = CLOUDS[mode.name].machines(sweep.id)
        return [machine.id for machine in found if machine.standing in alive]
    if mode is SLURM:
        return asked("squeue", "--noheader", f"--name=launchkit-{sweep.id}")
    if mode is SSH:
        home = Path(pwd.getpwnam(testbed.TEST_USER).pw_dir)
        return [str(path) for path in (home / ".cache" / "launchkit").glob(f"*{sweep.id}*")]
    return []


def left(sweep: Sweep, mode: OutsideMode) -> list[str]:
    """Return what a sweep has left: processes, containers, tasks, directories."""
    found = [f"process {pid}" for pid in process_table.tagged(TAG, sweep.tag)]
    unpacked = sweep.own / "unpacked"
    return [*found, *elsewhere(sweep, mode), *([str(unpacked)] if unpacked.exists() else [])]


def asked(*words: str) -> list[str]:
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()


@pytest.mark.parametrize("mode", params(without=[SSS]))
def test_a_detached_sweep_goes_on_by_itself(app: App, watched: Path, mode: OutsideMode) -> None:
    app.write(WAITING, imports=IMPORTS)
    process = app.run("-m", *chosen(mode, watched), "hydra.launcher.detach=true", "x=1,2")
    done = Done(process, app.directory / "sweep")
    assert "2 jobs handed over to process" in done.said
    assert "completed" not in done.states, "the program waited for its jobs"
    (watched / "go").touch()
    assert done.wait(90.0) == ["completed"] * 2
    assert done.values == [10, 20]
    log = done.directory / ".launchkit" / "supervisor.log"
    wait_for(lambda: "2 completed" in log.read_text())
    sweep = Sweep.open(done.directory)
    wait_for(lambda: not left(sweep, mode))


@pytest.mark.parametrize("mode", params(without=[SSS]))
def test_what_has_not_completed_is_taken_up(app: App, watched: Path, mode: OutsideMode) -> None:
    app.write(FAILING, imports=IMPORTS)
    done = Done(app.run("-m", *chosen(mode, watched), "x=1,2,3", code=1), app.directory / "sweep")
    assert done.states == ["completed", "failed", "failed"]
    (watched / "mended").write_text("2")
    app.run("-m", *chosen(mode, watched), RESUME, "x=1,2,3", code=1)
    assert (done.states, done.attempts) == (["completed", "completed", "failed"], [1, 2, 2])
    (watched / "mended").write_text("3")
    again = app.launchkit("resume", "sweep")
    assert again.returncode == 0, again.stderr
    assert (done.states, done.attempts) == (["completed"] * 3, [1, 2, 3])
    assert done.values == [10, 20, 30]
    assert not left(Sweep.open(done.directory), mode)


@pytest.mark.parametrize("mode", params(without=[SSS]))
def test_a_sweep_is_cancelled_by_a_command(app: App, watched: Path, mode: OutsideMode) -> None:
    app.write(WAITING, imports=IMPORTS)
    process = app.run("-m", *chosen(mode, watched), "hydra.launcher.detach=true", "x=1,2,3,4")
    done = Done(process, app.directory / "sweep")
    wait_for(lambda: "running" in done.states)
    cancelled = app.launchkit("cancel", "sweep")
    assert cancelled.returncode == 0, cancelled.stderr
    assert done.wait() == ["cancelled"] * 4
    sweep = Sweep.open(done.directory)
    wait_for(lambda: not left(sweep, mode))


@pytest.mark.parametrize("mode", params(without=[SSS]))
def test_ctrl_c_ends_a_sweep_everywhere(app: App, watched: Path, mode: OutsideMode) -> None:
    app.write(WAITING, imports=IMPORTS)
    done = Done(None, app.directory / "sweep")
    with app.started("-m", *chosen(mode, watched), "x=1,2,3,4") as program:
        record = done.directory / ".launchkit" / "jobs.jsonl"
        wait_for(lambda: record.exists() and "running" in done.states)
        sweep = Sweep.open(done.directory)
        assert left(sweep, mode)
        assert elsewhere(sweep, mode) or mode is SINGULARITY
        program.send_signal(signal.SIGINT)
        said, _ = program.communicate(timeout=60)
    assert program.returncode == 130, said
    assert "Traceback" not in said
    assert done.states == ["cancelled"] * 4
    assert not left(sweep, mode)


@pytest.mark.parametrize("mode", [pytest.param(DOCKER, id=DOCKER.name, marks=marks(DOCKER))])
def test_a_job_by_itself_may_have_other_needs(app: App, watched: Path, mode: OutsideMode) -> None:
    app.write("return os.environ['OMP_NUM_THREADS']", "x: 0\n", "import os")
    threads = "hydra.launcher.cpus_per_job='${x}'"
    process = app.run("-m", *chosen(mode, watched), threads, "x=1,2")
    assert Done(process, app.directory / "sweep").values == ["1", "2"]


@pytest.mark.parametrize("mode", params(DOCKER))
def test_settings_may_refer_to_the_config(app: App, watched: Path, mode: OutsideMode) -> None:
    app.write("return [os.environ['A'], os.listdir('/mnt')]", "place: inside\n", "import os")
    (watched / "word").touch()
    process = app.run(
        "-m",
        *chosen(mode, watched),
        "hydra.launcher.env.A='${place}'",
        f"hydra.launcher.inputs={{{watched}: /mnt}}",
        "hydra.launcher.setup_commands=['export A=$A-${place}']",
    )
    assert Done(process, app.directory / "sweep").values == [["inside-inside", ["word"]]]
    said = app.run("-m", *chosen(mode, watched), "hydra.launcher.env.A='${none}'", code=1).stderr
    assert "none" in said
