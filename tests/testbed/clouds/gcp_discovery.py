"""Google's own descriptions of its APIs, which requests are held against.

They are part of google-api-python-client: whoever asks for what no API has, or sends a field that
there is not, is told so here as by Google, instead of by the first real bill.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import re
import urllib.parse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gcp_fields import masked
from gcp_web import Answer, Problem, Request, bad_request, not_found

# Those that the client libraries add wherever they like.
_ALWAYS = {"alt", "fields", "prettyPrint", "key", "quotaUser", "$.xgafv", "userIp", "oauth_token"}

Do = Callable[..., Any]
"""Takes the request, and the path's parameters by name; returns what JSON is answered."""


@functools.cache
def document(name: str) -> dict[str, Any]:
    """Return the description of an API, such as ``compute.v1``."""
    spec = importlib.util.find_spec("googleapiclient")
    if spec is None or spec.origin is None:
        raise LookupError("google-api-python-client is not installed")
    folder = Path(spec.origin).parent / "discovery_cache" / "documents"
    described: dict[str, Any] = json.loads((folder / f"{name}.json").read_text())
    return described


class Api:
    """An API whose requests are checked; `does` has a function for each method that is played.

    A request to a method that there is but that is not played is answered by 501, so that it is
    seen at once what this testbed lacks. `check` is asked whether who calls may do that, with the
    parameters of the path.
    """

    def __init__(
        self,
        name: str,
        does: Mapping[str, Do],
        check: Callable[[Request, Mapping[str, str]], None] | None = None,
    ) -> None:
        described = document(name)
        self.schemas: dict[str, Any] = described["schemas"]
        self._does = dict(does)
        self._check = check
        self._base = "/" + described["servicePath"]
        self._methods = [
            (method, _compiled(self._base + (method.get("flatPath") or method["path"])))
            for method in _methods(described)
        ]
        if unknown := set(does) - {method["id"] for method, _ in self._methods}:
            raise LookupError(f"{name} has no {', '.join(sorted(unknown))}")

    def room(self, request: Request) -> Answer | None:
        """Answer a request if it is one of this API."""
        for method, pattern in self._methods:
            if method["httpMethod"] == request.method and (
                found := pattern.fullmatch(request.path)
            ):
                return self._answer(method, request, found)
        return None

    def _answer(self, method: dict[str, Any], request: Request, found: re.Match[str]) -> Answer:
        request.action = method["id"]
        do = self._does.get(method["id"])
        if do is None:
            raise Problem(501, f"the testbed does not play {method['id']}", "notImplemented")
        check_query(method, request.query)
        if "request" in method:
            check(self.schemas, {"$ref": method["request"]["$ref"]}, request.json, "resource")
        words = {
            re.sub("([A-Z])", r"_\1", name).lower(): urllib.parse.unquote(value)
            for name, value in found.groupdict().items()
        }
        if self._check is not None:
            self._check(request, words)
        value = do(request, **words)
        if isinstance(value, Answer):
            return value
        return Answer.of(masked(value, request.query.get("fields", "")))


def _methods(described: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = list(described.get("methods", {}).values())
    for resource in described.get("resources", {}).values():
        found += _methods(resource)
    return found


def _compiled(path: str) -> re.Pattern[str]:
    """Compile a path of a description; names of parameters become names of groups.

    ``{+name}`` may have slashes in it, which these APIs write out as ``{x}Id`` in flat paths.
    """
    pieces = re.split(r"\{\+?(\w+)\}", path)
    regex = re.escape(pieces[0])
    for name, rest in zip(pieces[1::2], pieces[2::2], strict=True):
        regex += f"(?P<{name}>[^/:]+)" + re.escape(rest)
    return re.compile(regex)


def check_query(method: Mapping[str, Any], query: Mapping[str, str]) -> None:
    """Raise `Problem` unless a method's query parameters are as they are described."""
    known = method.get("parameters", {})
    for name, value in query.items():
        if name in _ALWAYS:
            continue
        if known.get(name, {}).get("location") != "query":
            raise bad_request(
                f'Invalid JSON payload received. Unknown name "{name}": '
                "Cannot bind query parameter. Field could not be found in request message."
            )
        kind = known[name].get("type")
        if kind == "boolean" and value not in ("true", "false"):
            raise bad_request(f"Invalid value for {name}: {value!r} (a boolean)")
        if kind == "integer" and not re.fullmatch(r"-?\d+", value):
            raise bad_request(f"Invalid value for {name}: {value!r} (an integer)")
    for name, told in known.items():
        if told.get("required") and told["location"] == "query" and name not in query:
            raise bad_request(f"Required parameter: {name}", "required")


def check(schemas: Mapping[str, Any], schema: Mapping[str, Any], value: Any, where: str) -> None:
    """Raise `Problem` unless a value is as its schema says, all the way down.

    Stricter than Google, which forgives a number for a 64-bit integer: those are strings in what
    is read back, and code that compares them has to know.
    """
    while "$ref" in schema:
        schema = schemas[schema["$ref"]]
    kind = schema.get("type", "any")
    if value is None or kind == "any":
        return
    if kind == "object":
        _check_object(schemas, schema, value, where)
    elif kind == "array":
        if not isinstance(value, list):
            raise _wrong(where, value, "an array")
        for number, item in enumerate(value):
            check(schemas, schema["items"], item, f"{where}[{number}]")
    else:
        _check_plain(schema, kind, value, where)


def _check_object(
    schemas: Mapping[str, Any], schema: Mapping[str, Any], value: Any, where: str
) -> None:
    if not isinstance(value, dict):
        raise _wrong(where, value, "an object")
    known = schema.get("properties", {})
    rest = schema.get("additionalProperties")
    for name, item in value.items():
        inner = known.get(name, rest)
        if inner is None:
            raise bad_request(
                f"Invalid JSON payload received. Unknown name \"{name}\" at '{where}': "
                "Cannot find field."
            )
        check(schemas, inner, item, f"{where}.{name}")


def _check_plain(schema: Mapping[str, Any], kind: str, value: Any, where: str) -> None:
    types: dict[str, Any] = {
        "string": str,
        "boolean": bool,
        "integer": int,
        "number": (int, float),
    }
    is_bool = isinstance(value, bool)
    if not isinstance(value, types[kind]) or (is_bool and kind != "boolean"):
        raise _wrong(where, value, f"a {kind}")
    if kind != "string":
        return
    if schema.get("format") in ("int64", "uint64") and not re.fullmatch(r"-?\d+", value):
        raise _wrong(where, value, "a whole number in a string")
    if "enum" in schema and value not in schema["enum"]:
        raise _wrong(where, value, "one of " + ", ".join(schema["enum"]))
    if "pattern" in schema and not re.fullmatch(schema["pattern"], value):
        raise bad_request(
            f"Invalid value for field '{where}': '{value}'. Must be a match of regex "
            f"'{schema['pattern']}'"
        )


def _wrong(where: str, value: Any, wanted: str) -> Problem:
    text = json.dumps(value)
    return bad_request(f"Invalid value at '{where}' ({wanted}), {text[:200]}")


def missing(what: str, name: str) -> Problem:
    """Return the error for a resource of compute that is not there."""
    return not_found(f"The resource '{what}/{name}' was not found")
