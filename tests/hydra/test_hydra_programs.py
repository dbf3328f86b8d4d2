"""What users write in Hydra programs works in every mode, as under Hydra's own launcher."""

from __future__ import annotations

import json

import pytest
import yaml
from apps import App


def test_values_come_back_in_order(app: App, launcher: str) -> None:
    done = app.write("return cfg.x * 10").sweep("x=3,1,2", launcher=launcher)
    assert done.values == [30, 10, 20]
    assert done.states == ["completed"] * 3


def test_every_job_directory_has_its_files(app: App, launcher: str) -> None:
    app.write(
        """
        print("to stdout")
        logger.record_dict({"epoch": 0, "loss": 0.5})
        logger.dump_tabular()
        """,
        imports="from launchkit import logger",
    )
    done = app.sweep("x=1,2", "hydra/callbacks=launchkit", launcher=launcher)
    for num, job in enumerate(done.jobs):
        assert (job / "progress.csv").read_text().split() == ["epoch,loss", "0,0.5"]
        assert json.loads((job / "variant.json").read_text())["x"] == num + 1
        assert "loss" in (job / "debug.log").read_text()
        assert "to stdout" in done.log(num, "stdout")
        for name in ("config", "hydra", "overrides"):
            assert (job / ".hydra" / f"{name}.yaml").exists()
        assert (job / ".launchkit" / "state.json").exists()
        assert (job / ".launchkit" / "events.jsonl").exists()


def test_a_single_run_has_the_same_files(app: App) -> None:
    app.write(
        "print('hello')\nlogger.record_dict({'loss': 0.5})\nlogger.dump_tabular()\nreturn 7",
        imports="from launchkit import logger",
    )
    app.sweep("x=1", "hydra/callbacks=launchkit")
    app.run("x=1", "hydra/callbacks=launchkit", "hydra.run.dir=single")
    in_sweep = {
        p.relative_to(app.directory / "sweep/0") for p in (app.directory / "sweep/0").rglob("*")
    }
    in_single = {
        p.relative_to(app.directory / "single") for p in (app.directory / "single").rglob("*")
    }
    assert in_single == in_sweep
    assert "hello" in (app.directory / "single/.launchkit/stdout.log").read_text()
    assert json.loads((app.directory / "single/.launchkit/result.json").read_text()) == 7


def test_a_single_run_that_fails_says_so(app: App) -> None:
    app.write("raise ValueError('boom')")
    app.run("hydra/callbacks=launchkit", "hydra.run.dir=single", code=1)
    state = json.loads((app.directory / "single/.launchkit/state.json").read_text())
    assert state["state"] == "failed"
    assert state["error"]["last_line"] == "ValueError: boom"
    assert "ValueError: boom" in (app.directory / "single/.launchkit/stderr.log").read_text()


def test_the_composed_config_is_written_as_hydra_writes_it(app: App, launcher: str) -> None:
    app.config("db/mysql", "name: mysql\nport: ${oc.decode:'3306'}\n")
    app.config("db/pg", "name: pg\nport: 5432\n")
    app.write("return cfg.db.name", config="defaults: [_self_, db: mysql]\nx: 0\ny: ${x}\n")
    arguments = ("db=mysql,pg", "x=1,2,3", "+new={a: [1, 2]}")
    app.run("-m", "hydra.sweep.dir=basic", *arguments)
    done = app.sweep(*arguments, launcher=launcher)
    assert len(done.jobs) == 6
    for job in done.jobs:
        theirs = app.directory / "basic" / job.name / ".hydra"
        for name in ("config.yaml", "overrides.yaml"):
            assert (job / ".hydra" / name).read_text() == (theirs / name).read_text()
        ours = yaml.safe_load((job / ".hydra" / "hydra.yaml").read_text())["hydra"]
        hydra = yaml.safe_load((theirs / "hydra.yaml").read_text())["hydra"]
        differing = {key for key in hydra if hydra[key] != ours[key]}
        # The launcher that was asked for, the directory, and the overrides that say so.
        assert differing <= {"launcher", "sweep", "overrides", "runtime"}


def test_closures_decorators_and_functions_of_main(app: App, launcher: str) -> None:
    app.write_program(
        """
        import functools

        import hydra


        def scaled(factor):
            def decorate(function):
                @functools.wraps(function)
                def inner(cfg):
                    return factor * function(cfg)

                return inner

            return decorate


        class Model:
            def __init__(self, x):
                self.x = x


        @hydra.main(version_base="1.3", config_path="conf", config_name="config")
        @scaled(10)
        def main(cfg):
            return Model(cfg.x).x


        if __name__ == "__main__":
            main()
        """,
        "x: 0\n",
    )
    assert app.sweep("x=1,2", launcher=launcher).values == [10, 20]


def test_a_spawned_job_gets_what_main_defines(app: App) -> None:
    app.write(
        "return [Model(cfg.x).x, cfg.y, HydraConfig.get().job.num]",
        config="x: 0\ny: ${double:${x}}\n",
        imports="""
        from hydra.core.hydra_config import HydraConfig
        from omegaconf import OmegaConf

        OmegaConf.register_new_resolver("double", lambda x: 2 * x)

        class Model:
            def __init__(self, x):
                self.x = x
        """,
    )
    done = app.sweep("x=1,2", "hydra.launcher.start_method=spawn")
    assert done.values == [[1, 2, 0], [2, 4, 1]]


