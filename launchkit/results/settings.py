"""A run's settings: variant.json or params.json, flattened, and the job's override strings.

A nested key becomes `a.b`. A list becomes its JSON text, so that a column of lists can be
compared and grouped; so does an empty dict. rllab's top-level `args_data` (a pickled
call, unreadable here) is left out.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

NON_FINITE = {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}
_WORDS = {"true": True, "false": False, "null": None}
_INTEGER = re.compile(r"[+-]?[0-9]+")
_NUMBER = re.compile(
    r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|[+-]?(inf|nan)", re.IGNORECASE
)


def read_settings(directory: str) -> tuple[dict[str, Any], list[str]]:
    """Read the flattened settings of a run.

    Returns
    -------
    dict, list of str
        The settings, empty if there are none; and why a file could not be used.
    """
    problems: list[str] = []
    for name in ("variant.json", "params.json"):
        try:
            data = read_bytes(os.path.join(directory, name))  # noqa: PTH118 - a Path costs more
        except FileNotFoundError:
            continue
        except OSError as error:
            problems.append(f"{name} cannot be read: {error.strerror}")
            continue
        try:
            value = _object(data)
        except ValueError as error:
            problems.append(f"{name} {error}")
            continue
        value.pop("args_data", None)
        flat, doubled = flatten(value)
        problems += [f"{name} has the key {key!r} twice, flat and nested" for key in doubled]
        return flat, problems
    return {}, problems


def read_bytes(path: str) -> bytes:
    """Return the content of a small file; a third of what a `Path` takes for it."""
    with open(path, "rb", buffering=0) as stream:  # noqa: PTH123 - see above
        return stream.readall()


def flatten(nested: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Flatten nested dicts to `a.b` keys.

    Returns
    -------
    dict, list of str
        The flat dict; and the keys that came up twice, of which the first is kept.
    """
    flat: dict[str, Any] = {}
    doubled: list[str] = []
    waiting = [("", nested)]
    while waiting:
        prefix, level = waiting.pop()
        for name, value in level.items():
            key = prefix + name
            if isinstance(value, dict) and value:
                waiting.append((key + ".", value))
            elif key in flat:
                doubled.append(key)
            elif isinstance(value, list | dict):
                flat[key] = json.dumps(value)
            else:
                flat[key] = value
    return flat, doubled


def parse_overrides(overrides: Iterable[str]) -> dict[str, str | bool]:
    """Split override strings into the name of the setting and the text of its value.

    `+` and `++` are left out of the name; a deletion `~key` has the value True.
    """
    pairs: dict[str, str | bool] = {}
    for override in overrides:
        name, equals, text = override.partition("=")
        name = name.strip()
        if name.startswith("~"):
            pairs[name] = True
        elif equals:
            pairs[name.lstrip("+")] = text.strip()
    return pairs


def unquote(text: str) -> str:
    """Return the text of an override's value without its quotes."""
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1].replace("\\" + text[0], text[0])
    return text


def typed(text: str) -> Any:
    """Return the value that Hydra reads in an override's text, if it is a plain one."""
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _NUMBER.fullmatch(text):
        return float(text)
    return unquote(text)


def restore_non_finite(values: list[Any]) -> list[Any]:
    """Turn the texts `inf`, `-inf`, `nan` of an otherwise numeric column into floats."""
    texts = False
    for value in values:
        if isinstance(value, str):
            if value not in NON_FINITE:
                return values
            texts = True
        elif isinstance(value, bool):
            return values
    if not texts:
        return values
    return [NON_FINITE[value] if isinstance(value, str) else value for value in values]


def _object(data: bytes) -> dict[str, Any]:
    if not data.strip(b" \t\r\n\0"):
        raise ValueError("is empty")
    try:
        value = json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8 text") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"is broken or cut off: {error}") from None
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError(f"holds a {type(value).__name__}, not an object")
    return value
