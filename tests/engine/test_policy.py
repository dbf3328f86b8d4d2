"""What is done about jobs that end badly."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launchkit.job import Attempt, Job, JobState, Needs
from launchkit.policy import LONGEST_DELAY_S, RETRY_ON, Policy, check_timeout


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_retries": -1}, r"max_retries is -1; it must be a whole number of 0 or more"),
        ({"max_retries": 1.0}, r"max_retries is 1\.0; it must be a whole number"),
        ({"max_retries": True}, r"max_retries is True; it must be a whole number"),
        ({"max_retries": None}, r"max_retries is None; it must be a whole number"),
        ({"max_failures": -2}, r"max_failures is -2; it must be a whole number"),
        ({"max_failures": "3"}, r"max_failures is '3'; it must be a whole number"),
        ({"retry_delay_s": -0.5}, r"retry_delay_s is -0\.5; it must be a number of seconds"),
        ({"retry_delay_s": float("nan")}, r"retry_delay_s is nan; it must be a number"),
        ({"retry_delay_s": "1s"}, r"retry_delay_s is '1s'; it must be a number of seconds"),
        ({"retry_delay_s": True}, r"retry_delay_s is True; it must be a number of seconds"),
        ({"timeout_min": 0}, r"timeout_min is 0; .* minutes above 0, or null for no limit"),
        ({"timeout_min": -1.5}, r"timeout_min is -1\.5; "),
        ({"timeout_min": float("nan")}, r"timeout_min is nan; "),
        ({"timeout_min": "30"}, r"timeout_min is '30'; "),
        ({"timeout_min": False}, r"timeout_min is False; "),
        ({"fail_fast": 1}, r"fail_fast is 1; it must be true or false"),
        ({"fail_fast": "yes"}, r"fail_fast is 'yes'; it must be true or false"),
        (
            {"retry_on": ["lost", "fail"]},
            r"retry_on has 'fail'; .* lost, preempted, timeout, failed",
        ),
        ({"retry_on": ["cancelled"]}, r"retry_on has 'cancelled'; it may have lost"),
        ({"retry_on": ["completed"]}, r"retry_on has 'completed'; it may have lost"),
        ({"retry_on": "lost"}, r"retry_on is 'lost'; it must be a list of lost, preempted"),
    ],
)
def test_a_wrong_setting_is_refused_by_name_and_value(settings, message):
    with pytest.raises(ValueError, match=message):
        Policy(**settings)


def test_a_policy_is_json_and_comes_back():
    policy = Policy(max_retries=2, retry_on=["lost"], timeout_min=5, max_failures=0)
    values = {name: value for name, value in vars(policy).items() if not name.startswith("_")}
    assert Policy(**json.loads(json.dumps(values))) == policy
    with pytest.raises(FrozenInstanceError):
        policy.max_retries = 3


def test_by_default_nothing_is_tried_again_and_nothing_stops_a_sweep():
    policy = Policy()
    for state in JobState:
        assert not policy.retries(Attempt(state), 1)
    assert not policy.gives_up(10**6)
    assert policy.limit_s(Job(0, (), Path())) is None


@given(
    st.integers(0, 5),
    st.sets(st.sampled_from(RETRY_ON)),
    st.sampled_from(JobState),
    st.integers(1, 9),
)
def test_a_job_has_one_attempt_more_than_retries_and_only_if_it_ended_so(most, names, state, made):
    policy = Policy(max_retries=most, retry_on=sorted(names))
    assert policy.retries(Attempt(state), made) == (str(state) in names and made < 1 + most)


@given(st.just(0.0) | st.floats(0.001, 1000), st.integers(1, 10_000))
def test_the_delay_doubles_up_to_five_minutes_give_or_take_a_tenth(first, made):
    delay = Policy(retry_delay_s=first).delay(made)
    meant = min(LONGEST_DELAY_S, first * 2.0 ** min(made - 1, 100))
    assert 0.89 * meant <= delay <= 1.11 * meant
    assert LONGEST_DELAY_S == 300


def test_jobs_that_fail_together_do_not_come_back_together():
    policy = Policy(retry_delay_s=10.0)
    assert len({policy.delay(1) for _ in range(20)}) > 10


@pytest.mark.parametrize(
    ("settings", "tolerated"),
    [
        ({"fail_fast": True}, 0),
        ({"max_failures": 0}, 0),
        ({"max_failures": 3}, 3),
        ({"max_failures": 3, "fail_fast": True}, 0),
    ],
)
def test_a_sweep_gives_up_at_one_failure_more_than_it_tolerates(settings, tolerated):
    policy = Policy(**settings)
    assert not policy.gives_up(tolerated)
    assert policy.gives_up(tolerated + 1)


def test_a_jobs_own_time_limit_comes_before_that_of_all():
    policy = Policy(timeout_min=2)
    assert policy.limit_s(Job(0, (), Path())) == 120.0
    assert policy.limit_s(Job(0, (), Path(), Needs(timeout_min=0.5))) == 30.0
    assert Policy().limit_s(Job(0, (), Path(), Needs(timeout_min=0.5))) == 30.0


def test_a_time_limit_may_be_missing_or_any_number_above_zero():
    for minutes in (None, 1, 0.001, 10**6):
        check_timeout(minutes)
