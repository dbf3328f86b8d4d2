r"""From the value of a metric to the text of a cell, and from cells to a line of CSV.

Readers parse a cell with ``float(cell)`` and take whatever fails for a zero. So:

=========================================== ========================================
value                                       cell
=========================================== ========================================
float, int                                  its repr; ``float(cell)`` gives it back
infinities, not a number, None, ''          ``inf``, ``-inf``, ``nan``
bool                                        ``1`` or ``0``
numpy scalar, tensor or array of one number that number
Decimal, Fraction and other real numbers    the nearest float
text                                        itself, quoted where CSV needs it
anything else                               ``str(value)``, and one warning a type
=========================================== ========================================

NUL and lone surrogates, which no CSV reader takes, are written as ``\x00`` and
``\udc80``; a text of more than 100,000 characters, at 131,072 of which Python's own
reader gives up, is cut off there.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from launchkit.logging.warn import warn

MISSING = "nan"

_LONGEST = 100_000

_warned: set[str] = set()


def cell(value: Any) -> str:
    """Return the text of a metric; never raises, so that no metric kills a run."""
    if isinstance(value, float):
        return float.__repr__(value)
    if value is None:
        return MISSING
    try:
        return _number(value) or _text(value)
    except Exception:  # the value's own methods may raise anything
        return f"<{type(value).__qualname__}>"


def quote(text: str) -> str:
    """Quote a cell if it needs it.

    The csv module leaves a carriage return bare on older Pythons, and a byte order
    mark in the first name would be taken for that of the file.
    """
    if not text or text[0] == "\ufeff" or any(mark in text for mark in ',"\r\n'):
        return '"' + text.replace('"', '""') + '"'
    return text


def join(cells: Iterable[str]) -> str:
    """Join cells to a line, without its end."""
    return ",".join(map(quote, cells))


def _number(value: Any) -> str | None:
    """Return the text of what is a single number, else None."""
    if isinstance(value, int):
        return _integer(value)
    if isinstance(value, str):
        return None
    item = getattr(value, "item", None)
    if callable(item):
        try:
            value = item()
        except Exception:  # many numbers, a tensor without memory, ...
            return None
        if isinstance(value, (float, int)):
            return cell(value)
    if hasattr(type(value), "__float__"):
        return float.__repr__(float(value))
    return None


def _integer(value: int) -> str:
    try:
        return int.__repr__(int(value))
    except ValueError:  # more digits than Python prints
        return "inf" if value > 0 else "-inf"


def _text(value: Any) -> str:
    """Return the text of what is no number; an empty text is a missing value."""
    if isinstance(value, str):
        text = str.__str__(value)
    else:
        text = str(value)
        _warn_once(type(value))
    return text[:_LONGEST].replace("\0", "\\x00") or MISSING


def _warn_once(kind: type) -> None:
    name = f"{kind.__module__}.{kind.__qualname__}"
    if name not in _warned:
        _warned.add(name)
        warn("a metric of type %s is no number: its text is written, and plots show 0", name)
