"""Any value as JSON: what stands in variant.json for what a config can hold.

============================================ ==========================================
value                                        JSON
============================================ ==========================================
None, bool, int, text                        themselves
float                                        itself; ``"inf"``, ``"-inf"``, ``"nan"``
complex, Decimal, Fraction, range            its text, such as ``"(1+2j)"``
class                                        ``{"$class": "module.Class"}``
enum member                                  ``{"$enum": "module.Enum.MEMBER"}``
function, method                             ``{"$function": "module.function"}``
module                                       ``{"$module": "module"}``
functools.partial                            ``{"$partial": function, "args": list,
                                             "keywords": object}``
another callable object                      ``{"$callable": "module.Class"}``
numpy scalar, tensor of no dimension         a number
array, tensor of up to 1000 elements         nested lists
larger array, tensor                         ``{"$array": {"shape": list,
                                             "dtype": text}}``
path                                         its text
list, tuple, deque                           list
set, frozenset                               list, sorted
dict, other mapping, named tuple, dataclass  object
OmegaConf container                          resolved; the raw text of an interpolation
                                             that cannot be, and of ``???``
bytes                                        ``{"$bytes": base64 text}``
date, time, datetime                         ISO 8601 text
timedelta                                    seconds
anything else                                ``{"$repr": text}``, without addresses
an object inside itself, or too deep         ``{"$repr": "..."}``
============================================ ==========================================

A key that is no text becomes one: an enum member its name, anything else its
``str()``. Where two keys become the same text, the later gets a suffix, ``_2``.
The values are only read, never changed.
"""

from __future__ import annotations

import base64
import enum
import functools
import math
import numbers
import os
import re
import types
from collections import deque
from collections.abc import Callable, Mapping, Set
from datetime import date, time, timedelta
from typing import Any

from launchkit.logging import omega
from launchkit.logging.warn import warn

LARGEST_ARRAY = 1000
"""Elements of an array that is written in full."""

_DEEPEST = 64
_LONGEST_REPR = 1000
_MOST_INT_BITS = 10_000  # Python refuses to read integers of more than 4300 digits
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def encode(value: Any) -> Any:
    """Return `value` as what ``json.dumps`` takes, after the table above; never raises."""
    return _Encoder().encode(value)


def distinct(name: str, taken: Set[str] | Mapping[str, Any]) -> str:
    """Return `name`, with a suffix if it is among those `taken`."""
    free, number = name, 1
    while free in taken:
        number += 1
        free = f"{name}_{number}"
    return free


class _Encoder:
    """One encoding, which knows the objects that it is inside of."""

    def __init__(self) -> None:
        self._inside: set[int] = set()

    def encode(self, value: Any) -> Any:
        if id(value) in self._inside or len(self._inside) >= _DEEPEST:
            return {"$repr": "..."}
        self._inside.add(id(value))
        try:
            return self._encode(value)
        except Exception:  # the value's own methods may raise anything
            return _repr(value)
        finally:
            self._inside.discard(id(value))

    def _encode(self, value: Any) -> Any:
        for kinds, rule in _LEAVES:
            if isinstance(value, kinds):
                return rule(value)
        if omega.is_node(value):
            return self.encode(omega.resolved(value))
        if hasattr(value, "shape") and hasattr(value, "dtype") and hasattr(value, "tolist"):
            return self._array(value)
        if isinstance(value, numbers.Number):
            return str(value)
        if isinstance(value, functools.partial):
            return {
                "$partial": self.encode(value.func),
                "args": self.encode(value.args),
                "keywords": self.encode(value.keywords),
            }
        return self._container(value)

    def _container(self, value: Any) -> Any:
        fields = _fields(value)
        if fields is not None:
            return self._object(fields)
        if isinstance(value, (list, tuple, deque)):
            return [self.encode(element) for element in value]
        if isinstance(value, Set):
            return sorted(map(self.encode, value), key=_rank)
        if callable(value):
            named = hasattr(value, "__qualname__")
            return {"$function": _path(value)} if named else {"$callable": _path(type(value))}
        return _repr(value)

    def _object(self, mapping: Mapping[Any, Any]) -> dict[str, Any]:
        """Encode a mapping; keys that are text already keep their names."""
        taken = {key for key in mapping if type(key) is str}
        result: dict[str, Any] = {}
        for key, value in mapping.items():
            name = key if type(key) is str else distinct(_key(key), taken)
            if type(key) is not str and name != _key(key):
                warn("two keys are %r as text: one is written as %r", _key(key), name)
            taken.add(name)
            result[name] = self.encode(value)
        return result

    def _array(self, value: Any) -> Any:
        shape = [int(length) for length in value.shape]
        if math.prod(shape) > LARGEST_ARRAY:
            return {"$array": {"shape": shape, "dtype": str(value.dtype)}}
        if getattr(value.dtype, "kind", "") in {"m", "M"}:  # of times, whose numbers lack a unit
            value = value.astype(str)
        plain = value.tolist()
        return str(value) if type(plain) is type(value) else self.encode(plain)


