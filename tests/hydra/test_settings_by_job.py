"""Settings of the launcher that refer to the config are those of each job's own config."""

from __future__ import annotations

import json

import pytest
from apps import App

from launchkit.sweep import Sweep

DRY = "hydra.launcher.dry_run=true"
BY_JOB = (
    "hydra.launcher.gpus=[0,1]",
    "hydra.launcher.gpus_per_job=${model.gpus}",
    "hydra.launcher.cpus_per_job=${model.cpus}",
    "hydra.launcher.timeout_min=${model.minutes}",
)


@pytest.fixture
def app(app: App) -> App:
    app.config("model/small", "gpus: 1\ncpus: 1\nminutes: 5\nsleep: 0\n")
    app.config("model/large", "gpus: 2\ncpus: 3\nminutes: null\nsleep: 0\n")
    app.config("model/none", "gpus: 0\ncpus: null\nminutes: 0.01\nsleep: 60\n")
    return app.write(
        """
        Path("ran").touch()
        time.sleep(cfg.model.sleep)
        return [os.environ.get(name) for name in ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS")]
        """,
        config="defaults: [_self_, model: small]\nx: 0\n",
        imports="import os, time\nfrom pathlib import Path",
    )


@pytest.mark.parametrize("start_method", ["fork", "spawn"])
def test_each_job_gets_what_its_config_says(
    app: App, start_method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    settings = (*BY_JOB, f"hydra.launcher.start_method={start_method}")
    done = app.sweep("model=small,large,none", *settings, code=1)
    assert done.states == ["completed", "completed", "timeout"]
    small, large = (
        json.loads((job / ".launchkit" / "result.json").read_text()) for job in done.jobs[:2]
    )
    assert small[0] in ("0", "1")
    assert large == ["0,1", "3"]
    assert small[1] == "1"
    sweep = Sweep.open(done.directory)
    assert [vars(job.needs) for job in sweep.jobs] == [
        {"gpus": 1, "cpus": 1, "timeout_min": 5.0},
        # null in a job's config is null, and not what another's says.
        {"gpus": 2, "cpus": 3, "timeout_min": None},
        {"gpus": 0, "cpus": None, "timeout_min": 0.01},
    ]
    assert sweep.policy["timeout_min"] is None
    assert (sweep.settings["gpus_per_job"], sweep.settings["cpus_per_job"]) == (None, None)
    assert "job 2 timeout: TimeLimit: it ran for more than 0.01 min" in done.said


def test_they_may_stand_in_the_programs_config(app: App) -> None:
    lines = [setting.replace("=", ": ").replace("hydra.launcher.", "") for setting in BY_JOB]
    app.config(
        "config",
        "defaults: [_self_, model: small, override hydra/launcher: launchkit_local]\nx: 0\n"
        "hydra:\n  launcher:\n" + "".join(f"    {line}\n" for line in lines),
    )
    app.run("-m", "hydra.sweep.dir=sweep", "model=small,large")
    jobs = Sweep.open(app.directory / "sweep").jobs
    assert [job.needs.gpus for job in jobs] == [1, 2]
    assert [job.needs.cpus for job in jobs] == [1, 3]


def test_they_may_refer_to_a_value_that_is_swept(app: App) -> None:
    plan = app.sweep("x=1,2", *BY_JOB[:1], "hydra.launcher.gpus_per_job=${x}", DRY)
    assert "job 0: x=1  (gpus=1)" in plan.said
    assert "job 1: x=2  (gpus=2)" in plan.said


def test_all_gpus_are_given_out_where_none_are_named(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    done = app.sweep("model=small,large", "hydra.launcher.gpus_per_job=${model.gpus}")
    small, large = (gpus for gpus, _ in done.values)
    assert small in ("3", "5")
    assert large == "3,5"


def test_they_may_refer_to_what_only_the_jobs_have(app: App) -> None:
    app.config("extra/wide", "threads: 2\n")
    app.config("extra/wider", "threads: 4\n")
    said = refused(app, "+extra=wide,wider", "hydra.launcher.cpus_per_job=${extra.threads}")
    assert "Interpolation key 'extra.threads' not found" in said
    cpus = "hydra.launcher.cpus_per_job=${oc.select:extra.threads}"
    done = app.sweep("+extra=wide,wider", cpus)
    assert [job.needs.cpus for job in Sweep.open(done.directory).jobs] == [2, 4]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("gpus: -1", "job 1: hydra.launcher.gpus_per_job is -1; it must be a whole number of 0"),
        ("gpus: many", "job 1: hydra.launcher.gpus_per_job: "),
        ("gpus: 3", "job 1 needs 3 GPUs and gpus is ['0', '1']"),
        ("cpus: 0", "job 1: hydra.launcher.cpus_per_job is 0; it must be a whole number of 1"),
        ("minutes: 0", "job 1: hydra.launcher.timeout_min is 0.0; it must be a number of minutes"),
        ("minutes: -3", "job 1: hydra.launcher.timeout_min is -3.0; it must be a number"),
        ("minutes: soon", "Value 'soon' of type 'str' could not be converted to Float"),
        ("minutes: ???", "job 1: hydra.launcher.timeout_min: "),
    ],
)
def test_a_wrong_value_is_named_with_its_job(app: App, model: str, message: str) -> None:
    key = model.partition(":")[0]
    whole = {"gpus": "1", "cpus": "1", "minutes": "1", "sleep": "0"}
    lines = [f"{name}: {value}" for name, value in whole.items() if name != key]
    app.config("model/large", "\n".join([*lines, model]) + "\n")
    said = refused(app, "model=small,large", *BY_JOB)
    assert message in said
    assert "Traceback" not in said


def test_a_key_that_some_job_lacks(app: App) -> None:
    app.config("model/large", "gpus: 1\ncpus: 1\nsleep: 0\n")
    said = refused(app, "model=small,large", *BY_JOB)
    assert "job 1: hydra.launcher.timeout_min: " in said
    assert "model.minutes" in said
    assert "Traceback" not in said


def test_a_setting_of_the_launcher_is_not_swept_over(app: App) -> None:
    said = refused(app, "hydra.launcher.cpus_per_job=1,2")
    assert "Sweeping over Hydra's configuration is not supported" in said


def refused(app: App, *arguments: str) -> str:
    """Sweep, which must be refused before anything has run; return what is said."""
    said = app.sweep(*arguments, code=1).said
    assert not (app.directory / "ran").exists()
    assert not (app.directory / "sweep" / ".launchkit").exists()
    return said
