"""Several things at a time on a machine, none of which is waited for longer than there is time."""
# Python 3.6 is to run this: no `from __future__ import annotations`; what it lacks is in quotes.

import queue
import threading
import time
from collections.abc import Callable, Sequence

AT_ONCE = 8
LOOK_S = 0.2


class Abandoned(Exception):
    """There is no time left for it."""


def together(
    work: "Sequence[Callable[[Callable[[], bool]], object]]", over: "Callable[[], bool]"
) -> None:
    """Do things side by side; once all are done, raise what went wrong with one.

    Parameters
    ----------
    work
        What to call. Each is told how to find out whether it is to give up.
    over
        Says whether there is no time left. What hangs then is left alone; it does not keep
        the program from its end.

    Raises
    ------
    Abandoned
        If they were not done in time.
    """
    waiting: queue.Queue[Callable[[Callable[[], bool]], object]] = queue.Queue()
    for each in work:
        waiting.put(each)
    problems: list[Exception] = []
    given_up = threading.Event()

    def enough() -> bool:
        return given_up.is_set() or over()

    def run() -> None:
        while not enough():
            try:
                waiting.get_nowait()(enough)
            except queue.Empty:
                return
            except Exception as problem:
                problems.append(problem)

    threads = [threading.Thread(target=run, daemon=True) for _ in work[:AT_ONCE]]
    for thread in threads:
        thread.start()
    began = time.monotonic()
    for thread in threads:
        while thread.is_alive():
            # What is small is done at once, and not to be waited for.
            thread.join(min(LOOK_S, 0.01 + time.monotonic() - began))
            if over():
                given_up.set()
                raise Abandoned
    if not waiting.empty():
        raise Abandoned
    if problems:
        raise problems[0]
