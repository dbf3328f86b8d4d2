"""Which packages the code of a sweep needs where its jobs run."""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from outside_programs import REPORT, ask, repository, write

from launchkit.outside import imports

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
        ("from shared import one", {"shared.one": ""}),
        ("import shared.one, shared.two", {"shared.one": "", "shared.two": ""}),
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


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Modules of a person's own, loaded here: a task, and what the launcher has beside it."""
    packages = write(tmp_path / "site-packages", plotting="", learning="", lazy_one="")
    code = write(
        tmp_path / "code",
        my_model="import learning\n",
        my_plots="import plotting\n",
        my_task="""
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
""",
        my_main="""
import lazy_one, my_plots, my_model, my_task
def task(config): return my_model.learning
def plot(): return my_plots
def outer(config):
    def inner(): return lazy_one
    return inner
def closure(value):
    return lambda config: value
class Agent:
    def act(self): return my_model
def with_agent(config): return Agent()
""",
    )
    names = {"plotting", "learning", "lazy_one", "my_model", "my_plots", "my_task", "my_main"}
    monkeypatch.syspath_prepend(packages)
    monkeypatch.syspath_prepend(code)
    import my_main  # type: ignore[import-not-found]

    # It is the program, whose functions are pickled themselves.
    for value in vars(my_main).values():
        if getattr(value, "__module__", None) == "my_main":
            value.__module__ = "__main__"
    yield code
    for name in names:
        sys.modules.pop(name, None)


def needed(code: Path, task: Any) -> set[str]:
    return set(imports.packages([code], task))


def test_of_the_program_itself_only_what_the_task_uses_counts(modules: Path) -> None:
    main = sys.modules["my_main"]
    assert set(imports.packages([modules])) == {"learning", "plotting", "lazy_one"}
    assert needed(modules, main.task) == {"learning"}
    assert needed(modules, main.plot) == {"plotting"}
    assert needed(modules, main.outer) == {"lazy_one"}
    assert needed(modules, main.with_agent) == {"learning"}
    assert needed(modules, main.closure(main.plot)) == {"plotting"}
    assert needed(modules, len) == set()


def test_a_module_is_imported_with_all_that_it_imports(modules: Path) -> None:
    task: ModuleType = sys.modules["my_task"]
    assert needed(modules, task.task) == {"learning"}
    assert needed(modules, task.wrapped) == {"learning"}
    assert needed(modules, task.Task(len)) == {"learning"}


def test_a_task_is_looked_through_for_the_function_that_it_calls(modules: Path) -> None:
    main, task = sys.modules["my_main"], sys.modules["my_task"]
    partial = functools.partial(main.plot, extra=[main.Agent().act])
    assert needed(modules, partial) == {"plotting", "learning"}
    assert needed(modules, task.Task({"a": [partial]})) == {"plotting", "learning"}


def test_it_is_quick(modules: Path) -> None:
    import numpy  # noqa: F401 - a real one, with many modules
    import pandas  # noqa: F401

    imports.packages([modules])
    times = []
    for _ in range(5):
        began = time.perf_counter()
        imports.packages([modules])
        times.append(time.perf_counter() - began)
    assert min(times) < 0.05
