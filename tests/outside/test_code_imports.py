"""Which packages the code of a sweep needs where its jobs run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from outside_programs import REPORT, ROOT, ask, repository, write

PROGRAM = f"{REPORT}\nreport()\n"


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """Packages as pip installs them."""
    top = write(
        tmp_path / "lib" / "python3" / "site-packages",
        *("regular/__init__.py", "regular/deep/__init__.py", "shared/one/__init__.py"),
        *("shared/two/__init__.py", "unused/__init__.py"),
        single="__version__ = '2.0'\nclass Thing: pass\nthing = Thing()\ndef call(): pass\n",
        odd_name="class Lazy:\n    def __getattr__(self, name): raise RuntimeError(name)\n",
    )
    (top / "regular" / "deep" / "__init__.py").write_text("def call(): pass\n")
    for name, version, tops in (
        ("regular", "1.2.3", "regular"),
        ("Odd-Project", "0.1", "odd_name"),
        ("shared-one", "5", "shared"),
        ("shared-two", "6", "shared"),
    ):
        info = write(top / f"{name.replace('-', '_')}-{version}.dist-info", "RECORD")
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (info / "top_level.txt").write_text(f"{tops}\n")
    return top


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("import regular", {"regular": "1.2.3"}),
        ("import regular.deep as other", {"regular": "1.2.3"}),
        ("from regular.deep import call as mine", {"regular": "1.2.3"}),
        ("from single import Thing", {"single": "2.0"}),
        ("from single import thing as mine", {"single": "2.0"}),
        ("import single; mine = single.Thing(); del single", {"single": "2.0"}),
        ("from odd_name import Lazy; lazy = Lazy(); del Lazy", {"odd_name": "0.1"}),
        # One namespace, of several distributions.
        ("from shared import one", {"shared.one": "5"}),
        ("import shared.one, shared.two", {"shared.one": "5", "shared.two": "6"}),
        ("import json, os.path, collections.abc, typing; from sys import path", {}),
        ("import hydra, omegaconf, yaml, cloudpickle; from hydra.core import utils", {}),
        ("import launchkit.sweep; from hydra_plugins.launchkit_launcher import config", {}),
        ("import unused as gone; del gone", {}),
    ],
)
def test_packages_are_known_by_what_modules_hold(
    tmp_path: Path, installed: Path, line: str, expected: dict[str, str]
) -> None:
    top = repository(tmp_path / "code", helper=line, train=f"import helper\n{PROGRAM}")
    assert ask("train.py", cwd=top, path=(installed,))["packages"] == expected
    write(top, train=f"{line}\n{PROGRAM}")
    assert ask("train.py", cwd=top, path=(installed,))["packages"] == expected


def test_an_environment_in_the_repository_is_no_code(tmp_path: Path) -> None:
    top = repository(tmp_path / "code", train=f"import regular\n{PROGRAM}")
    packages = write(top / ".venv" / "lib" / "site-packages", "../../pyvenv.cfg", regular="")
    write(packages, regular="__version__ = '3'")
    found = ask("train.py", cwd=top, path=(packages,))
    assert (found["packages"], found["code"]) == ({"regular": "3"}, {str(top): ["train.py"]})


def test_code_that_was_not_named_has_to_be_there(tmp_path: Path) -> None:
    other = write(tmp_path / "other", tools="")
    program = f"""
import tools
from pathlib import Path
from launchkit.outside import imports
import json
print(json.dumps(imports.packages([Path({str(tmp_path / "code")!r})])))
"""
    top = repository(tmp_path / "code", train=program)
    assert ask("train.py", cwd=top, path=(other,)) == {"tools": ""}


MAIN = """
import functools, json, sys
from pathlib import Path
import lazy_one, my_model, my_plots, my_task
from launchkit.outside import imports

def task(config): return my_model.learning
def plot(): return my_plots
def outer(config):
    def inner(): return lazy_one
    return inner
def closure(value):
    return lambda config: value
def default(config, model=my_model): return config
class Agent:
    def act(self): return my_model
    @property
    def plots(self): return my_plots
