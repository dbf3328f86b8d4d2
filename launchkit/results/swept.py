"""Which settings differ between the loaded runs, and the value of each in each run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from launchkit.results.settings import parse_overrides, typed, unquote

MISSING = object()

# Names of a run rather than settings of it: they differ always, and say nothing.
IDENTIFIERS = frozenset(
    {
        *("exp_name", "exp_id", "run_name", "run_id", "trial_name", "trial_id"),
        *("unique_id", "uuid", "timestamp", "script_name"),
        *("log_dir", "logdir", "base_log_dir", "output_dir", "run_dir", "snapshot_dir"),
    }
)

Settings = dict[str, Any]


def add_overrides(settings: list[Settings], overrides: list[tuple[str, ...]]) -> list[str]:
    """Add the overridden keys that the settings of a run lack, and return all such keys.

    A job that wrote no variant.json yet, or a config group's choice, has only the text of
    its override: that is typed where the key is a value in another run, or no run tells.
    """
    parsed = [parse_overrides(texts) for texts in overrides]
    keys = list(dict.fromkeys(key for pairs in parsed for key in pairs))
    none_known = not any(settings)
    leaves = {key for key in keys if none_known or any(key in known for known in settings)}
    for known, pairs, texts in zip(settings, parsed, overrides, strict=True):
        for key in keys:
            value = pairs.get(key)
            if key.startswith("~"):
                if texts:
                    known[key] = key in pairs
            elif key not in known and isinstance(value, str):
                known[key] = typed(value) if key in leaves else unquote(value)
    return keys


def differing(settings: Iterable[Settings], keys: Iterable[str]) -> list[str]:
    """Return the keys that have more than one value in the runs that have them."""
    found = []
    rows = list(settings)
    for key in keys:
        distinct: set[Any] = set()
        for known in rows:
            value = known.get(key, MISSING)
            if value is not MISSING:
                distinct.add(_comparable(value))
            if len(distinct) > 1:
                found.append(key)
                break
    return found


def is_identifier(key: str) -> bool:
    """Tell whether a setting names its run, as `exp_name` does."""
    return key.rpartition(".")[2] in IDENTIFIERS


def _comparable(value: Any) -> Any:
    """Return what is equal for equal values: NaN to NaN, but True not to 1."""
    if isinstance(value, bool):
        return repr(value)
    return "nan" if value != value else value  # noqa: PLR0124 - NaN
