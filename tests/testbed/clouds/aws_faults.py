"""What goes wrong between a client and the simulated AWS, on request."""

from __future__ import annotations

import itertools
import re
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from aws_requests import Refusal, Request

KINDS = {
    "slow_down": ("SlowDown", "Please reduce your request rate.", 503),
    "unavailable": ("ServiceUnavailable", "Service is unable to handle request.", 503),
    "internal": ("InternalError", "We encountered an internal error. Please try again.", 500),
    "expired": ("ExpiredToken", "The provided token has expired.", 400),
    "denied": ("AccessDenied", "Access Denied", 403),
    "wrong_region": (
        "PermanentRedirect",
        "The bucket you are attempting to access must be addressed using the specified endpoint.",
        301,
    ),
    "throttle": ("RequestLimitExceeded", "Request limit exceeded.", 503),
}
"""Errors: the request is not done."""
BREAKS = ("reset", "hang", "truncate", "lose", "delay")
"""``reset`` and ``hang``: not done, and no answer. ``truncate``: half an answer. ``lose``: done,
and then the connection is reset. ``delay``: answered, later."""


@dataclass
class Fault:
    """Something that goes wrong.

    Parameters
    ----------
    kind
        One of `KINDS` or `BREAKS`; ``error`` for one of the caller's own.
    path
        A pattern that is looked for in the path with its query.
    method
        A pattern of the whole method.
    service
        The service, such as ``s3``; empty for all.
    action
        A pattern of the whole action, such as ``RunInstances``.
    body
        A text in the body.
    machine
        The machine that asks; empty for all that ask.
    count
        How many requests it happens to; None for all.
    seconds
        For how long; None for ever.
    pause_s
        How long a request hangs, or is delayed.
    region
        Where the bucket is said to be, for ``wrong_region``.
    code, message, status
        The error, for ``error``.
    """

    kind: str
    path: str = ""
    method: str = ".*"
    service: str = ""
    action: str = ".*"
    body: str = ""
    machine: str = ""
    count: int | None = None
    seconds: float | None = None
    pause_s: float = 60.0
    region: str = "eu-west-1"
    code: str = "InternalError"
    message: str = "something went wrong"
    status: int = 500
    id: int = 0
    happened: int = 0
    begun: float = field(default_factory=time.monotonic)
    cleared: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        if self.kind not in (*KINDS, *BREAKS, "error"):
            known = ", ".join([*KINDS, *BREAKS, "error"])
            raise ValueError(f"there is no fault {self.kind!r}; there are {known}")

    @property
    def over(self) -> bool:
        """Whether it happens no more."""
        if self.count is not None and self.happened >= self.count:
            return True
        return self.seconds is not None and time.monotonic() >= self.begun + self.seconds

    def meets(self, request: Request, machine: str) -> bool:
        """Tell whether it happens to a request."""
        return (
            not self.over
            and self.service in ("", request.service)
            and self.machine in ("", machine)
            and re.fullmatch(self.method, request.method) is not None
            and re.search(self.path, request.target) is not None
            and re.fullmatch(self.action, request.action) is not None
            and self.body.encode() in request.body
        )

    @property
    def refusal(self) -> Refusal | None:
        """The error, if it is one."""
        if self.kind == "error":
            return Refusal(self.code, self.message, self.status)
        return Refusal(*KINDS[self.kind]) if self.kind in KINDS else None

    def told(self) -> dict[str, Any]:
        """Describe it."""
        hidden = ("cleared", "begun")
        return {name: value for name, value in vars(self).items() if name not in hidden}


class Faults:
    """All faults of now."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def add(self, **fields: Any) -> Fault:
        """Let something go wrong from now on."""
        fault = Fault(**fields)
        with self._lock:
            fault.id = next(self._numbers)
            self._faults.append(fault)
        return fault

    def clear(self, number: int | None = None) -> None:
        """End a fault, or all; what hangs, is let go."""
        with self._lock:
            gone = [fault for fault in self._faults if number in (None, fault.id)]
            self._faults = [fault for fault in self._faults if fault not in gone]
        for fault in gone:
            fault.cleared.set()

    def take(self, request: Request, machine: str) -> Fault | None:
        """Return what happens to a request."""
        with self._lock:
            for fault in self._faults:
                if fault.meets(request, machine):
                    fault.happened += 1
                    return fault
        return None

    def told(self) -> list[dict[str, Any]]:
        """Describe them."""
        with self._lock:
            return [fault.told() for fault in self._faults]
