"""What was asked of the simulated Google Cloud, for tests that count calls and bytes."""

from __future__ import annotations

import re
import threading
from collections import Counter, deque
from dataclasses import asdict, dataclass
from typing import Any

_KEPT = 20_000


@dataclass
class Record:
    """A request. `status` 0 is one that got no answer."""

    time: float
    method: str
    target: str
    bytes_in: int
    bytes_out: int = 0
    status: int = 0
    seconds: float = 0.0
    action: str = ""
    caller: str = ""
    agent: str = ""
    machine: str = ""
    fault: str = ""
    number: int = 0


class Log:
    """The latest requests, numbered from 1 on."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._records: deque[Record] = deque(maxlen=_KEPT)
        self._last = 0

    def add(self, record: Record) -> None:
        """Note a request that is over; those to the testbed itself do not count."""
        if record.target.startswith("/_testbed/"):
            return
        with self._lock:
            self._last += 1
            record.number = self._last
            self._records.append(record)

    def since(self, mark: int = 0, path: str = "", machine: str = "") -> dict[str, Any]:
        """Return the requests after number `mark`, their sums, and the mark to go on from.

        Only those count in whose targets the pattern `path` is found, and that come from a
        machine, if one is named.
        """
        with self._lock:
            records = [
                record
                for record in self._records
                if record.number > mark
                and machine in ("", record.machine)
                and re.search(path, record.target)
            ]
            last = self._last
        return {
            "mark": last,
            "count": len(records),
            "bytes_in": sum(record.bytes_in for record in records),
            "bytes_out": sum(record.bytes_out for record in records),
            "counts": dict(Counter(record.action or record.method for record in records)),
            "requests": [asdict(record) for record in records],
        }

    def clear(self) -> None:
        """Forget the requests; numbers go on."""
        with self._lock:
            self._records.clear()
