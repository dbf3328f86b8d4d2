"""``variant.json``: the settings of one run, as JSON that viskit reads without loss.

`encode` says what stands for which value; its table is in `launchkit.logging.encoding`.
viskit flattens nested objects to names such as ``a.b``, and some things get lost on the
way. `write_variant` keeps them:

- An empty object would vanish, and a run without a key matches every filter on it. It
  is written as the text ``"{}"``.
- A key ``"a.b"`` beside a nested ``a: {b: ...}`` would take its place. It is written as
  ``"a.b_2"``, with a warning; the nested one keeps its name.
- A top-level key ``args_data`` would be dropped. It is written as ``args_data_``.
- A variant that is no mapping would abort the load of all runs. It is written as the
  value of a key ``variant``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from launchkit.files import write_atomic
from launchkit.logging.encoding import distinct, encode
from launchkit.logging.warn import warn

__all__ = ["encode", "read_variant", "write_variant"]

PathLike = str | os.PathLike[str]


def write_variant(path: PathLike, variant: Any) -> None:
    """Write the settings of a run, atomically; `variant` itself is not changed.

    Parameters
    ----------
    path
        The file, whose folder is made if it is not there.
    variant
        A mapping, an OmegaConf config or a dataclass; its values can be anything.

    Raises
    ------
    OSError
        If the file cannot be written. The old one is then as it was.
    """
    encoded = encode(variant)
    settings = encoded if isinstance(encoded, dict) else {"variant": encoded}
    if "args_data" in settings:
        settings[distinct("args_data_", settings)] = settings.pop("args_data")
    text = json.dumps(_flattenable(settings), indent=2, sort_keys=True, ensure_ascii=False)
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    # A lone surrogate becomes \udc80, which in JSON is that very character.
    write_atomic(target, f"{text}\n".encode(errors="backslashreplace"))


def read_variant(path: PathLike) -> dict[str, Any] | None:
    """Return the settings in a variant.json, or None if it is missing or broken."""
    try:
        settings = json.loads(Path(path).read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return settings if isinstance(settings, dict) else None


def _flattenable(settings: dict[str, Any]) -> dict[str, Any]:
    """Return settings of which every leaf has a name of its own when flattened."""
    result: dict[str, Any] = {}
    taken: set[str] = set()
    # Plain names come first, so that it is the dotted one that gives way.
    for key in sorted(settings, key=lambda name: ("." in name, name)):
        value = settings[key]
        if isinstance(value, dict):
            value = _flattenable(value) or "{}"
        name = _free_name(key, value, taken, settings)
        if name != key:
            warn("variant: the key %r reads like a nested one; written as %r", key, name)
        result[name] = value
        taken.update(_leaf_names(name, value))
    return result


def _free_name(key: str, value: Any, taken: set[str], settings: dict[str, Any]) -> str:
    name = key
    used = set(settings)
    while not taken.isdisjoint(_leaf_names(name, value)):
        name = distinct(key, used)
        used.add(name)
    return name


def _leaf_names(name: str, value: Any) -> Iterator[str]:
    """Yield the names that flattening gives to the leaves of a value."""
    if not isinstance(value, dict):
        yield name
        return
    for key, child in value.items():
        yield from _leaf_names(f"{name}.{key}", child)
