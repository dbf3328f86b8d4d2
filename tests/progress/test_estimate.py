"""How much longer a sweep takes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launchkit.display.estimate import EVIDENCE, seconds_left

seconds = st.floats(0.01, 1e5)


@pytest.mark.parametrize(
    ("durations", "slots"), [([], 1), ([5.0], 2), ([5.0] * 3, 4), ([5.0] * (EVIDENCE - 1), 100)]
)
def test_nothing_is_said_before_there_is_evidence(durations: list[float], slots: int) -> None:
    assert seconds_left(durations, [1.0], 3, slots) is None


def test_equal_jobs_take_the_rounds_that_are_left() -> None:
    assert seconds_left([10.0, 10.0], [5.0, 0.0], 0, 2) == pytest.approx(10.0)
    assert seconds_left([10.0, 10.0], [5.0, 5.0], 4, 2) == pytest.approx(25.0)
    assert seconds_left([10.0, 10.0], [5.0, 5.0], 5, 2) == pytest.approx(35.0)


def test_a_running_job_is_measured_by_those_that_took_longer() -> None:
    assert seconds_left([2.0, 2.0, 60.0], [30.0], 0, 1) == pytest.approx(30.0)


def test_a_job_that_outlasts_all_that_is_known_is_not_at_its_end() -> None:
    left = seconds_left([1.0, 1.0], [100.0], 0, 1)
    assert left is not None
    assert left > 10.0


@given(
    st.lists(seconds, min_size=EVIDENCE, max_size=20),
    st.lists(st.just(0.0), max_size=6),
    st.integers(0, 400),
    st.integers(1, 6),
)
def test_rounds_are_counted_as_if_each_job_were_dealt_out(
    durations: list[float], elapsed: list[float], waiting: int, slots: int
) -> None:
    left = seconds_left(durations, elapsed, waiting, slots)
    mean = sum(durations) / len(durations)
    slots = max(slots, len(elapsed))
    free = [mean] * len(elapsed) + [0.0] * (slots - len(elapsed))
    for _ in range(waiting):
        free[free.index(min(free))] += mean
    assert left == pytest.approx(max(free))
