"""Retries, time limits and giving up, as settings of the launcher."""

from __future__ import annotations

import pytest
from apps import App

FAST = "hydra.launcher.retry_delay_s=0.01"
ONE = "hydra.launcher.n_jobs=1"
BATCHES = "hydra.sweeper.max_batch_size=2"


@pytest.fixture
def app(app: App) -> App:
    return app.write(
        """
        with Path(f"ran{cfg.x}").open("a") as file:
            file.write("x")
        tries = len(Path(f"ran{cfg.x}").read_text())
        if cfg.x in cfg.bad and tries <= cfg.tries:
            raise ValueError("boom")
        time.sleep(cfg.sleep)
        return cfg.x
        """,
        config="x: 0\nbad: []\ntries: 99\nsleep: 0\n",
        imports="import time\nfrom pathlib import Path",
    )


def ran(app: App) -> dict[str, int]:
    """Return how often each job has run, by its x."""
    return {path.name[3:]: len(path.read_text()) for path in app.directory.glob("ran*")}


def local_only(launcher: str) -> list[str]:
    return [ONE] if launcher == "launchkit_local" else []


def test_a_job_that_fails_is_tried_again(app: App, launcher: str) -> None:
    settings = ("hydra.launcher.max_retries=2", FAST)
    done = app.sweep("x=1,2", "bad=[2]", "tries=2", *settings, launcher=launcher)
    assert done.states == ["completed", "completed"]
    assert done.attempts == [1, 3]
    assert ran(app) == {"1": 1, "2": 3}
    for attempt in (1, 2):
        assert "ValueError: boom" in done.log(1, f"stderr.{attempt}")
    assert "job 1 failed (ValueError: boom), attempt 2 of 3" in done.said
    table = next(
        line for line in done.said.splitlines() if line.split()[:3] == ["1", "2", "completed"]
    )
    assert table.split()[3] == "3"


def test_a_job_that_keeps_failing_fails(app: App, launcher: str) -> None:
    settings = ("hydra.launcher.max_retries=1", FAST)
    done = app.sweep("x=1,2", "bad=[1]", *settings, launcher=launcher, code=1)
    assert done.states == ["failed", "completed"]
    assert ran(app) == {"1": 2, "2": 1}
    assert "job 0 failed after 2 attempts: ValueError: boom" in done.said


def test_only_the_states_of_retry_on_are_tried_again(app: App) -> None:
    settings = ("hydra.launcher.max_retries=3", "hydra.launcher.retry_on=[timeout,lost]", FAST)
    done = app.sweep("x=1", "bad=[1]", *settings, code=1)
    assert done.attempts == [1]


def test_a_job_that_runs_for_too_long_is_ended(app: App) -> None:
    done = app.sweep(
        "x=1", "sleep=60", "hydra.launcher.timeout_min=0.01", "hydra.launcher.max_retries=1", FAST,
        code=1,
    )  # fmt: skip
    assert done.states == ["timeout"]
    assert done.attempts == [2]
    assert "TimeLimit: it ran for more than 0.01 min" in done.said


def test_the_first_failure_stops_the_sweep(app: App, launcher: str) -> None:
    settings = ("hydra.launcher.fail_fast=true", *local_only(launcher))
    done = app.sweep("x=1,2,3,4", "bad=[2]", *settings, launcher=launcher, code=1)
    assert done.states == ["completed", "failed", "cancelled", "cancelled"]
    assert set(ran(app)) == {"1", "2"}
    assert "stopping: 1 job failed, and no more may" in done.said
    assert "job 1 failed: ValueError: boom" in done.said


def test_and_all_later_batches(app: App, launcher: str) -> None:
    settings = ("hydra.launcher.fail_fast=true", BATCHES, *local_only(launcher))
    done = app.sweep("x=1,2,3,4,5", "bad=[1]", *settings, launcher=launcher, code=1)
    assert done.states == ["failed", "cancelled"]
    assert set(ran(app)) == {"1"}
    last = done.said.split("1 failed, 1 cancelled")[1]
    assert "boom" in last, "the program has to end with the failure, not with what it stopped"


def test_failures_of_all_batches_count(app: App, launcher: str) -> None:
    settings = ("hydra.launcher.max_failures=1", BATCHES, *local_only(launcher))
    done = app.sweep("x=1,2,3,4,5,6", "bad=[2,3]", *settings, launcher=launcher, code=1)
    assert done.states == ["completed", "failed", "failed", "cancelled"]
    assert set(ran(app)) == {"1", "2", "3"}


def test_as_many_failures_as_are_allowed_stop_nothing(app: App, launcher: str) -> None:
    settings = ("hydra.launcher.max_failures=2", BATCHES, *local_only(launcher))
    done = app.sweep("x=1,2,3,4", "bad=[1,4]", *settings, launcher=launcher, code=1)
    assert done.states == ["failed", "completed", "completed", "failed"]


def test_an_optimizer_is_stopped_as_well(app: App) -> None:
    pytest.importorskip(
        "hydra_plugins.hydra_optuna_sweeper", reason="pip install hydra-launchkit[test]"
    )
    study = (
        "hydra/sweeper=optuna", "hydra.sweeper.n_trials=6", "hydra.sweeper.n_jobs=2",
        "hydra.sweeper.direction=minimize", "hydra.sweeper.max_failure_rate=1.0", "x=range(1,9)",
    )  # fmt: skip
    bad = "bad=[1,2,3,4,5,6,7,8,9]"
    done = app.sweep(*study, bad, "hydra.launcher.fail_fast=true", ONE, code=1)
    assert done.states == ["failed", "cancelled"]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("max_retries=-1", "max_retries is -1; it must be a whole number of 0 or more"),
        ("max_retries=1.5", "Value '1.5' of type 'float' could not be converted to Integer"),
        ("retry_on=[failed,broken]", "retry_on has 'broken'; it may have lost, preempted"),
        ("retry_on=failed", "retry_on=failed"),
        ("retry_delay_s=-1", "retry_delay_s is -1.0; it must be a number of seconds of 0 or more"),
        ("timeout_min=0", "timeout_min is 0.0; it must be a number of minutes above 0"),
        ("timeout_min=nan", "timeout_min is nan; it must be a number of minutes above 0"),
        ("fail_fast=maybe", "Value 'maybe' is not a valid bool"),
        ("max_failures=-1", "max_failures is -1; it must be a whole number of 0 or more"),
    ],
)
def test_a_wrong_value_is_named_before_anything_runs(app: App, setting: str, message: str) -> None:
    said = app.sweep("x=1", f"hydra.launcher.{setting}", code=1).said
    assert message in said
    assert "Traceback" not in said
    assert not (app.directory / "sweep").exists()
    assert ran(app) == {}


def test_a_time_limit_where_a_job_cannot_be_ended(app: App) -> None:
    limit = "hydra.launcher.timeout_min=1"
    said = app.sweep("x=1", limit, launcher="launchkit_here_no_doodad", code=1).said
    assert "mode 'here_no_doodad' cannot end a job" in said
    assert ran(app) == {}
