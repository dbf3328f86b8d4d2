"""A resumed multirun runs what has not completed, and gives the sweeper every value."""

from __future__ import annotations

import json
import os
import signal
import textwrap
from pathlib import Path

import pytest
from apps import App, Done, wait_for

from launchkit import job
from launchkit.sweep import Sweep

RESUME = "hydra.launcher.resume=true"
FORCE = ("hydra.launcher.resume=true", "hydra.launcher.force=true")
BODY = """
with Path("ran").open("a") as file:
    file.write(f"{cfg.x}\\n")
if cfg.x == 2 and not Path("mended").exists():
    raise ValueError("boom")
return cfg.x * cfg.model.width
"""
CONFIG = """
    defaults: [_self_, model: small]
    x: 0
    epochs: 10
    when: ${now:%H%M%S%f}
    wandb: {api_key: 0123456789abcdef}
"""


@pytest.fixture
def app(app: App) -> App:
    app.config("model/small", "width: 10\nlayers: [1, 2]\n")
    return app.write(BODY, config=textwrap.dedent(CONFIG), imports="from pathlib import Path")


def ran(app: App) -> list[str]:
    """Return which jobs have run since this was asked last, by their x."""
    path = app.directory / "ran"
    lines = path.read_text().split() if path.exists() else []
    path.unlink(missing_ok=True)
    return sorted(lines)


def mend(app: App) -> None:
    (app.directory / "mended").touch()


def keep(done: Done, num: int, value: object) -> None:
    """Put another value where a job's is kept."""
    (done.jobs[num] / ".launchkit" / "result.json").write_text(json.dumps(value))


def refused(app: App, *arguments: str, launcher: str = "launchkit_local") -> str:
    """Sweep, which must be refused with nothing run and nothing changed; return what is said."""
    sweep = app.directory / "sweep"
    before = contents(sweep)
    done = app.sweep(*arguments, launcher=launcher, code=1)
    assert ran(app) == []
    assert contents(sweep) == before
    assert "Traceback" not in done.said
    return done.said


def contents(sweep: Path) -> dict[Path, bytes]:
    return {
        path: path.read_bytes()
        for path in sweep.rglob("*")
        if path.is_file() and path.name != "multirun.yaml"  # Hydra's own, written before all
    }


def test_only_what_failed_runs_and_the_values_come_from_files(app: App, launcher: str) -> None:
    app.recording_sweeper()
    done = app.sweep("x=1,2,3", launcher=launcher, code=1)
    assert done.states == ["completed", "failed", "completed"]
    assert ran(app) == ["1", "2", "3"]
    keep(done, 0, "from the file")
    mend(app)
    again = app.sweep("x=1,2,3", RESUME, "hydra/sweeper=recording", launcher=launcher)
    assert ran(app) == ["2"]
    assert again.states == ["completed"] * 3
    assert again.attempts == [1, 2, 1]
    assert [[status, value] for status, _, _, value in app.seen] == [
        ["COMPLETED", "from the file"],
        ["COMPLETED", 20],
        ["COMPLETED", 30],
    ]
    assert "ValueError: boom" in again.log(1, "stderr.1")
    assert "boom" not in again.log(1)


def test_a_sweep_that_is_done_runs_nothing_again(app: App) -> None:
    app.sweep("x=1,3")
    ran(app)
    assert app.sweep("x=1,3", RESUME).values == [10, 30]
    assert ran(app) == []


def test_a_launcher_that_was_killed_is_gone_on_from(app: App) -> None:
    app.write(
        """
        with Path("ran").open("a") as file:
            file.write(f"{cfg.x}\\n")
        while cfg.x == 3 and not Path("mended").exists():
            time.sleep(0.02)
        return cfg.x
        """,
        imports="import time\nfrom pathlib import Path",
    )
    arguments = ("hydra/launcher=launchkit_local", "hydra.launcher.n_jobs=1")
    log = app.directory / "ran"
    with app.started("-m", "hydra.sweep.dir=sweep", *arguments, "x=1,3,4") as program:
        wait_for(lambda: log.exists() and "3" in log.read_text().split())
        os.kill(program.pid, signal.SIGKILL)
    assert ran(app) == ["1", "3"]
    mend(app)
    done = app.sweep("x=1,3,4", RESUME, "hydra.launcher.n_jobs=2")
    assert ran(app) == ["3", "4"]
    assert done.values == [1, 3, 4]
    assert done.attempts == [1, 2, 1]
    for directory in done.jobs:
        states = [event["state"] for event in job.events(directory)]
        assert states.count("completed") == 1
    assert "lost" in [event["state"] for event in job.events(done.jobs[1])]


