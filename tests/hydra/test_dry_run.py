"""A dry run prints the plan of a multirun, runs nothing and leaves nothing behind."""

from __future__ import annotations

from pathlib import Path

import pytest
from apps import App

DRY = "hydra.launcher.dry_run=true"


@pytest.fixture
def app(app: App) -> App:
    return app.write(
        "Path('ran').touch()\nif cfg.x == 2: raise ValueError('boom')\nreturn cfg.x",
        config="x: 0\nwandb: {api_key: none}\n",
        imports="from pathlib import Path",
    )


def left_behind(app: App) -> set[str]:
    sweep = app.directory / "sweep"
    return {str(path.relative_to(sweep)) for path in sweep.rglob("*")}


@pytest.mark.parametrize("batches", [[], ["hydra.sweeper.max_batch_size=2"]])
def test_the_plan_is_printed_once_and_nothing_runs(
    app: App, launcher: str, batches: list[str]
) -> None:
    done = app.sweep("x=1,2,3", "wandb.api_key=a1b2c3d4e5", DRY, *batches, launcher=launcher)
    plan = done.process.stdout
    assert plan.count("dry run, nothing is started: 3 jobs") == 1
    assert f"mode {launcher.removeprefix('launchkit_')}" in plan
    for num, x in enumerate((1, 2, 3)):
        assert f"job {num}: x={x} wandb.api_key=***\n    in {done.directory / str(num)}" in plan
    assert "app.py -m hydra/launcher=" in plan
    assert "a1b2c3d4e5" not in done.said
    assert left_behind(app) == {"multirun.yaml"}
    assert not (app.directory / "ran").exists()
    app.sweep("x=1,3", launcher=launcher)


def test_a_dry_run_before_detaching_detaches_nothing(app: App) -> None:
    done = app.sweep("x=1,2", DRY, "hydra.launcher.detach=true")
    assert "handed over" not in done.said
    assert left_behind(app) == {"multirun.yaml"}


def test_a_plan_to_resume_names_only_what_is_left(app: App, launcher: str) -> None:
    done = app.sweep("x=1,2,3", launcher=launcher, code=1)
    before = {path: path.stat().st_mtime_ns for path in tree(done.directory)}
    (app.directory / "ran").unlink()
    resume = "hydra.launcher.resume=true"
    plan = app.sweep("x=1,2,3", resume, DRY, launcher=launcher).process.stdout
    assert "dry run, nothing is started: 1 job," in plan
    assert "job 1: x=2  (failed before)" in plan
    assert "job 0" not in plan
    assert "completed and not run again: 2 jobs" in plan
    said = app.sweep("x=1,2", resume, DRY, launcher=launcher, code=1).said
    assert "it had 3 jobs, and now there are 2" in said
    plan = app.sweep("x=1,2,4", resume, DRY, "hydra.launcher.force=true", launcher=launcher)
    assert "2 jobs" in plan.said
    assert "job 2: x=4  (completed before)" in plan.said
    assert {path: path.stat().st_mtime_ns for path in tree(done.directory)} == before
    assert not (app.directory / "ran").exists()


def tree(sweep: Path) -> list[Path]:
    return [path for path in sweep.rglob("*") if path.is_file() and path.name != "multirun.yaml"]


def test_what_a_launch_refuses_a_dry_run_refuses(app: App) -> None:
    pytest.importorskip(
        "hydra_plugins.hydra_optuna_sweeper", reason="pip install hydra-launchkit[test]"
    )
    said = app.sweep("hydra/sweeper=optuna", "x=1,2", DRY, code=1).said
    assert "dry_run is true, and the sweeper" in said
    assert "OptunaSweeper goes on by what the jobs return" in said
    assert not (app.directory / "sweep").exists()


def test_directories_and_needs_are_checked(app: App) -> None:
    said = app.sweep("x=1,2", DRY, "hydra.sweep.subdir=same", code=1).said
    assert "jobs 0 and 1 would both write to" in said
    said = app.sweep(
        "x=1,2", DRY, "hydra.launcher.gpus=[0]", "hydra.launcher.gpus_per_job=2", code=1
    )
    assert "job 0 needs 2 GPUs and gpus is ['0']" in said.said
    app.sweep("x=1")
    said = app.sweep("x=1", DRY, code=1).said
    assert "already holds a sweep" in said
    plan = app.sweep("x=1", DRY, "hydra.launcher.existing=set_aside").process.stdout
    assert "dry run, nothing is started: 1 job" in plan
    assert f"the sweep that is there is renamed: {app.directory / 'sweep.1'}" in plan
    assert not (app.directory / "sweep.1").exists()
