"""The conditions of IAM bindings: the part of their language that is about names."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gcp_web import Problem, bad_request


@dataclass(frozen=True)
class Deed:
    """What somebody wants to do to what: the things that a condition may speak of."""

    permission: str
    name: str = ""
    kind: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)


Value = Callable[[Deed], Any]

_TOKEN = re.compile(
    r"""\s*(?:"(?P<double>(?:[^"\\]|\\.)*)" | '(?P<single>(?:[^'\\]|\\.)*)'
    | (?P<mark>&&|\|\||==|!=|[!(),.]) | (?P<word>[A-Za-z_]\w*))""",
    re.VERBOSE,
)


def compiled(expression: str) -> Value:
    """Read a condition.

    Returns
    -------
    callable
        Says of a deed whether the condition holds.

    Raises
    ------
    Problem
        If it is none, or says what is not played here.
    """
    reader = _Reader(expression)
    value = reader.any()
    if reader.tokens:
        raise reader.error()
    return value


class _Reader:
    def __init__(self, expression: str) -> None:
        self._expression = expression
        self.tokens = self._split(expression.rstrip())

    def _split(self, text: str) -> list[tuple[str, str]]:
        tokens, at = [], 0
        while at < len(text):
            found = _TOKEN.match(text, at)
            if found is None:
                raise self.error()
            kind = found.lastgroup or ""
            value = found[kind]
            if kind in ("double", "single"):
                kind, value = "text", re.sub(r"\\(.)", r"\1", value)
            tokens.append((kind, value))
            at = found.end()
        return tokens

    def error(self) -> Problem:
        return bad_request(f"Invalid condition expression: {self._expression}")

    def _take(self, *marks: str) -> str:
        """Return the next token if it is one of these marks; nothing if it is not."""
        if self.tokens and self.tokens[0][0] == "mark" and self.tokens[0][1] in marks:
            return self.tokens.pop(0)[1]
        return ""

    def _need(self, mark: str) -> None:
        if not self._take(mark):
            raise self.error()

    def _word(self) -> str:
        if not self.tokens or self.tokens[0][0] != "word":
            raise self.error()
        return self.tokens.pop(0)[1]

    def any(self) -> Value:
        values = [self._all()]
        while self._take("||"):
            values.append(self._all())
        return values[0] if len(values) == 1 else lambda deed: any(v(deed) for v in values)

    def _all(self) -> Value:
        values = [self._comparison()]
        while self._take("&&"):
            values.append(self._comparison())
        return values[0] if len(values) == 1 else lambda deed: all(v(deed) for v in values)

    def _comparison(self) -> Value:
        left = self._one()
        sign = self._take("==", "!=")
        if not sign:
            return left
        right = self._one()
        return lambda deed: (left(deed) == right(deed)) == (sign == "==")

    def _one(self) -> Value:
        if self._take("!"):
            value = self._one()
            return lambda deed: not value(deed)
        if self._take("("):
            value = self.any()
            self._need(")")
        elif self.tokens and self.tokens[0][0] == "text":
            text = self.tokens.pop(0)[1]
            value = lambda _deed: text  # noqa: E731 - as short as the others
        else:
            value = self._attribute()
        while self._take("."):
            value = self._method(value)
        return value

    def _attribute(self) -> Value:
        thing = self._word()
        self._need(".")
        what = f"{thing}.{self._word()}"
        if what == "api.getAttribute":
            name, default = self._arguments(2)
            return lambda deed: deed.attributes.get(name, default)
        known: dict[str, Value] = {
            "resource.name": lambda deed: deed.name,
            "resource.type": lambda deed: deed.kind,
            "resource.service": lambda deed: deed.kind.partition("/")[0],
        }
        if what not in known:
            raise self.error()
        return known[what]

    def _method(self, value: Value) -> Value:
        name = self._word()
        (text,) = self._arguments(1)
        methods: dict[str, Value] = {
            "startsWith": lambda deed: value(deed).startswith(text),
            "endsWith": lambda deed: value(deed).endswith(text),
            "extract": lambda deed: _extracted(value(deed), text),
        }
        if name not in methods:
            raise self.error()
        return methods[name]

    def _arguments(self, many: int) -> list[str]:
        self._need("(")
        texts: list[str] = []
        while len(texts) < many:
            if texts:
                self._need(",")
            if not self.tokens or self.tokens[0][0] != "text":
                raise self.error()
            texts.append(self.tokens.pop(0)[1])
        self._need(")")
        return texts


def _extracted(text: str, template: str) -> str:
    """Return what stands in a text where a template has its one pair of braces."""
    before, _, rest = template.partition("{")
    after = rest.partition("}")[2]
    start = text.find(before)
    if start < 0:
        return ""
    found = text[start + len(before) :]
    if not after:
        return found
    return found[: found.find(after)] if after in found else ""
