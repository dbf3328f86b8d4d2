"""What is said of two configs that differ, a line a key."""

from __future__ import annotations

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from hydra_plugins.launchkit_launcher import _differences
from hydra_plugins.launchkit_launcher._differences import Before
from hydra_plugins.launchkit_launcher._recipe import Recipe, pickled
from hydra_plugins.launchkit_launcher._task import HydraTask
from launchkit import payload
from launchkit.job import Job
from launchkit.sweep import Sweep


@pytest.mark.parametrize(
    ("before", "now", "lines"),
    [
        ("a: 1\nb: 2\n", "b: 2\na: 1\n", []),
        ("a: 1e-3\n", "a: 0.001\n", []),
        ("a: 1 # so\n", "a: 1\n", []),
        ("a: 1\n", "a: '1'\n", ['a was 1, now "1"']),
        ("a: 1\n", "a: 1.0\n", ["a was 1, now 1.0"]),
        ("a: true\n", "a: 1\n", ["a was true, now 1"]),
        ("a: {b: {c: 1}}\n", "a: {b: {c: null}}\n", ["a.b.c was 1, now null"]),
        ("a: {b: 1}\n", "a: {}\n", ["a.b is gone; it was 1", "a is new: {}"]),
        ("a: [1, {b: 2}]\n", "a: [1, {b: 3}, 4]\n", ["a[1].b was 2, now 3", "a[2] is new: 4"]),
        ("a: ${b}\nb: 1\n", "a: ${c}\nb: 1\n", ['a was "${b}", now "${c}"']),
        ("db: {password: hunter2}\n", "db: {password: hunter3}\n", ["db.password has changed"]),
        ("secrets: {x: abc}\n", "secrets: {x: abcd, y: efg}\n",
         ["secrets.x has changed", 'secrets.y is new: "***"']),
        (f"a: {'x' * 90}1\n", f"a: {'x' * 90}2\n", ["a has changed"]),
    ],
)  # fmt: skip
def test_the_lines_of_two_configs(before: str, now: str, lines: list[str]) -> None:
    assert list(_differences._changes(before, now).values()) == lines


@pytest.mark.parametrize(
    ("override", "key", "touches"),
    [
        ("a=1", "a", True),
        ("+a=1", "a.b", True),
        ("~a", "a[0]", True),
        ("++a.b=1", "a", True),
        ("a.b=1", "a.c", False),
        ("ab=1", "a", False),
        ("a=1", "ab", False),
        ("a.b=1", "a.b.c", True),
        ("a=1", "", True),
    ],
)
def test_which_override_may_change_which_key(override: str, key: str, touches: bool) -> None:
    assert _differences._touches(override, key) is touches


def recipes(count: int, base: dict[str, object]) -> dict[int, Recipe]:
    own = {"hydra": {"job": {"name": "app", "override_dirname": "${a}"}, "overrides": {"task": []}}}
    config = pickled(OmegaConf.create({**base, **own}))
    return {
        num: Recipe(config, (f"x={num}", "c.d=5"), (f"x={num}", "c.d=5")) for num in range(count)
    }


def begun(directory: Path, base: dict[str, object], count: int = 3) -> Sweep:
    sweep = Sweep.create(directory / "sweep", mode="local", settings={}, command=["app.py"])
    sweep.add(Job(num, (f"x={num}",), sweep.directory / str(num)) for num in range(count))
    payload.save(sweep, HydraTask(len, _Context(), recipes(count, base)))
    return sweep


class _Context:
    """What stands for Hydra's context."""


def test_a_key_that_the_jobs_set_themselves_is_no_difference(tmp_path: Path) -> None:
    sweep = begun(tmp_path, {"x": 0, "a": 1, "c": {"d": 1, "e": 2}})
    now = recipes(3, {"x": 9, "a": 1, "c": {"d": 7, "e": 2}})
    before = Before(sweep)
    assert [before.difference(job, now[job.num]) for job in sweep.jobs] == ["", "", ""]
    now = recipes(3, {"x": 9, "a": 1, "c": {"d": 7, "e": 3}})
    said = {before.difference(job, now[job.num]) for job in sweep.jobs}
    assert said == {"another config\n  c.e was 2, now 3"}


def test_what_many_jobs_share_is_compared_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = begun(tmp_path, {"x": 0, "a": 1, "c": {"d": 1}}, count=50)
    now = recipes(50, {"x": 0, "a": 2, "c": {"d": 1}})
    composed = []
    monkeypatch.setattr(Recipe, "compose", composed.append)
    before = Before(sweep)
    said = {before.difference(job, now[job.num]) for job in sweep.jobs}
    assert said == {"another config\n  a was 1, now 2"}
    assert not composed
