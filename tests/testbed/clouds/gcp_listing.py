"""Listings of a bucket: prefixes, delimiters, pages."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any

from gcp_objects import Thing
from gcp_web import bad_request

_MOST = 1000


def page(objects: Mapping[str, Thing], query: Mapping[str, str], origin: str) -> dict[str, Any]:
    """Return a page of a listing, as the API shows it.

    Parameters
    ----------
    objects
        What is in the bucket.
    query
        The parameters of the request.
    origin
        Where the API was reached.
    """
    try:
        most = min(int(query.get("maxResults") or _MOST), _MOST)
    except ValueError:
        raise bad_request(f"Invalid value for maxResults: {query['maxResults']}") from None
    entries = _entries(objects, query)
    after = _name_of(query["pageToken"]) if query.get("pageToken") else None
    if after is not None:
        entries = [entry for entry in entries if entry[0] > after]
    shown = entries[:most]
    answer: dict[str, Any] = {"kind": "storage#objects"}
    if items := [thing.resource(origin) for _, thing in shown if thing is not None]:
        answer["items"] = items
    if prefixes := [name for name, thing in shown if thing is None]:
        answer["prefixes"] = prefixes
    if len(entries) > most and shown:
        answer["nextPageToken"] = base64.urlsafe_b64encode(shown[-1][0].encode()).decode()
    return answer


def _entries(
    objects: Mapping[str, Thing], query: Mapping[str, str]
) -> list[tuple[str, Thing | None]]:
    """Return names with their objects, and common prefixes without, in order."""
    prefix = query.get("prefix", "")
    delimiter = query.get("delimiter", "")
    start, end = query.get("startOffset", ""), query.get("endOffset")
    glob = _glob(query["matchGlob"]) if query.get("matchGlob") else None
    trailing = query.get("includeTrailingDelimiter") == "true"
    found: dict[str, Thing | None] = {}
    # Google orders names by their UTF-8 bytes, which is the order of code points.
    for name in sorted(objects):
        if not name.startswith(prefix) or name < start or (end and name >= end):
            continue
        if glob is not None and not glob.fullmatch(name):
            continue
        cut = name.find(delimiter, len(prefix)) if delimiter else -1
        if cut < 0:
            found[name] = objects[name]
            continue
        common = name[: cut + len(delimiter)]
        found.setdefault(common, None)
        if trailing and common == name:
            found[name + "\0"] = objects[name]
    return list(found.items())


def _name_of(token: str) -> str:
    try:
        return base64.urlsafe_b64decode(token.encode()).decode()
    except (binascii.Error, ValueError):
        raise bad_request(f"Invalid page token: {token}") from None


def _glob(pattern: str) -> re.Pattern[str]:
    """Read a glob of the API: ``**`` crosses slashes, ``*`` and ``?`` do not."""
    regex, depth, i = "", 0, 0
    while i < len(pattern):
        char = pattern[i]
        if pattern.startswith("**/", i):
            regex, i = regex + "(?:.*/)?", i + 2
        elif pattern.startswith("**", i):
            regex, i = regex + ".*", i + 1
        elif char == "*":
            regex += "[^/]*"
        elif char == "?":
            regex += "[^/]"
        elif char == "[" and "]" in pattern[i + 2 :]:
            close = pattern.index("]", i + 2)
            inner = pattern[i + 1 : close].replace("\\", "\\\\")
            regex, i = regex + f"[{'^' + inner[1:] if inner[0] in '!^' else inner}]", close
        elif char == "{":
            regex, depth = regex + "(?:", depth + 1
        elif char == "}" and depth:
            regex, depth = regex + ")", depth - 1
        elif char == "," and depth:
            regex += "|"
        elif char == "\\" and i + 1 < len(pattern):
            regex, i = regex + re.escape(pattern[i + 1]), i + 1
        else:
            regex += re.escape(char)
        i += 1
    return re.compile(regex, re.DOTALL)
