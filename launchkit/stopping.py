"""How a request to stop waits for what must not be cut in two.

A signal handler that raises does so wherever the main thread happens to be: in the middle
of a row, or of a snapshot that took minutes to pickle. Such stretches stand in a shield,
and a handler raises by way of `request`. What is raised in a finalizer, as the garbage
collector runs, the interpreter throws away: such a request is raised at the end of the next
shield.
"""

from __future__ import annotations

import os
import sys
from _thread import get_ident
from collections.abc import Callable
from types import TracebackType


class _Shield:
    """The one shield of a process; what it holds back is raised where it ends."""

    __slots__ = ("depth", "main", "raised", "waiting")

    def __init__(self) -> None:
        self.depth = 0
        self.waiting: BaseException | None = None
        self.raised: BaseException | None = None
        # Not imported for it: the logger's import would take a fifth longer. A program
        # without `threading` has one thread.
        threading = sys.modules.get("threading")
        self.main: int = threading.main_thread().ident if threading else get_ident()

    def __enter__(self) -> None:
        if get_ident() == self.main:
            self.depth += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # The depth is 0 already in a child that was forked within the block.
        if get_ident() != self.main or not self.depth:
            return
        self.depth -= 1
        if not self.depth and self.waiting is not None:
            waiting, self.waiting = self.waiting, None
            # Also where the block has raised: its error becomes the context of this one. A
            # program that catches its errors and goes on would otherwise never stop.
            raise waiting

    def forget(self) -> None:
        """Begin anew in a forked child, which may never come back to the end of the block."""
        self.depth, self.main = 0, get_ident()
        self.waiting = self.raised = None


_SHIELD = _Shield()
os.register_at_fork(after_in_child=_SHIELD.forget)


def shield() -> _Shield:
    """Return a context in whose block `request` does not raise; it may stand in another.

    Signals reach the main thread only, so in any other thread it does nothing.
    """
    return _SHIELD


def request(error: BaseException) -> None:
    """Raise `error`: now, or within a shield where the outermost one ends.

    It is for signal handlers. Of several requests within one shield the first is raised.
    """
    if not _SHIELD.depth:
        _SHIELD.waiting, _SHIELD.raised = None, error
        if not isinstance(sys.unraisablehook, _LostRequests):
            sys.unraisablehook = _LostRequests(sys.unraisablehook)
        raise error
    if _SHIELD.waiting is None:
        _SHIELD.waiting = error


class _LostRequests:
    """The hook that hears of the exceptions that are thrown away; it keeps the last request."""

    def __init__(self, before: Callable[[sys.UnraisableHookArgs], object]) -> None:
        self._before = before

    def __call__(self, lost: sys.UnraisableHookArgs) -> None:
        if lost.exc_value is not None and lost.exc_value is _SHIELD.raised:
            _SHIELD.waiting = lost.exc_value.with_traceback(None)
        else:
            self._before(lost)
