"""The parameter ``fields`` of Google's APIs: an answer's fields that the client wants to have."""

from __future__ import annotations

import re
from typing import Any

from gcp_web import bad_request

Mask = dict[str, "Mask"]
"""The fields that are wanted, each with what is wanted in it; nothing stands for all."""


def masked(value: Any, fields: str) -> Any:
    """Return an answer with no more than the fields that are asked for.

    Parameters
    ----------
    value
        The whole answer.
    fields
        As Google words it: ``items(name,labels/a),nextPageToken``; empty for all.
    """
    return _masked(value, parse(fields)) if fields and fields != "*" else value


def parse(fields: str) -> Mask:
    """Read a mask; raises `Problem` if it is none."""
    tokens = re.findall(r"[^,()/\s]+|[,()/]", fields)
    mask, rest = _several(tokens)
    if rest:
        raise bad_request(f"Invalid field selection {fields}", "invalidParameter")
    return mask


def _several(tokens: list[str]) -> tuple[Mask, list[str]]:
    mask: Mask = {}
    while tokens:
        tokens = _one(tokens, mask)
        if not tokens or tokens[0] != ",":
            break
        tokens = tokens[1:]
    return mask, tokens


def _one(tokens: list[str], mask: Mask) -> list[str]:
    """Read a field and what is in it into a mask, and return the tokens behind it."""
    name, rest = tokens[0], tokens[1:]
    if name in ",()/":
        raise bad_request(f"Invalid field selection {''.join(tokens)}", "invalidParameter")
    inner = mask.setdefault(name, {})
    if rest[:1] == ["/"] and len(rest) > 1:
        return _one(rest[1:], inner)
    if rest[:1] == ["("]:
        found, rest = _several(rest[1:])
        inner.update(found)
        if rest[:1] != [")"]:
            raise bad_request("Invalid field selection: ) is missing", "invalidParameter")
        rest = rest[1:]
    return rest


def _masked(value: Any, mask: Mask) -> Any:
    if not mask:
        return value
    if isinstance(value, list):
        return [_masked(item, mask) for item in value]
    if not isinstance(value, dict):
        return value
    result = {}
    for key, item in value.items():
        inner = mask.get(key, mask.get("*"))
        if inner is not None:
            result[key] = _masked(item, inner)
    return result
