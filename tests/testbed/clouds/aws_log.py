"""Who has asked the simulated AWS what."""

from __future__ import annotations

import itertools
import re
import threading
import time
from collections import Counter, deque
from typing import Any

_REMEMBERED = 200_000


class Log:
    """The requests that have been answered."""

    def __init__(self) -> None:
        self._entries: deque[dict[str, Any]] = deque(maxlen=_REMEMBERED)
        self._numbers = itertools.count(1)
        self._mark = 0
        self._lock = threading.Lock()

    def add(self, **entry: Any) -> None:
        """Note a request."""
        with self._lock:
            self._mark = next(self._numbers)
            self._entries.append({"n": self._mark, "time": time.time(), **entry})

    def clear(self) -> None:
        """Forget them; the numbers go on."""
        with self._lock:
            self._entries.clear()

    def told(self, since: int = 0, path: str = "", machine: str | None = None) -> dict[str, Any]:
        """Return the requests after a mark, and what they come to.

        Parameters
        ----------
        since
            The mark of an earlier call.
        path
            A pattern that is looked for in the path with its query.
        machine
            Only those of a machine; ``""`` for those of none.
        """
        with self._lock:
            entries, mark = list(self._entries), self._mark
        chosen = [
            entry
            for entry in entries
            if entry["n"] > since
            and re.search(path, entry["path"])
            and machine in (None, entry["machine"])
        ]
        return {
            "mark": mark,
            "requests": chosen,
            "counts": Counter(f"{each['service']}:{each['action']}" for each in chosen),
            "bytes_in": sum(each["bytes_in"] for each in chosen),
            "bytes_out": sum(each["bytes_out"] for each in chosen),
        }
