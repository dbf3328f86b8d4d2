"""Bad input gets an error that names the value and the way out; nothing is run or written."""

from __future__ import annotations

import hydra
import pytest
from apps import App


@pytest.fixture
def app(app: App) -> App:
    return app.write("Path('ran').touch()\nreturn cfg.x", imports="from pathlib import Path")


def refused(app: App, *arguments: str, traceback: bool = False) -> str:
    said = app.run("-m", "hydra.sweep.dir=sweep", *arguments, code=1).stderr
    assert not (app.directory / "ran").exists()
    assert not list((app.directory / "sweep").glob("*/.launchkit"))
    assert not (app.directory / "sweep" / ".launchkit").exists()
    assert traceback or "Traceback" not in said
    return said


LOCAL = "hydra/launcher=launchkit_local"


def test_an_unknown_mode(app: App) -> None:
    said = refused(app, "hydra/launcher=launchkit_ec3", "x=1")
    assert "launchkit_ec3" in said
    assert "launchkit_local" in said
    said = refused(app, LOCAL, "hydra.launcher.mode=ec3", "x=1")
    assert "unknown mode 'ec3'; the modes are here_no_doodad, local" in said


def test_a_wrong_key_or_type(app: App) -> None:
    assert "n_job" in refused(app, LOCAL, "hydra.launcher.n_job=3", "x=1")
    assert "many" in refused(app, LOCAL, "hydra.launcher.n_jobs=many", "x=1")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("n_jobs=0", "n_jobs is 0; it must be a whole number of 1 or more"),
        ("start_method=teleport", "start_method is 'teleport'; it must be one of auto, fork"),
        ("existing=eat", "existing is 'eat'; it must be one of refuse, set_aside"),
    ],
)
def test_a_wrong_value(app: App, setting: str, message: str) -> None:
    assert message in refused(app, LOCAL, f"hydra.launcher.{setting}", "x=1")


def test_an_unknown_snapshot_mode(app: App) -> None:
    said = refused(
        app,
        LOCAL,
        "hydra/callbacks=launchkit",
        "hydra.callbacks.launchkit.snapshot_mode=gup",
        "x=1,2",
        traceback=hydra.__version__.startswith("1.4"),  # Hydra's own, for any callback
    )
    assert "snapshot_mode is 'gup'" in said
    assert "gap_and_last" in said


def test_an_override_that_does_not_compose_stops_all_jobs(app: App, launcher: str) -> None:
    app.config("db/a", "p: 1\n")
    app.config("db/b", "q: 1\n")
    app.config("config", "defaults: [_self_, db: a]\nx: 0\n")
    assert "db.p" in refused(app, f"hydra/launcher={launcher}", "db=a,b", "db.p=3")
    assert "y" in refused(app, f"hydra/launcher={launcher}", "x=1,2", "y=3")


def test_two_jobs_in_one_directory(app: App, launcher: str) -> None:
    said = app.run(
        "-m", f"hydra/launcher={launcher}", "hydra.sweep.dir=sweep", "hydra.sweep.subdir=same",
        "x=1,2", code=1,
    ).stderr  # fmt: skip
    assert "jobs 0 and 1 would both write to" in said
    assert "${hydra.job.num}" in said
    assert not (app.directory / "sweep" / ".launchkit").exists()
    assert not (app.directory / "ran").exists()


def test_a_second_sweep_into_the_same_directory(app: App, launcher: str) -> None:
    app.sweep("x=1,2", launcher=launcher)
    before = {p: p.read_bytes() for p in (app.directory / "sweep").rglob("*") if p.is_file()}
    (app.directory / "ran").unlink()
    said = app.run(
        "-m", f"hydra/launcher={launcher}", "hydra.sweep.dir=sweep", "x=5", code=1
    ).stderr
    assert "already holds a sweep" in said
    assert "existing=set_aside" in said
    assert not (app.directory / "ran").exists()
    after = {p: p.read_bytes() for p in (app.directory / "sweep").rglob("*") if p.is_file()}
    assert after == before


def test_a_sweep_that_is_set_aside_is_kept_whole(app: App, launcher: str) -> None:
    first = app.sweep("x=1,2", launcher=launcher)
    files = {p.relative_to(first.directory) for p in first.directory.rglob("*")}
    app.sweep("x=5", "hydra.launcher.existing=set_aside", launcher=launcher)
    aside = app.directory / "sweep.1"
    assert {p.relative_to(aside) for p in aside.rglob("*")} == files


def test_a_directory_of_another_launchers_runs(app: App) -> None:
    app.run("-m", "hydra.sweep.dir=sweep", "hydra/callbacks=launchkit", "x=1,2")
    (app.directory / "ran").unlink()
    said = app.run("-m", LOCAL, "hydra.sweep.dir=sweep", "x=5", code=1).stderr
    assert "already holds a run" in said
    assert not (app.directory / "ran").exists()


def test_a_sweep_directory_that_cannot_be_made(app: App) -> None:
    (app.directory / "file").write_text("in the way")
    said = app.run("-m", LOCAL, "hydra.sweep.dir=file/sweep", "x=1", code=1).stderr
    assert "file/sweep" in said
    assert not (app.directory / "ran").exists()


def test_a_task_that_cannot_be_pickled_where_it_has_to_be(app: App) -> None:
    app.write("return lock.locked()", imports="import threading\nlock = threading.Lock()")
    done = app.sweep("x=1,2")
    assert done.values == [False, False]
    spawn = "hydra.launcher.start_method=spawn"
    for _ in range(2):  # what is refused is not in the way of the next
        said = app.run("-m", LOCAL, "hydra.sweep.dir=other", spawn, "x=1,2", code=1).stderr
        assert "the task function cannot be pickled" in said
        assert "start_method=fork" in said
        assert not list((app.directory / "other").rglob(".launchkit"))