def test_other_launcher_settings_and_another_mode_will_do(app: App) -> None:
    app.sweep("x=1,2,3", "hydra.launcher.n_jobs=2", code=1)
    ran(app)
    settings = ("hydra.launcher.n_jobs=1", "hydra.launcher.max_retries=1")
    app.sweep("x=1,2,3", RESUME, *settings, "hydra.launcher.retry_delay_s=0.01", code=1)
    assert ran(app) == ["2", "2"]
    sweep = Sweep.open(app.directory / "sweep")
    assert (sweep.settings["n_jobs"], sweep.policy["max_retries"]) == (1, 1)
    mend(app)
    done = app.sweep("x=1,2,3", RESUME, launcher="launchkit_here_no_doodad")
    assert ran(app) == ["2"]
    assert done.attempts == [1, 4, 1]
    assert Sweep.open(app.directory / "sweep").mode == "here_no_doodad"


def test_the_directory_by_another_path_and_from_another_place(app: App) -> None:
    app.sweep("x=1,2", code=1)
    moved = app.directory / "elsewhere" / "old"
    moved.parent.mkdir()
    (app.directory / "sweep").rename(moved)
    mend(app)
    app.sweep("x=1,2", RESUME, f"hydra.sweep.dir={moved}")
    assert Done(None, moved).values == [10, 20]
    assert not (app.directory / "sweep").exists()


def test_jobs_keep_directories_that_the_time_is_in(app: App, launcher: str) -> None:
    subdir = "hydra.sweep.subdir='${now:%H%M%S%f}_${hydra.job.num}'"
    done = app.sweep("x=1,2,3", subdir, launcher=launcher, code=1)
    for directory in done.jobs:
        assert (directory / ".hydra").is_dir(), "the job ran in another directory than planned"
    mend(app)
    again = app.sweep("x=1,2,3", subdir, RESUME, launcher=launcher)
    assert again.jobs == done.jobs
    assert again.values == [10, 20, 30]
    assert len(list(done.directory.glob("*_*/.hydra"))) == 3


