"""``sss``: a folder that is carried somewhere else and submitted there, with a real Slurm."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from engine_helpers import environment, wait_until
from mode_case import states
from mode_tasks import Act, Same

from launchkit import detach, dry_run, runner
from launchkit.handle import JobHandle
from launchkit.job import Job, JobState
from launchkit.modes import registry
from launchkit.policy import Policy
from launchkit.resume import work_of
from launchkit.runner import Work
from launchkit.standing import standing
from launchkit.sweep import Sweep

pytestmark = [pytest.mark.slurm, pytest.mark.doodad]

CODE = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "engine")]
SETTINGS = {"code_dirs": CODE, "jobs_per_task": 2, "cpus_per_task": 2, "python": sys.executable}


def make(directory, count, **settings):
    made = {**SETTINGS, **settings}
    sweep = Sweep.create(directory, mode="sss", settings=made, command=["test"])
    jobs = [Job(num, (f"x={num}",), sweep.directory / str(num)) for num in range(count)]
    return sweep, jobs, registry.create("sss", made)


def hand_over(sweep, jobs, mode, task) -> str:
    said: list[str] = []
    runner.hand_over(Work(sweep, jobs, task), mode, Policy(), said.append)
    return "\n".join(said)


def run(*command, **more):
    return subprocess.run(
        [*map(str, command)], capture_output=True, text=True, check=False, env=environment(), **more
    )


def carry(source, target):
    """Copy a folder as the page says, and leave nothing at the paths of here."""
    assert run("rsync", "-a", f"{source}/", f"{target}/").returncode == 0


@pytest.fixture
def folder(tmp_path):
    """Give a place for a sweep; end what is left of it in Slurm."""
    place = tmp_path / "it's here" / "sweep"
    place.parent.mkdir()
    yield place
    if place.exists():
        name = f"--name=launchkit-{Sweep.open(place).id}"
        subprocess.run(["scancel", name], check=True)


def test_a_folder_runs_where_it_is_carried_and_what_comes_back_is_read(folder, tmp_path):
    sweep, jobs, mode = make(folder, 5)
    task = Act({0: "good", 1: "raises", 2: "good", 3: "chatty", 4: "good"})
    said = hand_over(sweep, jobs, mode, task)
    assert f"the folder {folder} is ready to be carried to a cluster" in said
    assert states(sweep) == ["submitted"] * 5
    handle = JobHandle(sweep, jobs[0])
    assert handle.state is JobState.SUBMITTED

    there = tmp_path / "far away" / "$(another) name"
    there.parent.mkdir()
    carry(folder, there)
    hidden = folder.with_name("hidden")
    folder.rename(hidden)  # nothing of it may be used there
    done = run("sh", there / "launchkit_sss.sh", cwd="/")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("submitted array ")
    far = Sweep.open(there)
    wait_until(
        lambda: all(attempt.state.final for attempt in far.attempts().values()), "the jobs to end"
    )
    hidden.rename(folder)

    # Before and after it has come home.
    assert {str(known.state) for known in standing(sweep).values()} == {"submitted"}
    carry(there, folder)
    assert states(sweep) == ["completed", "failed", "completed", "completed", "completed"]
    assert handle.value == 0
    assert jobs[3].stdout.read_text("utf-8") == "print ü 😀\n"
    told = run(sys.executable, "-m", "launchkit.cli", "status", folder)
    assert "4 completed, 1 failed" in told.stdout
    assert run(sys.executable, "-m", "launchkit.cli", "wait", folder, "--timeout", "5").returncode


def test_what_has_not_completed_is_carried_again(folder):
    sweep, jobs, mode = make(folder, 3)
    hand_over(sweep, jobs, mode, Same("fails_twice"))
    for attempt in (1, 2, 3):
        assert run("sh", folder / "launchkit_sss.sh").returncode == 0
        wait_until(
            lambda: all(known.state.final for known in sweep.attempts().values()),
            "the jobs to end",
        )
        assert {known.attempt for known in sweep.attempts().values()} == {attempt}
        if attempt < 3:
            told = run(sys.executable, "-m", "launchkit.cli", "resume", folder)
            assert told.returncode == 0, told.stderr
            assert "is ready to be carried" in told.stdout
    assert states(sweep) == ["completed"] * 3


def test_jobs_that_nobody_has_submitted_are_carried_again_as_they_were(folder):
    sweep, jobs, mode = make(folder, 2)
    hand_over(sweep, jobs, mode, Same("good"))
    mode = registry.create("sss", SETTINGS)
    runner.hand_over(work_of(Sweep.open(folder)), mode, Policy(), print)
    assert states(sweep) == ["submitted"] * 2
    assert {known.attempt for known in sweep.attempts().values()} == {1}


def test_it_is_not_submitted_twice(folder):
    sweep, jobs, mode = make(folder, 1)
    hand_over(sweep, jobs, mode, Same("good"))
    assert run("sh", folder / "launchkit_sss.sh").returncode == 0
    again = run("sh", folder / "launchkit_sss.sh")
    assert again.returncode == 1
    assert "these jobs were submitted before" in again.stderr
    wait_until(lambda: states(sweep) == ["completed"], "the job to end")


def test_where_there_is_no_slurm_the_script_says_so(folder, tmp_path):
    sweep, jobs, mode = make(folder, 1)
    hand_over(sweep, jobs, mode, Same("good"))
    for name in ("dirname", "sh"):
        (tmp_path / name).symlink_to(shutil.which(name))
    done = subprocess.run(
        ["/bin/sh", folder / "launchkit_sss.sh"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 127
    assert "there is no sbatch here" in done.stderr
    assert not (folder / ".launchkit" / "unpacked").exists()


def test_nothing_is_asked_of_slurm_here(folder, monkeypatch, tmp_path):
    (tmp_path / "bin").mkdir()
    for name in ("sh", "tar", "gzip", "git", "sed", "cat", "mkdir", "head", "tail", "dd", "cksum"):
        if shutil.which(name):
            (tmp_path / "bin" / name).symlink_to(shutil.which(name))
    for name in ("sbatch", "squeue", "scontrol", "scancel"):
        (tmp_path / "bin" / name).write_text(f'#!/bin/sh\necho "$0 $@" >>"{tmp_path}/asked"\n')
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    sweep, jobs, mode = make(folder, 1)
    hand_over(sweep, jobs, mode, Same("good"))
    assert not (tmp_path / "asked").exists()
    assert states(sweep) == ["submitted"]


def test_a_dry_run_shows_the_scripts_and_does_nothing(folder):
    sweep, jobs, mode = make(folder, 3)
    text = dry_run.describe(Work(sweep, jobs, Same("good")), mode, Policy())
    assert "array.sh:" in text
    assert "--array=0-1 .launchkit/array.sh 0" in text
    assert sorted(path.name for path in folder.rglob("*")) == [".launchkit", "sweep.json"]


def test_jobs_beside_the_folder_cannot_go_along(folder):
    sweep, _, mode = make(folder, 0)
    beside = Job(0, (), folder.with_name("beside"))
    with pytest.raises(
        ValueError, match=r"mode 'sss' carries one folder, .*, and job 0 writes bes"
    ):
        runner.check(Work(sweep, [beside], Same("good")), mode, Policy())
    assert not (folder / "README.txt").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"image": "x.sif"}, "image is 'x.sif'; give the whole path that it has on the cluster"),
        (
            {"image": "/x.sif", "inputs": {"data": "/data"}},
            "inputs has 'data'; give the whole path that it has on the cluster",
        ),
    ],
)
def test_paths_of_the_cluster_are_whole(folder, settings, message):
    sweep, jobs, mode = make(folder, 1, **settings)
    with pytest.raises(ValueError, match=message):
        runner.check(Work(sweep, jobs, Same("good")), mode, Policy())


def test_an_image_that_only_the_cluster_has_is_taken(folder):
    sweep, jobs, mode = make(folder, 1, image="/there/x.sif", inputs={"/there/data": "/data"})
    plan = runner.check(Work(sweep, jobs, Same("good")), mode, Policy())
    text = "\n".join(plan.details)
    assert "image=/there/x.sif" in text
    assert "bind /there/data /data ro" in text


def test_it_cannot_be_detached(folder):
    sweep, jobs, mode = make(folder, 1)
    with pytest.raises(ValueError, match="mode 'sss' leaves the jobs to you"):
        detach.detach(Work(sweep, jobs, Same("good")), mode, Policy())
