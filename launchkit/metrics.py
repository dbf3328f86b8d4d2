"""Which of a run's metrics to show when nobody has named one."""

from __future__ import annotations

from collections.abc import Iterable

TELLING = ("return", "reward", "score", "success", "accuracy", "loss")
CLOCKS = ("time", "epoch", "iter", "itr", "step", "seconds", "elapsed")


def default_metrics(names: Iterable[str], at_most: int = 2) -> list[str]:
    """Choose the columns of a progress.csv that tell most.

    `AverageReturn`, as viskit plots it, if it is there; else those whose name says
    return, reward, score, success, accuracy or loss; else the first that is no clock.

    Parameters
    ----------
    names
        The columns.
    at_most
        How many to choose.
    """
    names = list(names)
    if "AverageReturn" in names:
        return ["AverageReturn"]
    telling = [name for name in names if _has(name, TELLING)]
    if telling:
        return telling[:at_most]
    return [name for name in names if not _has(name, CLOCKS)][:1]


def _has(name: str, words: Iterable[str]) -> bool:
    return any(word in name.lower() for word in words)