def _fields(value: Any) -> Mapping[Any, Any] | None:
    """Return what becomes a JSON object: a mapping, or the fields that have names."""
    if isinstance(value, Mapping):
        return value
    if hasattr(type(value), "__dataclass_fields__"):
        from dataclasses import fields  # noqa: PLC0415 - there, since the dataclass is

        names = [field.name for field in fields(value)]
        return {name: getattr(value, name) for name in names if hasattr(value, name)}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return dict(zip(value._fields, value, strict=True))
    return None


def _itself(value: Any) -> Any:
    return value


def _integer(value: int) -> int | str:
    return int(value) if value.bit_length() <= _MOST_INT_BITS else hex(value)


def _float(value: float) -> float | str:
    return float(value) if math.isfinite(value) else float.__repr__(value)


def _member(value: enum.Enum) -> dict[str, Any]:
    return {"$enum": f"{_path(type(value))}.{_key(value)}"}


def _bytes(value: bytes | bytearray | memoryview) -> dict[str, Any]:
    return {"$bytes": base64.b64encode(value).decode()}


def _repr(value: Any) -> dict[str, Any]:
    """Return the repr without addresses, which would make equal settings differ."""
    try:
        text = _ADDRESS.sub("", repr(value))
    except Exception:  # the value's own repr may raise anything
        text = f"<{_path(type(value))}>"
    return {"$repr": text[:_LONGEST_REPR]}


def _path(value: Any) -> str:
    """Return the module and name of a class or a function."""
    return f"{getattr(value, '__module__', None) or 'builtins'}.{value.__qualname__}"


def _key(key: Any) -> str:
    """Return a key as text."""
    try:
        if isinstance(key, enum.Enum):
            return key.name or str(key.value)
        if isinstance(key, str):
            return str.__str__(key)
        if isinstance(key, bytes):
            return key.decode(errors="backslashreplace")
        return _path(key) if isinstance(key, type) else _ADDRESS.sub("", str(key))
    except Exception:  # the key's own methods may raise anything
        return f"<{_path(type(key))}>"


def _rank(encoded: Any) -> tuple[int, float, str]:
    """Order the elements of a set: numbers first, then the rest by their text."""
    if isinstance(encoded, (int, float)) and abs(encoded) < 1 << 53:
        return 0, encoded, ""
    return 1, 0, str(encoded)


_LEAVES: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
    (enum.Enum, _member),
    ((bool, types.NoneType), _itself),
    (int, _integer),
    (float, _float),
    (str, str.__str__),
    (range, str),
    ((bytes, bytearray, memoryview), _bytes),
    ((date, time), lambda value: value.isoformat()),
    (timedelta, timedelta.total_seconds),
    (os.PathLike, os.fsdecode),
    (types.ModuleType, lambda module: {"$module": module.__name__}),
    (types.GenericAlias, _repr),
    (type, lambda kind: {"$class": _path(kind)}),
)
