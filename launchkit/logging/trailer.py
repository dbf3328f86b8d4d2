"""What a snapshot says of itself, behind its pickle: the iteration, and the rows dumped by then.

A reader of pickles stops where the pickle ends, so the trailer is seen by `read` alone. It
is a line of text::

    #launchkit {"iteration": 7, "rows": {"progress.csv": 8}, "pending": false, "bytes": 1234}

``bytes`` is the length of the pickle, by which a torn or mixed-up file is told from a whole one.
"""

from __future__ import annotations

import json
from typing import IO, Any, NamedTuple

_MARK = b"\n#launchkit "
_LONGEST = 1 << 16


class Trailer(NamedTuple):
    """Where a run stood when a snapshot was saved.

    Attributes
    ----------
    iteration
        As given to `Logger.save_itr_params`.
    rows
        The rows that each CSV file had; the files by their paths from the directory.
    pending
        Whether a row was being recorded: it was dumped, if at all, after the snapshot.
    """

    iteration: int
    rows: dict[str, int]
    pending: bool


def write(stream: IO[bytes], trailer: Trailer) -> None:
    """Add a trailer to a stream that stands at the end of its pickle."""
    # Ordinary JSON escapes what is no ASCII, so that the name of any file can be read back.
    text = json.dumps({**trailer._asdict(), "bytes": stream.tell()})
    stream.write(_MARK + text.encode() + b"\n")


def read(stream: IO[bytes]) -> Trailer | None:
    """Return the trailer of a file, and go back to its start; None if it is not whole."""
    size = stream.seek(0, 2)
    start = stream.seek(max(0, size - _LONGEST))
    end = stream.read()
    stream.seek(0)
    at = end.rfind(_MARK)
    try:
        found = json.loads(end[at + len(_MARK) :]) if at >= 0 and end.endswith(b"}\n") else None
    except ValueError:
        return None
    if not isinstance(found, dict) or found.get("bytes") != start + at:
        return None
    return _trailer(found)


def _trailer(found: dict[str, Any]) -> Trailer:
    rows = {str(name): int(count) for name, count in found["rows"].items()}
    return Trailer(int(found["iteration"]), rows, bool(found["pending"]))
