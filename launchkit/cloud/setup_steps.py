"""What a cloud needs before the first sweep, a step each: looked at, and made if it is lacking."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass


class Found(enum.Enum):
    """What was found where something is needed."""

    THERE = "there"
    LACKING = "to make"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Step:
    """Something that is needed.

    Parameters
    ----------
    words
        What it is.
    look
        Tells whether it is there; it raises `ProviderError` if it can never be.
    make
        Makes it; it is no error if somebody else has made it meanwhile.
    """

    words: str
    look: Callable[[], Found]
    make: Callable[[], None]


def show(steps: Sequence[Step]) -> Iterator[str]:
    """Say of each step whether it is there, a line each; nothing is changed."""
    for step in steps:
        yield f"  {step.look().value:<8} {step.words}"


def apply(steps: Sequence[Step]) -> Iterator[str]:
    """Make what is not there, in order, and say so, a line each."""
    for step in steps:
        if step.look() is Found.THERE:
            yield f"  there    {step.words}"
        else:
            step.make()
            yield f"  made     {step.words}"