def with_agent(config): return Agent()

partial = functools.partial(plot, extra=[Agent().act])
print(json.dumps(sorted(imports.packages([Path.cwd()], eval(sys.argv[1])))))
"""

TASKS = """
import functools
import my_model

def task(config): return my_model

def decorated(function):
    @functools.wraps(function)
    def wrapper(config): return function(config)
    return wrapper

@decorated
def wrapped(config): return config

class Task:
    def __init__(self, function): self.function = function
"""


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        ("None", ["lazy_one", "learning", "plotting"]),
        ("task", ["learning"]),
        ("plot", ["plotting"]),
        ("outer", ["lazy_one"]),
        ("outer(1)", ["lazy_one"]),
        ("closure(plot)", ["plotting"]),
        ("default", ["learning"]),
        ("with_agent", ["learning", "plotting"]),
        ("len", []),
        # What is imported where the job runs is imported with all that it imports.
        ("my_task.task", ["learning"]),
        ("my_task.wrapped", ["learning"]),
        # What a decorator makes of a function of the program's is pickled itself, too.
        ("my_task.decorated(plot)", ["plotting"]),
        # A task of a mode's is looked through for the function that it calls.
        ("my_task.Task(len)", ["learning"]),
        ("my_task.Task({1: [outer]})", ["lazy_one", "learning"]),
        ("partial", ["learning", "plotting"]),
        ("my_model", ["learning"]),
        ("[lazy_one.Thing()]", ["lazy_one"]),
    ],
)
def test_of_the_program_itself_only_what_the_task_uses_counts(
    tmp_path: Path, task: str, expected: list[str]
) -> None:
    packages = write(tmp_path / "site-packages", plotting="", learning="")
    write(packages, lazy_one="class Thing:\n    def __getattr__(self, name): raise OSError\n")
    top = write(
        tmp_path / "code", my_model="import learning", my_plots="import plotting", my_task=TASKS
    )
    write(top, train=MAIN)
    assert ask("train.py", task, cwd=top, path=(packages,)) == expected


def test_a_task_of_hydras_is_looked_through(tmp_path: Path) -> None:
    """Its function, and the callbacks that its jobs call."""
    packages = write(tmp_path / "site-packages", learning="", plotting="")
    write(
        packages, watching="import hydra\nclass Watch(hydra.experimental.callback.Callback): pass\n"
    )
    program = """
import json
from pathlib import Path
import hydra, learning, plotting
from launchkit.outside import imports
from hydra_plugins.launchkit_launcher import launcher
from hydra_plugins.launchkit_launcher._task import HydraTask

made = HydraTask.__init__
def remember(self, *args, **kwargs):
    made(self, *args, **kwargs)
    Path("needed").write_text(json.dumps(sorted(imports.packages([Path.cwd()], self))))
HydraTask.__init__ = remember

@hydra.main(version_base="1.3", config_path=None)
def main(cfg):
    assert learning

if __name__ == "__main__":
    main()
"""
    top = write(tmp_path / "code", train=program)
    environ = {**os.environ, "PYTHONPATH": f"{packages}:{ROOT}"}
    subprocess.run(
        [
            *(sys.executable, "train.py", "-m", "hydra/launcher=launchkit_local", "+x=1,2"),
            "+hydra.callbacks.watch._target_=watching.Watch",
        ],
        cwd=top,
        env=environ,
        check=True,
        capture_output=True,
    )
    assert json.loads((top / "needed").read_text()) == ["learning", "watching"]


def test_it_is_quick(tmp_path: Path) -> None:
    program = """
import json, time
import numpy, pandas
from pathlib import Path
from launchkit.outside import imports
times = []
for _ in range(5):
    began = time.perf_counter()
    found = imports.packages([Path.cwd()])
    times.append(time.perf_counter() - began)
print(json.dumps([sorted(found), min(times)]))
"""
    found, seconds = ask("train.py", cwd=write(tmp_path / "code", train=program))
    assert found == ["numpy", "pandas"]
    assert seconds < 0.03
