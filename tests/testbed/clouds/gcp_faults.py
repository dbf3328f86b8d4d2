"""Faults that the simulated Google Cloud plays when it is told to."""

from __future__ import annotations

import enum
import json
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


class Kind(enum.Enum):
    """What happens to a request."""

    STATUS = "status"
    """It is answered by an error."""
    EXPIRED = "expired"
    """It is answered by 401, as if its token were too old."""
    RESET = "reset"
    """The connection is reset, and nothing is done."""
    LOST = "lost"
    """It is done, and the connection reset instead of an answer."""
    HANG = "hang"
    """Nothing is answered for a while, then the connection is reset; nothing is done."""
    TRUNCATED = "truncated"
    """Half of the answer's body is sent."""


@dataclass
class Fault:
    """A fault.

    Parameters
    ----------
    kind
        What happens.
    path
        A regular expression, searched in the request's target (path and query).
    method
        A regular expression of the whole method.
    count
        How many requests it befalls; None for no limit.
    until
        When it is over, in seconds since the epoch; None for no limit.
    status
        The status of kind ``status``.
    reason
        The reason that goes with it.
    seconds
        How long kind ``hang`` lasts.
    skip
        How many matching requests go through before it begins.
    """

    kind: Kind
    path: str = ""
    method: str = ".*"
    count: int | None = 1
    until: float | None = None
    status: int = 503
    reason: str = "backendError"
    seconds: float = 3600.0
    skip: int = 0
    over: threading.Event = field(default_factory=threading.Event, repr=False)

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Fault:
        """Read a fault as it is told by JSON; ``for`` are the seconds that it lasts.

        Raises
        ------
        ValueError
            If it is none.
        """
        fields = dict(told)
        lasts = fields.pop("for", None)
        if lasts is not None:
            fields["until"] = time.time() + lasts
            fields.setdefault("count", None)
        re.compile(fields.get("path", ""))
        try:
            return cls(Kind(fields.pop("kind", "status")), **fields)
        except TypeError as error:
            raise ValueError(str(error)) from None

    def befalls(self, method: str, target: str) -> bool:
        """Say whether a request is meant."""
        return bool(re.fullmatch(self.method, method) and re.search(self.path, target))

    def wait(self) -> None:
        """Wait as long as the fault lasts, or until it is cleared."""
        self.over.wait(self.seconds)

    def answer(self) -> Any:
        """Return the answer's status, body and headers; None for none."""
        if self.kind is Kind.STATUS:
            return _error(self.status, "We encountered an internal error.", self.reason)
        if self.kind is Kind.EXPIRED:
            message = (
                "Request had invalid authentication credentials. Expected OAuth 2 access token, "
                "login cookie or other valid authentication credential."
            )
            status, body, headers = _error(401, message, "authError")
            return status, body, {**headers, "WWW-Authenticate": 'Bearer error="invalid_token"'}
        return None


def _error(status: int, message: str, reason: str) -> tuple[int, bytes, dict[str, str]]:
    errors = [{"message": message, "domain": "global", "reason": reason}]
    error = {"code": status, "message": message, "errors": errors}
    body = json.dumps({"error": error}).encode()
    return status, body, {"Content-Type": "application/json; charset=UTF-8"}


class Faults:
    """The faults that are waiting for their requests."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Play a fault from now on."""
        with self._lock:
            self._faults.append(fault)

    def clear(self) -> None:
        """Play none; let go of who hangs."""
        with self._lock:
            for fault in self._faults:
                fault.over.set()
            self._faults.clear()

    def take(self, method: str, target: str) -> Fault | None:
        """Return the fault that befalls a request, the first that was added, and count it."""
        # Who repairs the world must get through.
        if target.startswith("/_testbed/"):
            return None
        now = time.time()
        with self._lock:
            for fault in self._faults:
                if fault.until is not None and fault.until < now:
                    continue
                if fault.count == 0 or not fault.befalls(method, target):
                    continue
                if fault.skip > 0:
                    fault.skip -= 1
                    continue
                if fault.count is not None:
                    fault.count -= 1
                return fault
        return None

    def __len__(self) -> int:
        """Return how many may still befall a request."""
        now = time.time()
        with self._lock:
            return sum(f.count != 0 and (f.until is None or f.until >= now) for f in self._faults)
