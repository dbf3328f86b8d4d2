"""Whether a body is what the API says that it takes, by Google's own description of it."""

from __future__ import annotations

import difflib
import functools
import json
from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Any

_KINDS: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
}


def problems(body: Any, schema: str = "Instance") -> list[str]:
    """Return what is wrong with a body, a phrase each that begins with the field.

    Parameters
    ----------
    body
        What is to be sent.
    schema
        The name of its schema in the compute API.
    """
    return list(_problems(body, {"$ref": schema}, ""))


@functools.cache
def _schemas() -> Mapping[str, Any]:
    folder = resources.files("googleapiclient.discovery_cache.documents")
    text = (folder / "compute.v1.json").read_text(encoding="utf-8")
    schemas: Mapping[str, Any] = json.loads(text)["schemas"]
    return schemas


def _problems(value: Any, schema: Mapping[str, Any], where: str) -> Iterator[str]:
    if "$ref" in schema:
        schema = _schemas()[schema["$ref"]]
    kind = str(schema.get("type"))
    if schema.get("readOnly"):
        yield f"{where} is the provider's to say"
    elif kind == "object":
        yield from _of_an_object(value, schema, where)
    elif kind == "array":
        if not isinstance(value, list):
            yield f"{where} is {value!r}; it must be a list"
            return
        for i, each in enumerate(value):
            yield from _problems(each, schema["items"], f"{where}[{i}]")
    elif kind in _KINDS:
        if not isinstance(value, _KINDS[kind]) or (kind != "boolean" and isinstance(value, bool)):
            yield f"{where} is {value!r}; it must be of type {kind}"
        elif "enum" in schema and value not in schema["enum"]:
            yield f"{where} is {value!r}; it must be one of {', '.join(schema['enum'])}"
        elif schema.get("format") in ("int64", "uint64") and not _is_whole(value):
            yield f"{where} is {value!r}; it must be the digits of a whole number"


def _of_an_object(value: Any, schema: Mapping[str, Any], where: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{where or 'it'} is {value!r}; it must have a value a field"
        return
    known = schema.get("properties", {})
    others = schema.get("additionalProperties")
    for name, each in value.items():
        field = f"{where}.{name}" if where else name
        if name in known or others is not None:
            yield from _problems(each, known.get(name, others), field)
        else:
            near = difflib.get_close_matches(name, known, 3) or sorted(known)
            yield f"{field} is no field that there is; there are {', '.join(near)}"


def _is_whole(value: Any) -> bool:
    return isinstance(value, str) and value.lstrip("-").isdigit()