CHANGES = {
    "another value": (["x=1,2,4"], None, ["job 2: x=3 is now x=4"]),
    "a value more": (["x=1,2,3", "epochs=5"], None, ["jobs 0, 1, 2: epochs=5 is new"]),
    "fewer jobs": (["x=1,2"], None, ["it had 3 jobs, and now there are 2"]),
    "more jobs": (
        ["x=1,2,3,4"],
        None,
        ["it had 3 jobs, and now there are 4", "job 3: new: x=4"],
    ),
    "a default": (
        ["x=1,2,3"],
        ("config", CONFIG.replace("epochs: 10", "epochs: 20")),
        ["jobs 0, 1, 2: another config", "epochs was 10, now 20"],
    ),
    "a group": (
        ["x=1,2,3"],
        ("model/small", "width: 10.5\nlayers: [1, 3]\ndepth: 2\n"),
        ["model.width was 10, now 10.5", "model.layers[1] was 2, now 3", "model.depth is new: 2"],
    ),
    "a key gone": (
        ["x=1,2,3"],
        ("model/small", "width: 10\n"),
        ["model.layers[0] is gone; it was 1"],
    ),
    "a directory": (
        ["x=1,2,3", "hydra.sweep.subdir=run${hydra.job.num}"],
        None,
        ["sweep/0 is now", "sweep/run0"],
    ),
    "a secret": (
        ["x=1,2,3"],
        ("config", CONFIG.replace("0123456789abcdef", "fedcba9876543210")),
        ["wandb.api_key has changed"],
    ),
    "a secret override": (
        ["x=1,2,3", "wandb.api_key=fedcba9876543210"],
        None,
        ["jobs 0, 1, 2: wandb.api_key=*** is new"],
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_sweep_of_other_jobs_is_refused(app: App, change: str) -> None:
    arguments, config, words = CHANGES[change]
    app.sweep("x=1,2,3", code=1)
    ran(app)
    if config is not None:
        app.config(*config)
    said = refused(app, *arguments, RESUME)
    assert f"{app.directory / 'sweep'} was begun with other jobs" in said
    assert "hydra.launcher.force=true" in said
    for text in words:
        assert text in said
    assert "fedcba" not in said
    assert "012345" not in said


def test_what_was_never_started_is_compared_as_well(app: App) -> None:
    app.sweep("x=2,1,3", "hydra.launcher.n_jobs=1", "hydra.launcher.fail_fast=true", code=1)
    for directory in Done(None, app.directory / "sweep").jobs[1:]:
        assert not (directory / ".hydra").exists()
    ran(app)
    app.config("model/small", "width: 11\nlayers: [1, 2]\n")
    assert "jobs 0, 1, 2: another config" in refused(app, "x=2,1,3", RESUME)


def test_keys_in_another_order_are_no_difference(app: App) -> None:
    app.sweep("x=1,2", code=1)
    app.config("model/small", "layers: [1, 2]\nwidth: 10\n")
    mend(app)
    assert app.sweep("x=1,2", RESUME).values == [10, 20]


def test_force_runs_what_is_now_completed_jobs_too(app: App, launcher: str) -> None:
    app.sweep("x=1,2,3", launcher=launcher, code=1)
    ran(app)
    mend(app)
    done = app.sweep("x=1,5,3,4", *FORCE, launcher=launcher)
    assert ran(app) == ["4", "5"]
    assert done.values == [10, 50, 30, 40]
    app.config("model/small", "width: 7\nlayers: [1, 2]\n")
    done = app.sweep("x=1,5,3,4", *FORCE, launcher=launcher)
    assert ran(app) == ["1", "3", "4", "5"]
    assert done.values == [7, 35, 21, 28]
    assert done.attempts == [2, 3, 2, 2]
    assert app.sweep("x=1,5,3,4", RESUME, launcher=launcher).values == [7, 35, 21, 28]
    assert ran(app) == []


@pytest.mark.parametrize("start_method", ["fork", "spawn"])
def test_force_and_detach(app: App, start_method: str) -> None:
    app.sweep("x=1,2,3", code=1)
    ran(app)
    mend(app)
    settings = ("hydra.launcher.detach=true", f"hydra.launcher.start_method={start_method}")
    done = app.sweep("x=1,2,4", *FORCE, *settings)
    assert "2 jobs handed over" in done.said
    wait_for(lambda: done.states == ["completed"] * 3)
    assert ran(app) == ["2", "4"]
    assert done.values == [10, 20, 40]


def test_there_is_nothing_to_resume(app: App) -> None:
    said = app.sweep("x=1", RESUME, code=1).said
    assert "is not a sweep directory" in said
    assert "wants the directory of the sweep to resume in hydra.sweep.dir" in said
    assert not (app.directory / "sweep").exists()
    assert ran(app) == []


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["hydra.launcher.force=true"], "force is true and resume is not"),
        ([RESUME, "hydra.launcher.existing=set_aside"], "resume is true and existing is"),
    ],
)
def test_settings_that_contradict_each_other(app: App, settings: list[str], words: str) -> None:
    app.sweep("x=1")
    ran(app)
    assert words in refused(app, "x=1", *settings)


def test_settings_that_are_refused_are_not_kept(app: App) -> None:
    app.sweep("x=1,2", code=1)
    ran(app)
    said = refused(app, "x=1,2", RESUME, "hydra.launcher.gpus=[0]", "hydra.launcher.gpus_per_job=2")
    assert "job 0 needs 2 GPUs" in said


@pytest.mark.parametrize("start_method", ["fork", "spawn"])
def test_a_sweep_that_stopped_between_batches(app: App, start_method: str) -> None:
    settings = [f"hydra.launcher.start_method={start_method}", "hydra.launcher.n_jobs=1"]
    batches = "hydra.sweeper.max_batch_size=2"
    app.sweep("x=1,2,3,4,5", batches, "hydra.launcher.fail_fast=true", *settings, code=1)
    assert len(Sweep.open(app.directory / "sweep").jobs) == 2
    ran(app)
    said = refused(app, "x=1,2,3,4,5,6", batches, RESUME, *settings)
    assert "it had 5 jobs, and now there are 6" in said
    mend(app)
    done = app.sweep("x=1,2,3,4,5", batches, RESUME, *settings)
    assert ran(app) == ["2", "3", "4", "5"]
    assert done.values == [10, 20, 30, 40, 50]


