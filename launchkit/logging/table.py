"""Plain text tables: the logger's key and value columns, the launcher's summary."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

_GAP = "  "


def format_table(rows: Iterable[Sequence[Any]], headers: Sequence[str] | None = None) -> str:
    """Lay out rows as aligned plain text.

    Parameters
    ----------
    rows
        The cells, a sequence a row. A short row is filled with empty cells. A column of
        which every cell is a number is aligned to the right.
    headers
        The names of the columns, above a rule. Without them a rule stands above and
        below the rows, as in the logger's table of a dumped row.

    Returns
    -------
    str
        The lines of the table, without a newline at the end.

    Examples
    --------
    >>> print(format_table([("a", 1), ("b", 10)], headers=["job", "loss"]))
    job  loss
    ---  ----
    a       1
    b      10
    """
    values = [list(row) for row in rows]
    width = max((len(row) for row in [*values, headers or []]), default=0)
    columns = [[row[i] if i < len(row) else "" for row in values] for i in range(width)]
    titles = [*(headers or []), *[""] * width][:width]
    # Only a table with headers aligns numbers: the values of a dumped row have
    # nothing in common that would be read down the column.
    laid_out = [
        _lay_out(column, title, to_right=headers is not None and _is_numeric(column))
        for column, title in zip(columns, titles, strict=True)
    ]
    lines = [_GAP.join(cells).rstrip() for cells in zip(*laid_out, strict=True)]
    if not lines:
        return ""
    title_line, rule, *body = lines
    return "\n".join([rule, *body, rule] if headers is None else [title_line, rule, *body])


class KeyValueTable:
    """The two-column table of a dumped row: the text of `format_table`, kept quick.

    Rows of a run mostly have the same keys, so the key column is laid out once.
    """

    def __init__(self) -> None:
        self._keys: tuple[str, ...] | None = None
        self._padded: list[str] = []
        self._rule = ""

    def render(self, cells: dict[str, str]) -> str:
        """Return the table of `cells`, which must not be empty."""
        keys = tuple(cells)
        if keys != self._keys:
            self._lay_out_keys(keys)
        values = [_one_line(value) for value in cells.values()]
        rule = self._rule + "-" * max(map(len, values))
        body = "\n".join(map(str.__add__, self._padded, values))
        return f"{rule}\n{body}\n{rule}"

    def _lay_out_keys(self, keys: tuple[str, ...]) -> None:
        shown = [_one_line(key) for key in keys]
        width = max(map(len, shown))
        self._padded = [key.ljust(width) + _GAP for key in shown]
        self._rule = "-" * width + _GAP
        self._keys = keys


def _lay_out(column: list[Any], title: str, *, to_right: bool) -> list[str]:
    """Return title, rule and cells of one column, all of one width."""
    texts = [_one_line(title), *(_one_line(str(cell)) for cell in column)]
    width = max(map(len, texts))
    texts.insert(1, "-" * width)
    return [text.rjust(width) if to_right else text.ljust(width) for text in texts]


def _is_numeric(column: list[Any]) -> bool:
    """Tell whether there is a number in the column, and nothing but numbers and gaps."""
    texts = [str(cell).strip() for cell in column]
    filled = [text for text in texts if text not in {"", "-"}]
    return bool(filled) and all(map(_is_number, filled))


def _is_number(text: str) -> bool:
    try:
        float(text.removesuffix("%").removesuffix("s"))
    except ValueError:
        return False
    return True


def _one_line(text: str) -> str:
    """Keep a cell on its line, whatever it contains."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
