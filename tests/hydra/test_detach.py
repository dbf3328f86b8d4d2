"""A detached sweep goes on without its launcher, and the launcher says so honestly."""

from __future__ import annotations

import contextlib
import os
import re
import signal
from collections.abc import Iterator

import pytest
from apps import App, Done, wait_for

from launchkit.handle import JobHandle
from launchkit.sweep import Sweep

DETACH = "hydra.launcher.detach=true"
WAITING = """
Path(f"started{cfg.x}").touch()
deadline = time.monotonic() + 60
while not Path("go").exists():
    assert time.monotonic() < deadline
    time.sleep(0.02)
return cfg.x * 10
"""
IMPORTS = "import threading, time\nfrom pathlib import Path"


@pytest.fixture
def app(app: App) -> Iterator[App]:
    yield app.write(WAITING, imports=IMPORTS)
    (app.directory / "go").touch()
    if (app.directory / "sweep" / ".launchkit" / "sweep.json").exists():
        Done(None, app.directory / "sweep").wait()


def refused(app: App, *arguments: str, launcher: str = "launchkit_local") -> str:
    said = app.run(
        "-m", f"hydra/launcher={launcher}", "hydra.sweep.dir=sweep", DETACH, *arguments, code=1
    ).stderr
    assert "Traceback" not in said
    assert not list(app.directory.glob("started*"))
    assert not list((app.directory / "sweep").glob("*/.launchkit/state.json"))
    return said


@pytest.mark.parametrize("settings", [[], ["hydra.launcher.start_method=spawn"]])
def test_the_jobs_of_all_batches_are_handed_over_once_and_go_on(
    app: App, settings: list[str]
) -> None:
    done = app.sweep("x=1,2,3", DETACH, "hydra.sweeper.max_batch_size=2", *settings)
    assert "completed" not in done.states, "the program waited for its jobs"
    assert re.findall(r"(\d+) jobs? handed over", done.said) == ["3"]
    assert f"launchkit status {done.directory}" in done.said
    (app.directory / "go").touch()
    assert done.wait() == ["completed"] * 3
    assert done.values == [10, 20, 30]
    assert [job.name for job in done.jobs] == ["0", "1", "2"]
    log = done.directory / ".launchkit" / "supervisor.log"
    wait_for(lambda: "3 completed" in log.read_text())


def test_the_jobs_outlive_the_terminal(app: App) -> None:
    arguments = ("-m", "hydra/launcher=launchkit_local", "hydra.sweep.dir=sweep", DETACH, "x=1")
    with app.started(*arguments) as program:
        assert program.wait(60) == 0
        wait_for((app.directory / "started1").exists)
        # What a terminal that is closed does to all that was started in it.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(program.pid, signal.SIGHUP)
    (app.directory / "go").touch()
    assert Done(None, app.directory / "sweep").wait() == ["completed"]


def test_the_sweeper_gets_handles_and_later_values(app: App) -> None:
    app.recording_sweeper()
    app.sweep("x=1,2", DETACH, "hydra/sweeper=recording", "hydra.launcher.n_jobs=1")
    assert app.seen == [["UNKNOWN", ["x=1"], False, 10], ["UNKNOWN", ["x=2"], False, 20]]


def test_a_sweeper_that_goes_on_by_values_is_refused_by_name(app: App) -> None:
    pytest.importorskip(
        "hydra_plugins.hydra_optuna_sweeper", reason="pip install hydra-launchkit[test]"
    )
    said = refused(app, "hydra/sweeper=optuna", "x=1,2")
    assert "optuna_sweeper.OptunaSweeper goes on by what the jobs return" in said
    assert not (app.directory / "sweep").exists()


def test_a_mode_that_needs_the_launcher_is_refused(app: App) -> None:
    said = refused(app, "x=1,2", launcher="launchkit_here_no_doodad")
    assert "detach is true, and mode 'here_no_doodad' runs the jobs in the launcher's own" in said
    assert not (app.directory / "sweep").exists()


def test_a_function_that_cannot_be_pickled(app: App) -> None:
    app.write(f"lock.acquire(timeout=1)\n{WAITING}", imports=f"{IMPORTS}\nlock = threading.Lock()")
    for _ in range(2):  # what is refused is not in the way of the next
        said = refused(app, "x=1,2", "hydra.launcher.start_method=spawn")
        assert "the task function cannot be pickled" in said
    (app.directory / "go").touch()
    done = app.sweep("x=1,2", DETACH)
    assert done.wait() == ["completed"] * 2
    assert done.values == [10, 20]


SCHEMA = """
    from dataclasses import dataclass
    import hydra
    from hydra.core.config_store import ConfigStore

    @dataclass
    class Settings:
        x: int = 0

    class Answer:
        def __init__(self, x):
            self.x = x

    ConfigStore.instance().store(name="settings", node=Settings)

    @hydra.main(version_base="1.3", config_path=None, config_name="settings")
    def main(cfg):
        return Answer(cfg.x + 1)

    if __name__ == "__main__":
        main()
"""


@pytest.mark.parametrize("start_method", ["fork", "spawn"])
def test_a_program_that_defines_classes_itself(app: App, start_method: str) -> None:
    done = app.write_program(SCHEMA).sweep(
        "x=1,2", DETACH, f"hydra.launcher.start_method={start_method}"
    )
    assert done.wait() == ["completed"] * 2
    sweep = Sweep.open(done.directory)
    assert [JobHandle(sweep, job).value.x for job in sweep.jobs] == [2, 3]


def test_a_failure_is_in_the_states_and_not_in_the_programs_exit_code(app: App) -> None:
    app.write("if cfg.x == 1: raise ValueError('boom')\nreturn cfg.x", imports=IMPORTS)
    done = app.sweep("x=1,2", DETACH)
    assert done.wait() == ["failed", "completed"]
    log = done.directory / ".launchkit" / "supervisor.log"
    wait_for(lambda: "job 0 failed: ValueError: boom" in log.read_text())


def test_detached_with_retries(app: App) -> None:
    app.write(
        "Path('tries').open('a').write('x')\n"
        "if len(Path('tries').read_text()) < 3: raise ValueError('boom')\nreturn 7",
        imports=IMPORTS,
    )
    done = app.sweep(
        "x=1", DETACH, "hydra.launcher.max_retries=2", "hydra.launcher.retry_delay_s=0.05"
    )
    wait_for(lambda: done.states == ["completed"])
    assert done.attempts == [3]
