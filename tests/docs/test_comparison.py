"""The comparison says what was seen, and what was seen can be seen again."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
COMPARISON = ROOT / "docs" / "comparison"
PAGE: dict[str, Any] = runpy.run_path(str(COMPARISON / "page.py"))
FILES = sorted((COMPARISON / "seen").glob("*.json"))


def probe(seen: Path, *scenarios: str) -> dict[str, Any]:
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    options = ["launchkit", sys.executable, *scenarios, "--seen", str(seen)]
    done = subprocess.run(
        [sys.executable, str(COMPARISON / "probe.py"), *options],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr
    facts: dict[str, Any] = json.loads((seen / "launchkit.json").read_text(encoding="utf-8"))
    return facts


def test_the_tables_are_what_was_seen() -> None:
    for path, text in PAGE["pages"]().items():
        assert path.read_text(encoding="utf-8") == text, "run `python docs/comparison/page.py`"


def test_every_launcher_has_been_tried() -> None:
    assert {path.stem for path in FILES} == set(PAGE["COLUMNS"])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_line_of_the_table_has_been_tried(path: Path) -> None:
    seen = json.loads(path.read_text(encoding="utf-8"))
    assert {row.scenario for row in PAGE["ROWS"]} <= set(seen)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_was_seen_names_no_directory_of_the_machine(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert [place for place in (str(ROOT), "/tmp/trial", "/root/", "/home/") if place in text] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_setting_means_that_there_is_none(path: Path) -> None:
    """What a launcher is not asked for is not among its settings as Hydra lists them."""
    seen = json.loads(path.read_text(encoding="utf-8"))
    listed = {line.partition(":")[0] for line in seen["settings"]["said"].splitlines()}
    asked = {"dry run": "dry_run", "time limit": "timeout", "many failures": "fail_fast"}
    for scenario, name in asked.items():
        there = any(key.startswith(name) for key in listed)
        assert there == bool(seen[scenario]["setting"]), (scenario, listed)


def test_what_was_seen_of_launchkit_is_seen_again(tmp_path: Path) -> None:
    names = ("a job is killed", "only what failed", "gpus")
    again = probe(tmp_path, *names)
    seen = json.loads((COMPARISON / "seen" / "launchkit.json").read_text(encoding="utf-8"))
    rows = {row.scenario: row for row in PAGE["ROWS"]}
    for name in names:
        assert rows[name].cell(again[name]) == rows[name].cell(seen[name])
