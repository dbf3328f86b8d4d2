"""A clock that jumps, for every Python process that finds this module: up to twelve days a call."""

from __future__ import annotations

import time

FARTHEST_S = 1_000_000
real = time.time


def jumping() -> float:
    return real() + time.monotonic_ns() * 2_654_435_761 % (2 * FARTHEST_S) - FARTHEST_S


time.time = jumping
