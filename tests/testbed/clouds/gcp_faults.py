"""Faults that the simulated Google Cloud plays when it is told to."""

from __future__ import annotations

import enum
import itertools
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
    DELAY = "delay"
    """It is done and answered, but later."""


_WORDS: dict[str, dict[str, Any]] = {
    "slow_down": {"kind": "status", "status": 429, "reason": "rateLimitExceeded"},
    "unavailable": {"kind": "status", "status": 503, "reason": "backendError"},
    "internal": {"kind": "status", "status": 500, "reason": "internalError"},
    "throttle": {"kind": "status", "status": 403, "reason": "rateLimitExceeded"},
    "denied": {"kind": "status", "status": 403, "reason": "forbidden"},
    "error": {"kind": "status"},
    "lose": {"kind": "lost"},
    "truncate": {"kind": "truncated"},
}
"""What tests of all clouds call faults, and what they are here."""
_NUMBERS = itertools.count(1)


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
        How long a request hangs, or is delayed.
    skip
        How many matching requests go through before it begins.
    machine
        The machine that asks; empty for all that ask.
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
    machine: str = ""
    id: int = field(default_factory=lambda: next(_NUMBERS))
    happened: int = 0
    over: threading.Event = field(default_factory=threading.Event, repr=False)

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Fault:
        """Read a fault as it is told by JSON.

        There it has names that all clouds share: ``seconds`` for how long it is there, without
        a count for all requests then, and ``pause_s`` for how long a request hangs.

        Raises
        ------
        ValueError
            If it is none.
        """
        fields = {**told, **_WORDS.get(told.get("kind", ""), {"kind": told.get("kind", "status")})}
        lasts = fields.pop("seconds", None)
        if lasts is not None:
            fields["until"] = time.time() + lasts
        fields.setdefault("count", None)
        if "pause_s" in fields:
            fields["seconds"] = fields.pop("pause_s")
        re.compile(fields.get("path", ""))
        try:
            return cls(Kind(fields.pop("kind")), **fields)
        except TypeError as error:
            raise ValueError(str(error)) from None

    @property
    def is_over(self) -> bool:
        """Whether it befalls no more requests."""
        return self.count == 0 or (self.until is not None and self.until < time.time())

    def befalls(self, method: str, target: str, machine: str) -> bool:
        """Say whether a request is meant."""
        if self.machine not in ("", machine):
            return False
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

    def clear(self, id: int | None = None) -> None:
        """Play none any more, or not the one of this number; let go of who hangs."""
        with self._lock:
            for fault in self._faults:
                if id in (None, fault.id):
                    fault.over.set()
            self._faults = [fault for fault in self._faults if not fault.over.is_set()]

    def take(self, method: str, target: str, machine: str = "") -> Fault | None:
        """Return the fault that befalls a request, the first that was added, and count it."""
        # Who repairs the world must get through.
        if target.startswith("/_testbed/"):
            return None
        with self._lock:
            for fault in self._faults:
                if fault.is_over or not fault.befalls(method, target, machine):
                    continue
                if fault.skip > 0:
                    fault.skip -= 1
                    continue
                if fault.count is not None:
                    fault.count -= 1
                fault.happened += 1
                return fault
        return None

    def told(self) -> list[dict[str, Any]]:
        """Describe them all, those that are over too."""
        with self._lock:
            return [
                {"id": f.id, "kind": f.kind.value, "path": f.path, "happened": f.happened,
                 "over": f.is_over}
                for f in self._faults
            ]  # fmt: skip

    def __len__(self) -> int:
        """Return how many may still befall a request."""
        with self._lock:
            return sum(not fault.is_over for fault in self._faults)
