"""Ctrl-C, SIGTERM and SIGHUP in the process that drives a sweep.

They are felt only where it waits, so that nothing it does is cut in two: a job that has
been started is known, and an end that has been seen is written down.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType
from typing import Any

from launchkit import stopping

_current: Interrupts | None = None


class Interrupts:
    """Takes the signals that stop a sweep, for the time of a ``with`` block.

    Outside the main thread, which alone can have signal handlers, it does nothing.
    """

    def __init__(self) -> None:
        self.count = 0
        """How many have come so far."""
        self._unseen = False
        self._felt = False
        self._before: dict[signal.Signals, Any] = {}
        self._outer: Interrupts | None = None

    def __enter__(self) -> Interrupts:
        global _current
        self._outer, _current = _current, self
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # nohup has SIGHUP ignored, and so it stays.
            if number is signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN:
                continue
            with contextlib.suppress(ValueError):
                self._before[number] = signal.signal(number, self._take)
        return self

    def __exit__(self, *error: object) -> None:
        global _current  # noqa: PLW0603 - as above
        _current = self._outer
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _take(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self.count += 1
        self._unseen = True
        if self._felt:
            stopping.request(KeyboardInterrupt())

    @contextlib.contextmanager
    def feel(self) -> Iterator[None]:
        """Raise KeyboardInterrupt for a signal that comes in the block, or came before it.

        One that did not come through, because the interpreter threw it away or the block
        went on all the same, has not been felt: the next block raises it.
        """
        try:
            self._felt = True
            try:
                if self._unseen:
                    stopping.request(KeyboardInterrupt())
                yield
            finally:
                self._felt = False
        except KeyboardInterrupt:
            self._unseen = False
            raise


@contextlib.contextmanager
def felt() -> Iterator[None]:
    """Let signals interrupt the block, if this process drives a sweep."""
    if _current is None:
        yield
        return
    with _current.feel():
        yield
