"""Whatever Hydra's override grammar allows arrives in the job unchanged."""

from __future__ import annotations

import json
import math
import re
import string
import tempfile
from pathlib import Path
from typing import Any

import hydra
import pytest
from apps import LAUNCHERS, App
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

ECHO = """
container = OmegaConf.to_container(cfg, resolve=False)
Path(HydraConfig.get().runtime.output_dir, "echo.txt").write_text(repr(container))
"""
IMPORTS = """
from pathlib import Path
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf
"""


def quoted(text: str) -> str:
    """Return the override grammar's spelling of a string."""
    # A backslash stands for itself, but for those before a quote or the end.
    escaped = re.sub(r"(\\*)'", r"\1\1\\'", text)
    return "'" + re.sub(r"(\\+)$", r"\1\1", escaped) + "'"


def spelled(value: Any) -> str:
    """Return the override grammar's spelling of a value."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, list):
        return "[" + ",".join(map(spelled, value)) + "]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{spelled(item)}" for key, item in value.items()) + "}"
    return repr(value)


TEXTS = st.text(
    st.characters(blacklist_categories=["Cs", "Cc"], blacklist_characters="$"), max_size=12
)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(10**12), 10**12)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS
    | st.sampled_from(["", " ", "--help", "$(id)", "`id`", ";", "a=b,c", "'", '"', "\\", "ü", "%s"])
)
KEYS = st.text(string.ascii_lowercase, min_size=1, max_size=5).filter(
    lambda key: key not in ("null", "true", "false", "nan", "inf")
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=5,
)


def basic_sweeper_keeps(value: Any) -> bool:
    """Tell whether Hydra's own sweeper, which writes overrides anew, passes a value on.

    It takes some apart: a string of a quote alone, for one.
    """
    parser = OverridesParser.create()
    try:
        line = BasicSweeper.split_arguments(parser.parse_overrides([f"+v={spelled(value)}"]), None)
        return repr(parser.parse_override(line[0][0][0]).value()) == repr(value)
    except HydraException:
        return False


@pytest.mark.parametrize("launcher", LAUNCHERS)
@given(values=st.lists(VALUES.filter(basic_sweeper_keeps), min_size=30, max_size=60))
@settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_value_arrives_as_it_was_written(launcher: str, values: list[Any]) -> None:
    overrides = [f"+v{i}={spelled(value)}" for i, value in enumerate(values)]
    with tempfile.TemporaryDirectory() as directory:
        app = App(Path(directory)).write(ECHO, imports=IMPORTS)
        done = app.sweep("x=1,2,3", *overrides, launcher=launcher)
        echoes = [(job / "echo.txt").read_text() for job in done.jobs]
    expected = {f"v{i}": value for i, value in enumerate(values)}
    assert echoes == [repr({"x": x, **expected}) for x in (1, 2, 3)]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["x=range(3)"], [0, 1, 2]),
        (["x=choice(4,5)"], [4, 5]),
        (["x=sort(3,1,2)"], [1, 2, 3]),
        (["x='a,b',c"], ["a,b", "c"]),
        (["x=[1,2],[3]"], [[1, 2], [3]]),
        (["x={a:1},{a:{b:2}}"], [{"a": 1}, {"a": {"b": 2}}]),
        (["x=1e3,nan,inf"], [1000.0, math.nan, math.inf]),
        (["x=null,true,'true'"], [None, True, "true"]),
        (["x=a b,'  c  '"], ["a b", "  c  "]),
        (["++x=7"], [7]),
        (["~x=0", "+x=8"], None),
        (["db=glob(*)", "x=1"], None),
    ],
)
def test_the_forms_of_sweeps(app: App, arguments: list[str], expected: list[Any] | None) -> None:
    app.config("db/a", "name: a\n").config("db/b", "name: b\n")
    app.write(
        "path = Path(HydraConfig.get().runtime.output_dir, 'x.txt')\n"
        "path.write_text(repr(OmegaConf.to_container(cfg)))",
        config="defaults: [_self_, db: a]\nx: 0\n",
        imports=IMPORTS,
    )
    app.run("-m", "hydra.sweep.dir=basic", *arguments)
    done = app.sweep(*arguments)
    ours = [(job / "x.txt").read_text() for job in done.jobs]
    assert ours == [(app.directory / "basic" / job.name / "x.txt").read_text() for job in done.jobs]
    if expected is not None:
        assert [repr(eval(text, {"nan": math.nan, "inf": math.inf})["x"]) for text in ours] == [
            repr(value) for value in expected
        ]


def test_deletions_and_groups(app: App, launcher: str) -> None:
    app.config("db/a", "name: a\n").config("db/b", "name: b\n")
    app.config("experiment/small", "# @package _global_\nx: 99\n")
    app.write(
        "return OmegaConf.to_container(cfg)",
        config="defaults: [_self_, db: a]\nx: 0\nextra: 1\n",
        imports="from omegaconf import OmegaConf",
    )
    done = app.sweep("+experiment=small", "~extra=1", "db=a,b", launcher=launcher)
    assert done.values == [{"x": 99, "db": {"name": n}} for n in ("a", "b")]


@pytest.mark.skipif(
    hydra.__version__.startswith("1.4"),
    reason="the sweepers of Hydra 1.4.0rc3 take a ~key for ~key=null; write ~key=value there",
)
def test_a_deletion_without_a_value(app: App, launcher: str) -> None:
    app.write("return sorted(cfg)", config="x: 0\nextra: 1\n")
    assert app.sweep("~extra", "x=1,2", launcher=launcher).values == [["x"], ["x"]]


def test_variants_keep_what_was_swept(app: App) -> None:
    app.write("return 0", config="x: 0\nseed: 3\n")
    done = app.sweep("x=1,[2,3],'a b',null", "hydra/callbacks=launchkit")
    variants = [json.loads((job / "variant.json").read_text()) for job in done.jobs]
    assert [variant["x"] for variant in variants] == [1, [2, 3], "a b", None]
    assert [variant["seed"] for variant in variants] == [3] * 4
    assert len({variant["exp_name"] for variant in variants}) == 4
