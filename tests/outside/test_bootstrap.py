"""What runs first there: with any Python, and with what came along only."""

from __future__ import annotations

import ast
import json
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest
from bare_python import make_python, run_bootstrap, unpacked
from outside_programs import ROOT, write

from launchkit import job as jobs
from launchkit.job import JobState
from launchkit.outside import asks, bootstrap, packs
from launchkit.sweep import Sweep

HERE = platform.python_version()
MINOR = ".".join(HERE.split(".")[:2])
OLD = ("3.6", "3.7", "3.8", "3.9")


def old_pythons() -> dict[str, Path]:
    """Return the Pythons before launchkit's own that are on this machine, by version."""
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    found = {}
    for minor in OLD:
        on_path = [Path(folder, f"python{minor}") for folder in os.get_exec_path()]
        for candidate in (*on_path, *versions.glob(f"{minor}.*/bin/python3")):
            try:
                asked = [candidate, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
                said = subprocess.run(asked, capture_output=True, text=True, check=False)
            except OSError:
                continue
            if said.stdout.strip() == minor:
                found.setdefault(minor, candidate)
    return found


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    return Sweep.create(tmp_path / "sweep", mode="local", settings={}, command=[])


def test_it_is_written_for_python_3_6() -> None:
    source = Path(bootstrap.__file__).read_text(encoding="utf-8")
    tree = ast.parse(source, feature_version=(3, 6))
    imported = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert "__future__" not in imported


def test_old_pythons_say_which_one_is_wanted(tmp_path: Path, sweep: Sweep) -> None:
    here = unpacked(tmp_path / "unpacked", own=False, image="python:3.6-slim")
    for minor, python in old_pythons().items():
        done = run_bootstrap(python, here, sweep.directory, "7")
        assert (done.returncode, done.stdout) == (86, ""), done.stderr
        (line,) = done.stderr.splitlines()
        assert f"Python is {minor}." in line and HERE in line and f"Python {MINOR}" in line
        probed = run_bootstrap(python, here, "--probe", sweep.directory)
        found = json.loads(probed.stdout)
        assert found["python"].startswith(minor) and found["cores"] is None


@pytest.mark.parametrize("image", [None, "lab/image:1"])
def test_another_python_is_refused_before_anything_is_read(
    tmp_path: Path, sweep: Sweep, image: str | None
) -> None:
    here = unpacked(tmp_path / "unpacked", own=False, python="3.99.1", image=image)
    done = run_bootstrap(sys.executable, here, sweep.directory, "3")
    assert (done.returncode, done.stdout) == (86, "")
    (line,) = done.stderr.splitlines()
    assert f"Python is {HERE}" in line and "3.99.1" in line
    assert "hydra.launcher.python" in line and f"start the sweep with Python {MINOR}" in line
    assert ("take an image with Python 3.99" in line) == (image is not None)
    assert (str(image) in line) == (image is not None)
    refusal = asks.refusal(sweep, 3)
    assert refusal is not None
    assert (refusal.type, f"launchkit: {refusal.message}") == ("PythonDiffers", line)


def test_missing_packages_are_all_named(tmp_path: Path, bare_python: Path, sweep: Sweep) -> None:
    code = write(tmp_path / "code", "in_code/__init__.py")
    packages = {"json": "", "torch": "2.1.0", "in_code": "", "google.cloud": "1.0", "gone": ""}
    here = unpacked(
        tmp_path / "unpacked", packages=packages, sys_path=[str(code)], image="lab/image:1"
    )
    done = run_bootstrap(bare_python, here, sweep.directory, "0")
    assert (done.returncode, done.stdout) == (87, "")
    (line,) = done.stderr.splitlines()
    assert "imports gone, google.cloud 1.0, torch 2.1.0, which lab/image:1 (" in line
    assert "code_dirs" in line and "image" in line
    refusal = asks.refusal(sweep, 0)
    assert refusal is not None
    assert (refusal.type, f"launchkit: {refusal.message}") == ("PackagesMissing", line)


def test_an_archive_that_was_not_unpacked_whole_is_said(
    tmp_path: Path, bare_python: Path, sweep: Sweep
) -> None:
    here = unpacked(tmp_path / "one", own=False)
    (here / "outside.json").write_text('{"python": ')
    done = run_bootstrap(sys.executable, here, sweep.directory, "0")
    assert (done.returncode, "not unpacked whole" in done.stderr) == (89, True)
    refusal = asks.refusal(sweep, 0)
    assert refusal is not None and refusal.type == "ArchiveBroken"
    here = unpacked(tmp_path / "two", own=False, needs=[["hydra-launchkit", "0"]])
    done = run_bootstrap(bare_python, here, sweep.directory, "1")
    assert done.returncode == 89
    refusal = asks.refusal(sweep, 1)
    assert refusal is not None and "launchkit cannot be imported" in refusal.message


def test_a_reason_that_cannot_be_written_is_still_said(tmp_path: Path) -> None:
    here = unpacked(tmp_path / "unpacked", own=False, python="3.99.1")
    done = run_bootstrap(sys.executable, here, tmp_path / "no sweep", "0")
    assert done.returncode == 86
    assert "3.99.1" in done.stderr and "cannot be written" in done.stderr
    assert not (tmp_path / "no sweep").exists()


@pytest.mark.parametrize("arguments", [(), ("only",), ("one", "2", "3")])
def test_anything_else_gets_the_usage(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    here = unpacked(tmp_path / "unpacked", own=False)
    done = run_bootstrap(sys.executable, here, *arguments)
    assert done.returncode == 2
    assert "usage: bootstrap.py SWEEP PACK" in done.stderr


HOST = """
import json, os, sys
def main(arguments):
    import hydra, mine
    print(json.dumps([arguments, sys.path, os.environ["PYTHONPATH"].split(":"),
                      os.environ["LAUNCHKIT_PATHS"], hydra.__file__, mine.__file__]))
    return 5
"""


def test_the_import_path_is_as_the_launchers_with_what_is_lacking_first(
    tmp_path: Path, sweep: Sweep
) -> None:
    code = write(tmp_path / "launchers" / "code", mine="")
    here = unpacked(
        tmp_path / "unpacked",
        paths={str(code): "deps/local/code0", str(code / "inner"): "/elsewhere"},
        sys_path=[str(code), str(code / "inner" / "src"), "/opt/other"],
        sys_path_end=[str(code / "last")],
        needs=[["hydra-launchkit", "1"], ["same", "1.0"], ["other", "2.0"], ["none", "3.0"]],
    )
    write(here / "deps" / "local" / "code0", mine="")
    for name in ("hydra-launchkit-1", "same-1.0", "other-2.0", "none-3.0"):
        write(here / "needs" / name, hydra="", **{} if name[0] != "h" else {"pad": ""})
    write(here / "needs" / "hydra-launchkit-1" / "launchkit", "__init__.py", host=HOST)
    # What is there: one of the same version, one of another.
    python = make_python(tmp_path / "environment")
    (packages,) = (python.parents[1] / "lib").glob("python*/site-packages")
    for name, version in (("same", "1.0"), ("other", "1.9")):
        info = write(packages / f"{name}-{version}.dist-info")
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    done = run_bootstrap(python, here, sweep.directory, "4", PYTHONPATH="/opt/mine::/opt/other")
    assert done.returncode == 5, done.stderr
    arguments, path, inherited, paths, hydra, mine = json.loads(done.stdout)
    assert arguments == [str(sweep.directory), "4"]
    top = here / "needs"
    first = [
        *(str(top / name) for name in ("hydra-launchkit-1", "other-2.0", "none-3.0")),
        *(str(here / "deps/local/code0"), "/elsewhere/src", "/opt/other"),
    ]
    assert path[: len(first)] == first
    assert str(here) not in path
    assert path.count("/opt/other") == 1
    assert path[-2:] == [str(packages), str(here / "deps/local/code0/last")]
    assert inherited == [*first, "/opt/mine"]
    assert json.loads(paths) == {
        str(code): str(here / "deps/local/code0"),
        str(code / "inner"): "/elsewhere",
    }
    assert (hydra, mine) == (
        str(top / "hydra-launchkit-1" / "hydra.py"),
        str(here / "deps/local/code0/mine.py"),
    )


def test_a_probe_says_what_is_here(tmp_path: Path, bare_python: Path, sweep: Sweep) -> None:
    here = unpacked(tmp_path / "unpacked", packages={"json": "", "torch": "2.1.0"})
    python = bare_python
    done = run_bootstrap(python, here, "--probe", sweep.directory, CUDA_VISIBLE_DEVICES="0,3")
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert found == {
        "python": HERE,
        "executable": str(python),
        "prefix": str(python.parents[1]),
        "base_prefix": sys.base_prefix,
        "stdlib": os.path.dirname(os.__file__),
        "missing": {"torch": "2.1.0"},
        "cores": len(os.sched_getaffinity(0)),
        "gpus": ["0", "3"],
    }
    alone = unpacked(tmp_path / "alone", own=False, python="3.99.1")
    done = run_bootstrap(python, alone, "--probe", sweep.directory)
    found = json.loads(done.stdout)
    assert (found["python"], found["cores"], found["gpus"]) == (HERE, None, None)
    assert list(sweep.own.glob("asks/*")) == []


PLUGIN = """
from dataclasses import dataclass
from typing import Any, Optional
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_store import ConfigStore

@dataclass
class Conf:
    _target_: str = "hydra_plugins.absent.sweeper.Absent"
    max_batch_size: Optional[int] = None
    params: Any = None

class Absent(BasicSweeper):
    pass

ConfigStore.instance().store(group="hydra/sweeper", name="absent", node=Conf, provider="absent")
"""


def test_the_example_runs_on_a_python_that_has_nothing(tmp_path: Path, bare_python: Path) -> None:
    """As in a stock image: the table and the values are those of the launcher's own Python.

    Nor has it the plugins of Hydra's that the launcher has, and one of which it uses.
    """
    plugins = write(tmp_path / "plugins", "hydra_plugins/absent/__init__.py")
    write(plugins / "hydra_plugins" / "absent", sweeper=PLUGIN)
    directory = tmp_path / "sweep"
    program = ROOT / "examples" / "train.py"
    subprocess.run(
        [
            *(sys.executable, program, "-m", "hydra/launcher=launchkit_local", "hyperparam2=1,2"),
            *("hydra.launcher.start_method=spawn", f"hydra.sweep.dir={directory}"),
            "hydra/sweeper=absent",
        ],
        check=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{plugins}:{ROOT}"},
        capture_output=True,
    )
    sweep = Sweep.open(directory)
    names = ("progress.csv", "variant.json", ".hydra/config.yaml", ".launchkit/result.json")
    before = [(job.directory / name).read_bytes() for job in sweep.jobs for name in names]
    for job in sweep.jobs:
        jobs.renew(job)
        (job.directory / "progress.csv").unlink()
    _forget_the_launchers_path(sweep)
    here = unpacked(sweep.own / "unpacked", sys_path=[str(program.parent)])
    (pack,) = packs.add(sweep, [[0, 1]], {})
    done = run_bootstrap(bare_python, here, directory, str(pack.num))
    assert (done.returncode, done.stderr) == (0, "")
    for job in sweep.jobs:
        attempt = jobs.read(job.directory)
        assert (attempt.state, attempt.attempt) == (JobState.COMPLETED, 2), job.stderr.read_text()
    after = [(job.directory / name).read_bytes() for job in sweep.jobs for name in names]
    assert [re.sub(rb"(?m)^.*time.*$", b"", text) for text in after] == [
        re.sub(rb"(?m)^.*time.*$", b"", text) for text in before
    ]


def _forget_the_launchers_path(sweep: Sweep) -> None:
    """Keep the job from finding the packages of this machine, where an image has none."""
    path = sweep.own / "payload.pkl"
    line, _, data = path.read_bytes().partition(b"\n")
    path.write_bytes(json.dumps({**json.loads(line), "path": []}).encode() + b"\n" + data)
