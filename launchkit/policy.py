"""What is done about jobs that end badly, or do not end: retries, time limits, giving up."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from launchkit.job import Attempt, Job

RETRY_ON = ("lost", "preempted", "timeout", "failed")
LONGEST_DELAY_S = 300.0
GRACE_S = 10.0
"""How long a running job that is to end has to stop by itself."""


@dataclass(frozen=True)
class Policy:
    """How a sweep deals with jobs that do not complete.

    Parameters
    ----------
    max_retries
        How many more attempts a job gets after its first.
    retry_on
        The states that are tried again: lost, preempted, timeout, failed.
    retry_delay_s
        Seconds before the first retry; each further one of the job waits twice as long, up to
        five minutes, give or take a tenth.
    timeout_min
        Minutes after which a running job is ended, as ``timeout``; None for no limit.
    fail_fast
        Whether the first job that fails for good stops the sweep.
    max_failures
        How many jobs may fail for good before the sweep is stopped; None for any number.

    Raises
    ------
    ValueError
        If a setting is wrong.
    """

    max_retries: int = 0
    retry_on: tuple[str, ...] = RETRY_ON
    retry_delay_s: float = 1.0
    timeout_min: float | None = None
    fail_fast: bool = False
    max_failures: int | None = None

    def __post_init__(self) -> None:
        check_whole("max_retries", self.max_retries)
        if self.max_failures is not None:
            check_whole("max_failures", self.max_failures)
        _check_seconds("retry_delay_s", self.retry_delay_s)
        check_timeout(self.timeout_min)
        if not isinstance(self.fail_fast, bool):
            raise ValueError(f"fail_fast is {self.fail_fast!r}; it must be true or false")
        # From Hydra it is a list of its own, which JSON does not know.
        object.__setattr__(self, "retry_on", _checked_states(self.retry_on))

    def retries(self, attempt: Attempt, made: int) -> bool:
        """Tell whether a job is tried again.

        Parameters
        ----------
        attempt
            How it has ended.
        made
            How many attempts it has had in this run of the sweep.
        """
        return attempt.state in self.retry_on and made <= self.max_retries

    def delay(self, made: int) -> float:
        """Return the seconds to wait after so many attempts."""
        delay = min(LONGEST_DELAY_S, self.retry_delay_s * 2.0 ** min(made - 1, 30))
        return delay * random.uniform(0.9, 1.1)

    def gives_up(self, failures: int) -> bool:
        """Tell whether a sweep in which so many jobs have failed for good is to stop."""
        allowed = 0 if self.fail_fast else self.max_failures
        return allowed is not None and failures > allowed

    def after(self, failures: int) -> Policy:
        """Return the policy for the rest of a sweep in which so many jobs have failed."""
        if self.max_failures is None:
            return self
        return replace(self, max_failures=max(0, self.max_failures - failures))

    def limit_s(self, job: Job) -> float | None:
        """Return the seconds that a job may run; None where it may for ever."""
        minutes = job.needs.timeout_min if job.needs.timeout_min is not None else self.timeout_min
        return None if minutes is None else minutes * 60.0


def check_whole(name: str, value: Any, least: int = 0, *, optional: bool = False) -> None:
    """Raise ValueError if a setting is no whole number from `least` on, nor None if it may be."""
    if value is None and optional:
        return
    if type(value) is not int or value < least:
        raise ValueError(
            f"{name} is {value!r}; it must be a whole number of {least} or more"
            + (", or null" if optional else "")
        )


def check_timeout(minutes: Any) -> None:
    """Raise ValueError if a time limit is none."""
    if minutes is None:
        return
    if isinstance(minutes, bool) or not isinstance(minutes, int | float) or not minutes > 0:
        raise ValueError(
            f"timeout_min is {minutes!r}; it must be a number of minutes above 0, "
            "or null for no limit"
        )


def _checked_states(states: Sequence[str]) -> tuple[str, ...]:
    if isinstance(states, str):
        raise ValueError(f"retry_on is {states!r}; it must be a list of {', '.join(RETRY_ON)}")
    for state in states:
        if state not in RETRY_ON:
            raise ValueError(f"retry_on has {state!r}; it may have {', '.join(RETRY_ON)}")
    return tuple(states)


def _check_seconds(name: str, value: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        raise ValueError(f"{name} is {value!r}; it must be a number of seconds of 0 or more")
