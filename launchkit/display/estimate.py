"""How much longer a sweep will take, judged by the jobs that have completed."""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections.abc import Sequence

EVIDENCE = 8
"""So many completed jobs are enough, however many run at a time."""
ROUNDS = 8


def seconds_left(
    durations: Sequence[float], elapsed: Sequence[float], waiting: int, slots: int
) -> float | None:
    """Estimate the seconds until the last job of a sweep ends.

    Parameters
    ----------
    durations
        Seconds that each completed job took.
    elapsed
        Seconds that each running job has run so far.
    waiting
        How many jobs have not started.
    slots
        How many run at a time.

    Returns
    -------
    float or None
        None while there is too little to judge by: until as many jobs have completed as run
        at a time, the short ones among them are all that is known.
    """
    slots = max(slots, len(elapsed), 1)
    if len(durations) < min(slots, EVIDENCE):
        return None
    ordered = sorted(durations)
    mean = sum(ordered) / len(ordered)
    free = [_rest(ordered, seconds) for seconds in elapsed] + [0.0] * (slots - len(elapsed))
    # Whole rounds of equal jobs need not be dealt out one by one.
    rounds = max(0, waiting // slots - ROUNDS)
    heapq.heapify(free)
    for _ in range(waiting - rounds * slots):
        heapq.heapreplace(free, free[0] + mean)
    return rounds * mean + max(free)


def _rest(ordered: Sequence[float], elapsed: float) -> float:
    """Return how much longer a job runs: as long as those that took longer than it so far."""
    longer = ordered[bisect_right(ordered, elapsed) :]
    if longer:
        return sum(longer) / len(longer) - elapsed
    # It outlasts all that is known; the more is known, the closer it is taken to be to its end.
    return elapsed / len(ordered)
