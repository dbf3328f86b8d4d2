"""A small reader with viskit's rules, as far as they are documented, in our own code.

The tests look at what the logger wrote through this reader: what it shows is what a
person sees in viskit.
"""

from __future__ import annotations

import csv
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass
class Run:
    """One experiment: a list of numbers a column, and the flat settings."""

    directory: Path
    progress: dict[str, list[float]]
    settings: dict[str, Any]


def load(*roots: Path) -> list[Run]:
    """Return every run below the given directories; one broken variant stops them all."""
    runs = []
    for root in roots:
        for folder, _, names in os.walk(root):
            described = [name for name in ("variant.json", "params.json") if name in names]
            if "progress.csv" in names and described:
                directory = Path(folder)
                runs.append(
                    Run(
                        directory,
                        read_progress(directory / "progress.csv"),
                        read_settings(directory / described[0]),
                    )
                )
    return runs


def read_progress(path: Path) -> dict[str, list[float]]:
    """Return the columns of a CSV file; whatever is no number counts as zero."""
    columns: dict[str, list[float]] = {}
    with open(path, encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            for name, text in row.items():
                columns.setdefault(name, []).append(as_number(text))
    return columns


def as_number(text: Any) -> float:
    try:
        return float(text)
    except (TypeError, ValueError):
        return 0.0


def read_settings(path: Path) -> dict[str, Any]:
    settings = json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)
    settings.pop("args_data", None)  # an AttributeError for a list stops the load, as in viskit
    settings.setdefault("exp_name", path.parent.name)
    return flatten(settings)


def refuse(constant: str) -> Any:
    raise ValueError(f"{constant} makes viskit call its debugger")


def flatten(settings: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, dict):
            flat.update({f"{key}.{name}": leaf for name, leaf in flatten(value).items()})
        else:
            flat[key] = value
    return flat


def selectable(runs: list[Run]) -> dict[str, set[str]]:
    """Return the settings that a person can group by, with their values as text."""
    values: dict[str, set[str]] = {}
    for run in runs:
        for key, value in run.settings.items():
            if not key.startswith(("seed", "log_dir")):
                values.setdefault(key, set()).add(str(value))
    return {key: texts for key, texts in values.items() if len(texts) > 1}


def select(runs: list[Run], key: str, value: Any) -> list[Run]:
    """Return the runs of one value; a run that lacks the key belongs to every one."""
    return [run for run in runs if key not in run.settings or str(run.settings[key]) == str(value)]
