"""The return value of a job, kept in its directory."""

from __future__ import annotations

import json
import logging
import math
from typing import Any

from launchkit import files
from launchkit.job import Job

log = logging.getLogger(__name__)


def save(job: Job, value: Any) -> str | None:
    """Keep what a job returned, and return a warning if it could not be kept as it is.

    A value of JSON's own types goes to ``result.json``, any other to ``result.pkl``. One
    that cannot be pickled does not make the job fail: its ``repr`` is kept, with a warning.
    """
    text = _as_json(value)
    if text is not None:
        files.write_atomic(job.own / "result.json", text, mode=0o600)
        return None
    try:
        data = _pickle(value)
    except Exception as error:  # a value's own __reduce__ may raise anything
        warning = (
            f"job {job.num} returned a {type(value).__name__} that cannot be pickled "
            f"({error}); its repr is kept instead"
        )
        log.warning("%s", warning)
        files.write_json(job.own / "result.json", _repr(value), mode=0o600)
        return warning
    files.write_atomic(job.own / "result.pkl", data, mode=0o600)
    return None


def load(job: Job) -> Any:
    """Return what a completed job returned."""
    try:
        return json.loads((job.own / "result.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        import cloudpickle  # noqa: PLC0415 - slow to import, seldom needed

        return cloudpickle.loads((job.own / "result.pkl").read_bytes())


def _as_json(value: Any) -> str | None:
    """Return a plain value as JSON; None where JSON would not give it back as it is."""
    try:
        return json.dumps(value, ensure_ascii=False) + "\n" if _is_plain(value) else None
    except (RecursionError, ValueError):
        # A list within itself; an integer with more digits than Python puts into text.
        return None


def _is_plain(value: Any) -> bool:
    """Tell whether JSON gives `value` back as it is."""
    kind = type(value)
    if value is None or kind in (bool, int, str):
        return True
    if kind is float:
        return math.isfinite(value)
    if kind is list:
        return all(_is_plain(item) for item in value)
    if kind is dict:
        return all(type(k) is str and _is_plain(v) for k, v in value.items())
    return False


def _pickle(value: Any) -> bytes:
    import cloudpickle  # noqa: PLC0415 - slow to import, seldom needed

    data: bytes = cloudpickle.dumps(value)
    return data


def _repr(value: Any) -> str:
    try:
        return repr(value)
    except Exception as error:  # a value's own __repr__ may raise anything
        return f"<{type(value).__name__} whose repr raises {type(error).__name__}>"
