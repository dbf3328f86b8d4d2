"""Asking again what has failed for a while, and for how long."""

from __future__ import annotations

import contextlib
import logging
import random
import threading
import time
from collections.abc import Iterator

from launchkit import interrupts
from launchkit.cloud.stores import Unreachable

PATIENCE_S = 60.0
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 15.0

_log = logging.getLogger(__name__)


class Patience:
    """Time to ask the same again, with pauses that grow, each of a random length up to that.

    Parameters
    ----------
    seconds
        How long in all, from the beginning or the last progress.
    what
        What is asked, for messages.
    """

    def __init__(self, seconds: float, what: str) -> None:
        self._seconds = seconds
        self._what = what
        self.progress()

    def progress(self) -> None:
        """Take note that something was reached: the time begins anew."""
        self._until = time.monotonic() + self._seconds
        self._longest = FIRST_PAUSE_S

    @property
    def over(self) -> bool:
        """Whether it has been long enough."""
        return time.monotonic() >= self._until

    def pause(self, error: Exception, said: str = "") -> None:
        """Wait before asking again.

        Parameters
        ----------
        error
            Why.
        said
            That in words, if there are better ones than the error's.

        Raises
        ------
        Unreachable
            If it has been long enough.
        """
        left = self._until - time.monotonic()
        said = said or in_a_line(error)
        if left <= 0:
            raise Unreachable(
                f"{self._what}: {said} (tried again for {self._seconds:.0f} s)"
            ) from error
        # Many machines that were refused together are not to come back together.
        pause = min(random.uniform(0, self._longest), left)
        self._longest = min(2 * self._longest, LONGEST_PAUSE_S)
        _log.info("%s: %s; asked again in %.1f s", self._what, said, pause)
        with waiting():
            time.sleep(pause)


@contextlib.contextmanager
def waiting() -> Iterator[None]:
    """Let a signal interrupt the block where that ends the waiting of the one who drives."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with interrupts.felt():
        yield


def in_a_line(error: BaseException) -> str:
    """Return what an error says, in one line."""
    return " ".join(str(error).split()) or type(error).__name__
