"""A sweep gives the same in every mode: files, tables, values, exit codes, last words."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from apps import App, Done
from outside_apps import ENDINGS, ENDS, sweep
from outside_modes import IN_IMAGES, MODES, SSS, OutsideMode, params

from launchkit import load_sweep
from launchkit.job import read

pytestmark = pytest.mark.long
ROOT = Path(__file__).parents[2]
LOCAL = OutsideMode("local", (), {"n_jobs": 2})
TIMES = ("time",)
"""What stands in the names of columns that are of the clock."""
OF_THE_PLACE = ["directory", "sweep", "started", "ended", "seconds", "exp_name"]


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> tuple[App, Done]:
    """The example, and a sweep of it in mode `local`."""
    top = tmp_path_factory.mktemp("example")
    (top / "examples").mkdir()
    shutil.copy(ROOT / "examples" / "train.py", top / "examples" / "app.py")
    shutil.copytree(ROOT / "conf", top / "conf")
    app = App(top / "examples")
    return app, sweep(app, LOCAL, *EXAMPLE, directory="local")


@pytest.fixture(scope="module")
def endings(tmp_path_factory: pytest.TempPathFactory) -> tuple[App, Done]:
    """A program whose jobs end in all ways, and a sweep of it in mode `local`."""
    app = App(tmp_path_factory.mktemp("endings")).write_program(ENDS)
    return app, sweep(app, LOCAL, *ALL_ENDS, directory="local", code=1)


EXAMPLE = ("hyperparam1=something,other", "hyperparam2=1,3")
ALL_ENDS = (
    "hydra/callbacks=launchkit",
    "+end=" + ",".join(f"'{end}'" for end in ENDINGS),
)


def names(done: Done) -> dict[str, list[str]]:
    """Return the names of all that is in the jobs' directories, and beside them."""
    found = {
        job.name: sorted(str(path.relative_to(job)) for path in job.rglob("*")) for job in done.jobs
    }
    return found | {"": sorted(set(os.listdir(done.directory)) - OF_SSS)}


OF_SSS = {"launchkit_sss.sh", "README.txt"}
"""What mode `sss` adds, for the person who carries the folder."""


def rows(job: Path) -> list[dict[str, str]]:
    with (job / "progress.csv").open(encoding="utf-8") as stream:
        found = list(csv.DictReader(stream))
    assert found
    return [
        {key: value for key, value in row.items() if not any(word in key for word in TIMES)}
        for row in found
    ]


def variant(job: Path) -> dict[str, Any]:
    """Return what a job was: all but its name, which nothing else has."""
    return {**json.loads((job / "variant.json").read_text()), "exp_name": None}


def each(done: Done, look: Callable[[Path], Any]) -> list[Any]:
    return [look(job) for job in done.jobs]


def ends(done: Done) -> list[tuple[str, int | None, str | None]]:
    """Return how the jobs have ended."""
    attempts = each(done, read)
    return [
        (known.state.value, known.exit_code, known.error and known.error.last_line)
        for known in attempts
    ]


def tables(done: Done) -> tuple[Any, Any]:
    loaded = load_sweep(done.directory)
    assert not loaded.problems
    of_the_clock = [name for name in loaded.progress if any(word in name for word in TIMES)]
    return (
        loaded.runs.drop(columns=OF_THE_PLACE, errors="ignore").to_csv(),
        loaded.progress.drop(columns=of_the_clock).to_csv(),
    )


def last_words(done: Done, num: int, stream: str) -> str:
    """Return the last line of a job's log, without its time."""
    lines = done.log(num, stream).splitlines()
    return re.sub(r"^\[[^]]*\]", "", lines[-1]) if lines else ""


@pytest.mark.parametrize("mode", params(*MODES, *IN_IMAGES))
def test_the_example(example: tuple[App, Done], mode: OutsideMode) -> None:
    app, local = example
    done = sweep(app, mode, *EXAMPLE, directory=mode.id)
    assert done.states == ["completed"] * 4
    assert done.values == local.values
    assert names(done) == names(local)
    assert each(done, variant) == each(local, variant)
    for name in (".hydra/config.yaml", ".hydra/overrides.yaml"):
        assert each(done, lambda job: (job / name).read_text()) == (  # noqa: B023
            each(local, lambda job: (job / name).read_text())  # noqa: B023
        )
    assert each(done, lambda job: (job / "params.pkl").read_bytes()) == (
        each(local, lambda job: (job / "params.pkl").read_bytes())
    )
    assert each(done, rows) == each(local, rows)
    assert tables(done) == tables(local)
    for job in done.jobs:
        for path in (job, *job.rglob("*")):
            assert (path.stat().st_uid, path.stat().st_gid) == (os.getuid(), os.getgid())


@pytest.mark.parametrize("mode", params(*MODES, *IN_IMAGES))
def test_jobs_that_end_in_all_ways(endings: tuple[App, Done], mode: OutsideMode) -> None:
    app, local = endings
    done = sweep(app, mode, *ALL_ENDS, directory=mode.id, code=1)
    assert len(set(ends(local))) == len(ENDINGS) - 1  # a value that is no value is no failure
    assert ends(done) == ends(local)
    assert names(done) == names(local)
    assert each(done, rows) == each(local, rows)
    assert tables(done) == tables(local)
    for num in range(len(ENDINGS)):
        for stream in ("stdout", "stderr"):
            assert last_words(done, num, stream) == last_words(local, num, stream)
    results = [
        path.read_text() if (path := job / ".launchkit" / "result.json").exists() else None
        for job in done.jobs
    ]
    assert json.loads(results[0]) == ["well", 1.5, None]
    if mode is not SSS:
        said = [line for line in local.process.stderr.splitlines() if line.endswith("]")]
        assert [line for line in done.process.stderr.splitlines() if line.endswith("]")] == said
