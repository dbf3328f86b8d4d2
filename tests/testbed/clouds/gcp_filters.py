"""The parameter ``filter`` of the compute API: which resources of a list are wanted."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from gcp_web import Problem, bad_request

Resource = Mapping[str, Any]
Test = Callable[[Resource], bool]

_TOKEN = re.compile(
    r"""\s*(?:(?P<mark>[()]) | (?P<sign>!=|<=|>=|=|<|>|:) | "(?P<double>(?:[^"\\]|\\.)*)"
    | '(?P<single>(?:[^'\\]|\\.)*)' | (?P<word>[^\s()=!<>:"']+(?::(?=\d)[^\s()"']*)?))""",
    re.VERBOSE,
)


def compiled(text: str, known: Mapping[str, Any] | None = None) -> Test:
    """Read a filter.

    Parameters
    ----------
    text
        Such as ``labels.a = "b" AND status != RUNNING``, or in the older form
        ``name eq "lk-.*"``; empty lets all through.
    known
        The properties of the resource's schema; no other field may be named.

    Returns
    -------
    callable
        Says of a resource whether it is wanted.

    Raises
    ------
    Problem
        If it is no filter.
    """
    if not text.strip():
        return lambda _resource: True
    return _Reader(text, known).read()


class _Reader:
    def __init__(self, text: str, known: Mapping[str, Any] | None) -> None:
        self._text = text
        self._known = known
        self._tokens = self._split(text)

    def _split(self, text: str) -> list[tuple[str, str]]:
        tokens, at = [], 0
        while at < len(text.rstrip()):
            found = _TOKEN.match(text, at)
            if found is None:
                raise self._error()
            kind = found.lastgroup or ""
            value = found[kind]
            if kind in ("double", "single"):
                kind, value = "quoted", re.sub(r"\\(.)", r"\1", value)
            tokens.append((kind, value))
            at = found.end()
        return tokens

    def _error(self) -> Problem:
        return bad_request(
            f"Invalid value for field 'filter': '{self._text}'. Invalid list filter expression."
        )

    def read(self) -> Test:
        test = self._any()
        if self._tokens:
            raise self._error()
        return test

    def _next_is(self, word: str) -> bool:
        return bool(self._tokens) and self._tokens[0] == ("word", word)

    def _any(self) -> Test:
        tests = [self._all()]
        while self._next_is("OR"):
            self._tokens.pop(0)
            tests.append(self._all())
        return lambda resource: any(test(resource) for test in tests)

    def _all(self) -> Test:
        tests = [self._one()]
        while self._tokens and self._tokens[0] != ("mark", ")") and not self._next_is("OR"):
            # Parts that stand beside each other are joined by AND as well.
            if self._next_is("AND"):
                self._tokens.pop(0)
            tests.append(self._one())
        return lambda resource: all(test(resource) for test in tests)

    def _one(self) -> Test:
        if not self._tokens:
            raise self._error()
        if self._next_is("NOT"):
            self._tokens.pop(0)
            test = self._one()
            return lambda resource: not test(resource)
        if self._tokens[0] == ("mark", "("):
            self._tokens.pop(0)
            test = self._any()
            if not self._tokens or self._tokens.pop(0) != ("mark", ")"):
                raise self._error()
            return test
        return self._comparison()

    def _comparison(self) -> Test:
        if len(self._tokens) < 3:
            raise self._error()
        (kind, field), (kind2, sign), (kind3, value) = self._tokens[:3]
        del self._tokens[:3]
        signs = ("eq", "ne") if kind2 == "word" else ("=", "!=", "<", ">", "<=", ">=", ":")
        if kind != "word" or sign not in signs or kind3 not in ("word", "quoted"):
            raise self._error()
        if self._known is not None and field.partition(".")[0] not in self._known:
            raise self._error()
        return lambda resource: _holds(_value(resource, field), sign, value)


def _value(resource: Any, field: str) -> Any:
    """Return a field of a resource; a label's name may have no dot, but everything else."""
    for name in field.split("."):
        if not isinstance(resource, Mapping) or name not in resource:
            return None
        resource = resource[name]
    return resource


def _holds(mine: Any, sign: str, wanted: str) -> bool:
    if mine is None:
        return sign in ("!=", "ne")
    text = str(mine).lower() if isinstance(mine, bool) else str(mine)
    if sign in ("eq", "ne"):
        try:
            return (re.fullmatch(wanted, text) is not None) == (sign == "eq")
        except re.error:
            raise bad_request(f"Invalid value for field 'filter': '{wanted}' is no regex") from None
    if sign == ":":
        return wanted == "*" or _has(text, wanted)
    if sign in ("=", "!="):
        return _like(text, wanted) == (sign == "=")
    left, right = (float(text), float(wanted)) if _number(text, wanted) else (text, wanted)
    below, same = left < right, left == right  # type: ignore[operator]  # both of one type
    return {"<": below, "<=": below or same, ">": not (below or same), ">=": not below}[sign]


def _has(text: str, wanted: str) -> bool:
    if wanted.endswith("*"):
        return text.lower().startswith(wanted[:-1].lower())
    return wanted.lower() in text.lower()


def _like(text: str, wanted: str) -> bool:
    pattern = ".*".join(re.escape(piece) for piece in wanted.split("*"))
    return re.fullmatch(pattern, text) is not None


def _number(*texts: str) -> bool:
    return all(re.fullmatch(r"-?\d+(\.\d+)?", text) for text in texts)
