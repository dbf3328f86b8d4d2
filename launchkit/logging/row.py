"""The row that is being recorded: the cells so far, and the prefixes of their names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from launchkit.logging.cells import cell


class Row:
    """The metrics that the next dump writes.

    A value becomes text when it is recorded: an array or a tensor that is changed in
    place afterwards does not change the row.
    """

    def __init__(self) -> None:
        self.cells: dict[str, str] = {}
        self.prefixes: list[str] = []
        self._prefix = ""

    def push_prefix(self, prefix: str) -> None:
        """Put `prefix` before the names that are recorded from now on."""
        self.prefixes.append(prefix)
        self._prefix = "".join(self.prefixes)

    def pop_prefix(self) -> None:
        """Take back the last prefix; raises IndexError if there is none."""
        self.prefixes.pop()
        self._prefix = "".join(self.prefixes)

    def record(self, metrics: Mapping[Any, Any], prefix: str | None = None) -> None:
        """Add metrics, or replace those of the same name."""
        start = self._prefix if prefix is None else self._prefix + prefix
        try:
            # Most names are text and most values floats; their way is a short one.
            new = {
                start + name: repr(value) if type(value) is float else cell(value)
                for name, value in metrics.items()
            }
        except TypeError:
            new = {start + _name(name): cell(value) for name, value in metrics.items()}
        if self.cells:
            self.cells.update(new)
        else:
            self.cells = new


def _name(name: Any) -> str:
    """Return the name of a metric as plain text."""
    return str.__str__(name) if isinstance(name, str) else str(name)
