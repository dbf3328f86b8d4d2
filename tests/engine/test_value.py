"""The value that a job returns is kept as it is."""

from __future__ import annotations

import json
import logging
import math
import stat
import threading

import pytest
from engine_helpers import run_python

from launchkit import value
from launchkit.job import Job


@pytest.fixture
def job(tmp_path):
    job = Job(4, (), tmp_path / "4")
    job.own.mkdir(parents=True)
    return job


class Result:
    """A value of a class of the user's."""

    def __init__(self, score):
        self.score = score

    def __eq__(self, other):
        return type(other) is Result and other.score == self.score

    __hash__ = None


class Text(str):
    """A str that is not only a str."""


class Obstinate:
    """Neither pickled nor shown."""

    def __reduce__(self):
        raise RuntimeError("no")

    def __repr__(self):
        raise RuntimeError("no either")


def kept(job, given):
    value.save(job, given)
    return value.load(job)


@pytest.mark.parametrize(
    "given",
    [
        None,
        True,
        0,
        -1,
        2**70,
        0.1,
        -0.0,
        1e308,
        5e-324,
        "",
        "ü \u2028 \0 \udc80 😀",
        [],
        {},
        [1, [2.5, None, {"a": [True]}]],
        {"b": 1, "a": {"": ""}},
    ],
)
def test_plain_values_are_kept_as_json_for_people_to_read(job, given):
    found = kept(job, given)
    assert (found, type(found), repr(found)) == (given, type(given), repr(given))
    json.loads((job.own / "result.json").read_text())
    assert not (job.own / "result.pkl").exists()


@pytest.mark.parametrize(
    "given",
    [
        math.inf,
        -math.inf,
        (1, 2),
        [(1, 2)],
        {"a": (1,)},
        {1: "a"},
        {None: 1, True: 2},
        {1, 2},
        b"\xff",
        1 + 2j,
        Text("text"),
        Result([1]),
    ],
)
def test_values_that_json_would_change_are_kept_exactly(job, given):
    found = kept(job, given)
    assert found == given
    assert type(found) is type(given)


def test_nan_is_kept(job):
    assert math.isnan(kept(job, math.nan))
    assert math.isnan(kept(job, [1, {"a": math.nan}])[1]["a"])


def test_numpy_is_kept_with_its_types(job):
    numpy = pytest.importorskip("numpy")
    scalar = kept(job, numpy.float32(0.1))
    assert (scalar, type(scalar)) == (numpy.float32(0.1), numpy.float32)
    array = numpy.array([[1, 2]], dtype=numpy.int8)
    found = kept(job, {"a": array})["a"]
    assert (found == array).all()
    assert found.dtype == array.dtype


def test_an_integer_too_long_for_text_is_kept(job):
    # Compared by hand: pytest would show the number, which Python refuses.
    found = kept(job, {"huge": 10**5000})["huge"]
    assert (found - 10**5000) == 0


def test_functions_and_local_classes_are_kept(job):
    offset = 3

    class Local:
        def run(self, x):
            return x + offset

    assert kept(job, (lambda x: x + offset))(1) == 4
    assert kept(job, Local()).run(1) == 4


def test_a_list_within_itself_is_kept(job):
    given = [1]
    given.append(given)
    found = kept(job, given)
    assert found[1] is found


def test_a_value_too_deep_to_pickle_costs_the_value_only(job, caplog):
    given = []
    for _ in range(100_000):
        given = [given]
    value.save(job, given)
    assert "cannot be pickled" in caplog.text
    assert isinstance(value.load(job), str)


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ([threading.Lock()], "[<unlocked _thread.lock"),
        ((n for n in ()), "<generator object"),
        (Obstinate(), "<Obstinate whose repr raises RuntimeError>"),
    ],
    ids=["lock", "generator", "obstinate"],
)
def test_of_a_value_that_cannot_be_pickled_the_repr_is_kept_with_a_warning(
    job, caplog, given, shown
):
    with caplog.at_level(logging.WARNING):
        value.save(job, given)
    assert value.load(job).startswith(shown)
    assert f"job 4 returned a {type(given).__name__} that cannot be pickled" in caplog.text


def test_a_value_is_read_in_another_process(job):
    value.save(job, {"score": (1, 2)})
    program = """
import pathlib, sys
from launchkit import value
from launchkit.job import Job
print(value.load(Job(4, (), pathlib.Path(sys.argv[1]))))
"""
    assert run_python(program, job.directory) == "{'score': (1, 2)}\n"


def test_only_the_owner_may_read_it(job, tmp_path):
    value.save(job, 1)
    value.save(job, {1})
    for name in ("result.json", "result.pkl"):
        assert stat.S_IMODE((job.own / name).stat().st_mode) == 0o600
