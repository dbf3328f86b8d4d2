"""What the pages list is what there is."""

from __future__ import annotations

import dataclasses
import inspect
import re
from pathlib import Path

from launchkit.job import Attempt, JobState
from launchkit.logging import Logger
from launchkit.modes.registry import MODES
from launchkit.results import SweepResults

DOCS = Path(__file__).parents[2] / "docs"


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def first_column(text: str) -> set[str]:
    """Return the names in the first column of a table's rows."""
    cells = [line.split(" | ")[0] for line in text.splitlines() if line.startswith("| ")]
    return {name for cell in cells for name in re.findall(r"`(\w+)", cell)}


def test_the_keys_of_a_state_file() -> None:
    table = page("files.md").partition("## state.json")[2].partition("It is replaced")[0]
    assert first_column(table) == {field.name for field in dataclasses.fields(Attempt)}


def test_the_states() -> None:
    table = page("files.md").partition("| state | the job |")[2].partition("\n\n")[0]
    assert first_column(table) == {state.value for state in JobState}


def test_every_mode_has_a_section() -> None:
    text = page("modes.md") + page("outside.md") + page("clouds.md")
    assert set(MODES) <= set(re.findall(r"^## (\w+)$", text, re.MULTILINE))


def test_every_method_of_the_logger_is_there() -> None:
    text = page("logger.md")
    public = {name for name, _ in inspect.getmembers(Logger) if not name.startswith("_")}
    # `get_…` of each setting is said in one word; the check is the callback's.
    spelled = {name.replace("get_snapshot", "set_snapshot") for name in public}
    missing = {name for name in spelled if not re.search(rf"\b{name}\b", text)}
    assert missing <= {"check_snapshot_settings", "get_log_tabular_only", "get_print_table"}


def test_what_load_sweep_returns() -> None:
    table = page("results.md").partition("| attribute | |")[2].partition("\n\n")[0]
    fields = {field.name for field in dataclasses.fields(SweepResults)}
    assert first_column(table) == fields | {"metrics"}
