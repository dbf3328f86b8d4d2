"""The worker travels light, and the plugin costs other Hydra programs nothing."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from engine_helpers import environment, run_python

from launchkit import job as jobs
from launchkit import payload, value
from launchkit.job import JobState
from launchkit.sweep import Sweep

HEAVY = {"numpy", "pandas", "torch", "joblib", "yaml", "antlr4"}

IMPORT = """
import json, sys
before = set(sys.modules)
for name in sys.argv[1:]:
    __import__(name)
print(json.dumps(sorted(set(sys.modules) - before)))
"""

TASK = """
import sys
class Task:
    def run(self, job):
        return sorted(sys.modules)
"""


def tops(modules):
    return {name.partition(".")[0] for name in modules}


@pytest.mark.parametrize("module", ["launchkit", "launchkit.logging", "launchkit.worker"])
def test_what_travels_imports_nothing_that_is_not_pythons_own(module):
    loaded = tops(json.loads(run_python(IMPORT, module)))
    assert "launchkit" in loaded
    # site brings in what .pth files name, whatever runs.
    assert loaded - set(sys.stdlib_module_names) <= {"launchkit"}


def test_the_package_alone_imports_next_to_nothing():
    loaded = json.loads(run_python(IMPORT, "launchkit"))
    assert {name for name in loaded if name.startswith("launchkit")} == {
        "launchkit",
        "launchkit._version",
    }


def test_the_worker_runs_a_job_that_it_can_import_with_pythons_own_modules(tmp_path):
    (tmp_path / "light_task.py").write_text(TASK)
    sweep = Sweep.create(tmp_path / "sweep", mode="local", settings={}, command=[])
    sweep.add([jobs.Job(0, (), sweep.directory / "0")])
    program = """
import sys
sys.path.insert(0, sys.argv[2])
from light_task import Task
from launchkit import payload
from launchkit.sweep import Sweep
payload.save(Sweep.open(sys.argv[1]), Task())
"""
    run_python(program, sweep.directory, tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "launchkit.worker", str(sweep.directory), "0"],
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert jobs.read(sweep.jobs[0].directory).state is JobState.COMPLETED
    loaded = tops(value.load(sweep.jobs[0]))
    assert {"launchkit", "light_task"} <= loaded
    assert not loaded & (HEAVY | {"hydra", "omegaconf", "hydra_plugins", "multiprocessing"})
    # What is importable is unpickled by Python itself.
    assert "cloudpickle" not in loaded


def test_the_worker_says_which_job_there_is_not(tmp_path):
    sweep = Sweep.create(tmp_path / "sweep", mode="local", settings={}, command=[])
    done = subprocess.run(
        [sys.executable, "-m", "launchkit.worker", str(sweep.directory), "7"],
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert f"sweep {sweep.directory} has no job 7" in done.stderr


def test_a_job_whose_payload_is_missing_fails_with_the_reason(tmp_path):
    sweep = Sweep.create(tmp_path / "sweep", mode="local", settings={}, command=[])
    sweep.add([jobs.Job(0, (), sweep.directory / "0")])
    assert not (sweep.own / "payload.pkl").exists()
    done = subprocess.run(
        [sys.executable, "-m", "launchkit.worker", str(sweep.directory), "0"], env=environment()
    )
    assert done.returncode == 1
    attempt = jobs.read(sweep.jobs[0].directory)
    assert (attempt.state, attempt.error.type) == (JobState.FAILED, payload.PayloadError.__name__)
    assert "payload.pkl is not there" in sweep.jobs[0].stderr.read_text()


def test_the_plugins_modules_import_nothing_that_hydra_has_not():
    pytest.importorskip("hydra")
    program = """
import json, sys
import hydra.main, hydra._internal.hydra, hydra.core.config_store, hydra.plugins.launcher
before = set(sys.modules)
import hydra_plugins.launchkit_launcher.config, hydra_plugins.launchkit_launcher.launcher
print(json.dumps(sorted(set(sys.modules) - before)))
"""
    loaded = set(json.loads(run_python(program))) - {"__future__"}
    assert loaded == {
        "hydra_plugins",
        "hydra_plugins.launchkit_launcher",
        "hydra_plugins.launchkit_launcher.config",
        "hydra_plugins.launchkit_launcher.launcher",
    }
