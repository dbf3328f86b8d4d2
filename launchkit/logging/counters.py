"""The columns that count: ``epoch``, ``iteration`` and the like, where they only go up."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left

NAMES = (
    "epoch",
    "epochs",
    "iteration",
    "iterations",
    "itr",
    "iter",
    "global_step",
    "step",
    "total_steps",
    "num_steps_total",
    "total_timesteps",
    "timestep",
    "timesteps",
    "update",
    "episode",
    "round",
    "generation",
)
"""Names of counters, the likeliest first; in any case, and with any prefix such as ``trainer/``."""


class Counter:
    """A column of a file that counts: what stands in which of its rows.

    Parameters
    ----------
    name
        The column's name.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.gaps = False
        self._values = array("d")
        self._rows = array("q")
        self._dumped = -math.inf

    @property
    def has_values(self) -> bool:
        """Whether there is a value in any row."""
        return bool(self._values)

    @property
    def largest(self) -> float:
        """The value in the last row that has one."""
        return self._values[-1]

    def add(self, row: int, cell: bytes) -> bool:
        """Take in the raw cell of the next row, and tell whether the column still counts."""
        value = _number(cell.strip(b'"'))
        if value is None:
            self.gaps = True
            return True
        if self._values and value <= self._values[-1]:
            return False
        self._values.append(value)
        self._rows.append(row)
        return True

    def read(self, cells: dict[str, str]) -> float | None:
        """Return the value in a row to be dumped, or None if there is none."""
        text = cells.get(self.name)
        return None if text is None else _number(text)

    def goes_up(self, value: float) -> bool:
        """Tell whether a row to be dumped is above the dumped one before it."""
        before, self._dumped = self._dumped, value
        return value > before

    def begin_anew(self) -> None:
        """Let the next row to be dumped have any value."""
        self._dumped = -math.inf

    def after(self, value: float) -> int:
        """Return the index of the file's row that comes after those up to `value`."""
        at = bisect_left(self._values, value)
        return self._rows[at] + (self._values[at] == value)

    def is_in(self, row: int) -> bool:
        """Tell whether a row of the file has a value."""
        at = bisect_left(self._rows, row)
        return at < len(self._rows) and self._rows[at] == row


class Counters:
    """The columns of a file that may count, while its rows are read one after the other."""

    def __init__(self) -> None:
        self._live: list[tuple[int, Counter]] = []
        self._rows = 0

    def begin(self, columns: list[str]) -> None:
        """Take the names of the columns."""
        likely = [
            (rank, prefixed, index, name)
            for index, name in enumerate(columns)
            for rank, prefixed in _rank(name)
        ]
        self._live = [(index, Counter(name)) for _, _, index, name in sorted(likely)]

    def add(self, cells: list[bytes]) -> None:
        """Take the raw cells of the next row."""
        for live in self._live:
            index, counter = live
            if not counter.add(self._rows, cells[index]):
                # Another list, since this one is being read.
                self._live = [other for other in self._live if other is not live]
        self._rows += 1

    def found(self) -> list[Counter]:
        """Return those that go up from row to row, those without gaps first."""
        counters = [counter for _, counter in self._live if counter.has_values]
        return sorted(counters, key=lambda counter: counter.gaps)


def _rank(name: str) -> list[tuple[int, bool]]:
    """Return how likely a column of this name counts, and whether it has a prefix."""
    prefix, _, last = name.rpartition("/")
    plain = last.strip().lower().replace(" ", "_").replace("-", "_")
    return [(NAMES.index(plain), bool(prefix))] if plain in NAMES else []


def _number(text: str | bytes) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