@pytest.mark.parametrize("sizes", [(None, 2), (2, None), (2, 3)])
def test_batches_of_another_size_and_a_program_that_was_mended(
    app: App, sizes: tuple[int | None, int | None]
) -> None:
    app.write("if cfg.x in (2, 4): raise ValueError('boom')\nreturn cfg.x", config="x: 0\n")
    before, now = ([f"hydra.sweeper.max_batch_size={n}"] if n else [] for n in sizes)
    spawn = "hydra.launcher.start_method=spawn"
    app.sweep("x=1,2,3,4,5", spawn, *before, code=1)
    app.write("return -cfg.x")
    done = app.sweep("x=1,2,3,4,5", spawn, *now, RESUME)
    assert done.values == [1, -2, 3, -4, 5]
    assert done.attempts == [1, 2, 1, 2, 1]


def test_batches_that_were_not_resumed_run_what_they_were(app: App) -> None:
    app.sweep("x=2,1,3,4", "hydra.launcher.n_jobs=1", "hydra.launcher.fail_fast=true", code=1)
    settings = ("hydra.launcher.n_jobs=1", "hydra.launcher.fail_fast=true")
    app.sweep("x=2,1,3,4", RESUME, *settings, "hydra.sweeper.max_batch_size=2", code=1)
    ran(app)
    mend(app)
    done = app.launchkit("resume", "sweep")
    assert done.returncode == 0, done.stderr
    assert ran(app) == ["1", "2", "3", "4"]
    assert Done(None, app.directory / "sweep").values == [20, 10, 30, 40]


def test_a_sweep_that_is_being_driven_is_left_alone(app: App) -> None:
    app.write(
        "while not Path('mended').exists(): time.sleep(0.02)\nreturn cfg.x",
        imports="import time\nfrom pathlib import Path",
    )
    done = app.sweep("x=1,2", "hydra.launcher.detach=true")
    try:
        before = (done.directory / ".launchkit" / "sweep.json").read_bytes()
        for settings in ([], ["hydra.launcher.detach=true"], ["hydra.launcher.dry_run=true"]):
            said = app.sweep("x=1,2", RESUME, "hydra.launcher.n_jobs=7", *settings, code=1).said
            assert "is being driven by process" in said
            assert "launchkit wait" in said
        assert (done.directory / ".launchkit" / "sweep.json").read_bytes() == before
    finally:
        mend(app)
    assert done.wait() == ["completed"] * 2


def test_a_schema_whose_class_is_gone(app: App) -> None:
    program = """
        from dataclasses import dataclass
        from pathlib import Path
        import hydra
        from hydra.core.config_store import ConfigStore
        import schemas

        ConfigStore.instance().store(name="settings", node=schemas.{name})

        @hydra.main(version_base="1.3", config_path=None, config_name="settings")
        def main(cfg):
            Path("ran").open("a").write(f"{{cfg.x}}\\n")
            if cfg.x == 2 and not Path("mended").exists():
                raise ValueError("boom")
            return cfg.x

        if __name__ == "__main__":
            main()
    """
    schema = "from dataclasses import dataclass\n@dataclass\nclass {name}:\n    x: int = 0\n"
    (app.directory / "schemas.py").write_text(schema.format(name="Old"))
    app.write_program(program.format(name="Old")).sweep("x=1,2", code=1)
    ran(app)
    (app.directory / "schemas.py").write_text(schema.format(name="New") + "    y: int = 3\n")
    app.write_program(program.format(name="New"))
    assert "jobs 0, 1: another config\n    y is new: 3" in refused(app, "x=1,2", RESUME)
    (app.directory / "schemas.py").write_text(schema.format(name="New"))
    mend(app)
    assert app.sweep("x=1,2", RESUME).values == [1, 2]
    assert ran(app) == ["2"]


def test_a_study_of_an_optimizer_goes_on(app: App) -> None:
    pytest.importorskip(
        "hydra_plugins.hydra_optuna_sweeper", reason="pip install hydra-launchkit[test]"
    )
    app.write(
        "with Path('ran').open('a') as file: file.write('x ')\nreturn cfg.x ** 2",
        config="x: 0.0\n",
        imports="from pathlib import Path",
    )
    study = (
        "hydra/sweeper=optuna", "hydra.sweeper.sampler.seed=1", "hydra.sweeper.direction=minimize",
        "hydra.sweeper.n_jobs=2", "x=interval(-5,5)",
    )  # fmt: skip
    before = app.sweep(*study, "hydra.sweeper.n_trials=2")
    assert len(ran(app)) == 2
    done = app.sweep(*study, "hydra.sweeper.n_trials=4", RESUME)
    assert len(ran(app)) == 2
    assert done.values[:2] == before.values[:2]
    assert done.attempts == [1] * 4
