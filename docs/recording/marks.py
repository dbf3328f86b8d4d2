"""Pages in which a program fills in what stands between two marks."""

from __future__ import annotations


def filled(text: str, name: str, content: str) -> str:
    """Return a page with what stands between the marks of a name replaced.

    Raises
    ------
    ValueError
        If it does not have both marks.
    """
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
    head, found, rest = text.partition(begin)
    _, also, tail = rest.partition(end)
    if not (found and also):
        raise ValueError(f"a page lacks the marks of {name!r}")
    return f"{head}{begin}{content.rstrip()}\n{end}{tail}"