def test_custom_resolvers(app: App, launcher: str) -> None:
    app.write(
        "return cfg.y",
        config="x: 0\ny: ${double:${x}}\n",
        imports="""
        from omegaconf import OmegaConf
        OmegaConf.register_new_resolver("double", lambda x: 2 * x)
        """,
    )
    assert app.sweep("x=1,2", launcher=launcher).values == [2, 4]


def test_structured_configs(app: App, launcher: str) -> None:
    app.write_program(
        """
        from dataclasses import dataclass

        import hydra
        from hydra.core.config_store import ConfigStore
        from omegaconf import OmegaConf


        @dataclass
        class Config:
            x: int = 0


        ConfigStore.instance().store(name="config", node=Config)


        @hydra.main(version_base="1.3", config_name="config")
        def main(cfg):
            return [cfg.x, OmegaConf.get_type(cfg).__name__]


        if __name__ == "__main__":
            main()
        """
    )
    assert app.sweep("x=1,2", launcher=launcher).values == [[1, "Config"], [2, "Config"]]
    refused = app.run("-m", f"hydra/launcher={launcher}", "hydra.sweep.dir=b", "x=a", code=1)
    assert "could not be converted to Integer" in refused.stderr


def test_hydra_config_and_its_interpolations(app: App, launcher: str) -> None:
    app.write(
        "h = HydraConfig.get()\nreturn [h.job.num, h.runtime.output_dir, cfg.me]",
        config="x: 0\nme: ${hydra:job.name}-${hydra:job.num}\n",
        imports="from hydra.core.hydra_config import HydraConfig",
    )
    done = app.sweep("x=1,2", launcher=launcher)
    assert done.values == [[n, str(job), f"app-{n}"] for n, job in enumerate(done.jobs)]


def test_env_set_and_env_copy(app: App, launcher: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COPIED", "yes")
    app.write(
        "return [os.environ['MINE'], os.environ['COPIED']]",
        config="x: 0\nhydra: {job: {env_set: {MINE: 'job env'}, env_copy: [COPIED]}}\n",
        imports="import os",
    )
    assert app.sweep("x=1,2", launcher=launcher).values == [["job env", "yes"]] * 2


def test_chdir(app: App, launcher: str) -> None:
    app.write("return os.getcwd()", imports="import os")
    done = app.sweep("x=1,2", "hydra.job.chdir=true", launcher=launcher)
    assert done.values == [str(job) for job in done.jobs]


def test_subdir_made_of_overrides(app: App, launcher: str) -> None:
    app.write("return cfg.x", config="x: 0\nseed: 0\n")
    done = app.sweep(
        "x=1,2",
        "seed=3",
        "hydra.sweep.subdir='${hydra.job.override_dirname}/s${seed}'",
        "hydra.job.config.override_dirname.exclude_keys=[seed]",
        launcher=launcher,
    )
    assert [job.relative_to(done.directory).as_posix() for job in done.jobs] == ["x=1/s3", "x=2/s3"]


def test_callbacks_run_where_hydra_says(app: App, launcher: str) -> None:
    (app.directory / "mine.py").write_text(
        "import os\n"
        "from pathlib import Path\n"
        "from hydra.experimental.callback import Callback\n"
        "class Mine(Callback):\n"
        "    def note(self, event):\n"
        "        with Path('events.txt').open('a') as f:\n"
        "            f.write(f'{event} {os.getpid()}\\n')\n"
        "    def on_multirun_start(self, config, **kwargs): self.note('multirun_start')\n"
        "    def on_multirun_end(self, config, **kwargs): self.note('multirun_end')\n"
        "    def on_job_start(self, config, **kwargs): self.note('job_start')\n"
        "    def on_job_end(self, config, job_return, **kwargs):\n"
        "        self.note(f'job_end:{job_return.status.name}')\n"
    )
    app.write(
        "return os.getpid()",
        config="x: 0\nhydra: {callbacks: {mine: {_target_: mine.Mine}}}\n",
        imports="import os",
    )
    done = app.sweep("x=1,2", launcher=launcher)
    events = [line.split() for line in (app.directory / "events.txt").read_text().splitlines()]
    launcher_pid = events[0][1]
    assert events[0][0] == "multirun_start"
    assert events[-1] == ["multirun_end", launcher_pid]
    inner = sorted(events[1:-1])
    pids = sorted(str(pid) for pid in done.values)
    assert inner == sorted(
        [[name, pid] for pid in pids for name in ("job_start", "job_end:COMPLETED")]
    )


def test_a_program_that_has_used_numpy_is_still_forked(app: App) -> None:
    pytest.importorskip("numpy")
    app.write(
        "return float(np.random.rand())",
        imports="import numpy as np\na = np.ones((300, 300))\n(a @ a).sum()",
    )
    done = app.sweep("x=1,2,3")
    assert "forked from this process" in done.process.stderr
    assert len(set(done.values)) == 3, "unseeded jobs must not share their random numbers"


def test_a_program_with_threads_is_not_forked(app: App) -> None:
    app.write(
        "return cfg.x",
        imports="""
        import sys, threading, time
        if sys.argv[0].endswith("app.py"):
            threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
        """,
    )
    done = app.sweep("x=1,2")
    assert "launchkit.worker" in done.process.stderr
    assert done.values == [1, 2]
