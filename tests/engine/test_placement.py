"""Which job gets which part of this machine."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launchkit.job import Job, Needs
from launchkit.machine.placement import THREAD_VARIABLES, Place, Places, find_gpus, usable_cores

NEEDS = st.builds(Needs, gpus=st.none() | st.integers(0, 3), cpus=st.none() | st.integers(1, 5))


def job(needs, num=0):
    return Job(num, (), Path(), needs)


@st.composite
def machines(draw):
    """Draw the settings of places."""
    gpus = draw(st.none() | st.lists(st.sampled_from("0123"), unique=True))
    return {
        "n_jobs": draw(st.none() | st.integers(1, 4)),
        "gpus": gpus,
        "jobs_per_gpu": draw(st.integers(1, 3)),
        "gpus_per_job": draw(st.none() | st.integers(0, 2)) if gpus else None,
        "cpus_per_job": draw(st.none() | st.integers(1, 3)),
    }


@given(machines(), st.lists(st.tuples(NEEDS, st.integers(0, 6)), max_size=40))
def test_nothing_is_ever_given_out_twice(settings, moves):
    places = Places(**settings)
    taken = []
    for needs, end in moves:
        try:
            places.check(job(needs))
        except ValueError:
            continue
        if end < len(taken):
            places.give_back(taken.pop(end))
        before = list(taken)
        place = places.take(needs)
        if place is None:
            assert taken, "a job that fits on this machine waits although nothing runs"
            continue
        taken.append(place)
        wanted = needs.gpus if needs.gpus is not None else settings["gpus_per_job"]
        if wanted is None:
            wanted = 1 if settings["gpus"] else 0
        assert len(place.gpus or ()) == len(set(place.gpus or ())) == wanted
        assert (place.gpus is None) == (settings["gpus"] is None)
        assert place.cpus == (needs.cpus if needs.cpus is not None else settings["cpus_per_job"])
        shared = Counter(gpu for known in taken for gpu in known.gpus or ())
        assert all(many <= settings["jobs_per_gpu"] for many in shared.values())
        assert set(shared) <= set(settings["gpus"] or ())
        if settings["n_jobs"] is not None:
            assert len(taken) <= settings["n_jobs"]
        elif before and not wanted:
            assert sum(known.cpus or 1 for known in taken) <= usable_cores()
    for place in taken:
        places.give_back(place)
    # All of it is there again.
    first = places.take(Needs(gpus=min(3, len(settings["gpus"] or ()))))
    assert first is not None


def test_without_a_number_as_many_run_as_there_are_cores():
    places = Places()
    taken = [places.take(Needs()) for _ in range(usable_cores())]
    assert None not in taken
    assert places.take(Needs()) is None
    places.give_back(taken[0])
    assert places.take(Needs()) is not None


def test_threads_count_as_cores_and_a_job_with_too_many_runs_alone():
    cores = usable_cores()
    places = Places(cpus_per_job=cores + 5)
    first = places.take(Needs())
    assert first.cpus == cores + 5
    assert places.take(Needs(cpus=1)) is None
    places.give_back(first)
    beside = places.take(Needs(cpus=1))
    assert places.take(Needs()) is None
    places.give_back(beside)
    assert places.take(Needs()) is not None


def test_a_number_of_jobs_is_taken_at_its_word():
    places = Places(3, cpus_per_job=1000)
    assert [places.take(Needs()) is None for _ in range(4)] == [False] * 3 + [True]


def test_jobs_with_gpus_wait_for_those_and_not_for_cores():
    places = Places(gpus=[str(n) for n in range(usable_cores() + 3)])
    taken = [places.take(Needs()) for _ in range(usable_cores() + 3)]
    assert None not in taken
    assert places.take(Needs()) is None


def test_a_job_gets_the_emptiest_gpus():
    places = Places(gpus=["a", "b", "c"], jobs_per_gpu=2)
    one = places.take(Needs())
    two = places.take(Needs(gpus=2))
    assert (one.gpus, two.gpus) == (("a",), ("b", "c"))
    places.give_back(two)
    assert places.take(Needs(gpus=2)).gpus == ("b", "c")
    assert places.take(Needs(gpus=3)).gpus == ("a", "b", "c")
    # Now a is full, and b and c are too.
    assert places.take(Needs()) is None


def test_a_job_without_gpus_sees_none_where_they_are_given_out():
    assert Places(gpus=["0"]).take(Needs(gpus=0)).environment() == {"CUDA_VISIBLE_DEVICES": ""}
    assert Places(gpus=[]).take(Needs()).environment() == {"CUDA_VISIBLE_DEVICES": ""}
    assert Places().take(Needs()).environment() == {}


def test_a_place_is_the_variables_that_libraries_read():
    assert Place(("3", "GPU-8a"), 2, 2).environment() == {
        "CUDA_VISIBLE_DEVICES": "3,GPU-8a",
        **dict.fromkeys(THREAD_VARIABLES, "2"),
    }
    assert {"OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"} <= set(THREAD_VARIABLES)


@pytest.mark.parametrize(
    ("gpus", "needs", "message"),
    [
        (["0", "1"], Needs(gpus=3), r"job 4 needs 3 GPUs and gpus is \['0', '1'\]; set gpus to"),
        ([], Needs(gpus=1), r"job 4 needs 1 GPUs and there are none to give; .* gpus_per_job"),
        (None, Needs(gpus=1), r"job 4 needs 1 GPUs and there are none to give"),
    ],
)
def test_a_job_that_can_never_run_is_refused_by_name(gpus, needs, message):
    with pytest.raises(ValueError, match=message):
        Places(gpus=gpus).check(job(needs, 4))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"n_jobs": 3}, "3 at a time"),
        ({"gpus": ["0", "1"], "jobs_per_gpu": 2}, "4 at a time on GPUs 0, 1"),
        ({"gpus": ["0", "1", "2"], "gpus_per_job": 2}, "1 at a time on GPUs 0, 1, 2"),
        ({"n_jobs": 2, "cpus_per_job": 4}, "2 at a time, 4 threads each"),
        ({"cpus_per_job": 10_000}, "1 at a time, 10000 threads each"),
    ],
)
def test_they_say_how_many_run_at_a_time(settings, words):
    assert Places(**settings).describe() == words


# Which GPUs there are


@pytest.mark.parametrize(
    ("visible", "found"),
    [
        ("0,1", ("0", "1")),
        (" 2 , GPU-8a4f ", ("2", "GPU-8a4f")),
        ("", ()),
        ("-1", ()),
        ("3,-1,4", ("3",)),
    ],
)
def test_those_that_this_process_may_see_are_found_in_its_environment(visible, found):
    assert find_gpus({"CUDA_VISIBLE_DEVICES": visible}) == found


def nvidia_smi(tmp_path, monkeypatch, script):
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")


def test_all_of_the_machine_are_found_with_nvidia_smi(tmp_path, monkeypatch):
    nvidia_smi(
        tmp_path,
        monkeypatch,
        'test "$1 $2" = "--query-gpu=index --format=csv,noheader" && printf "0\\n1\\n 10 \\n"',
    )
    assert find_gpus({}) == ("0", "1", "10")


@pytest.mark.parametrize("script", ["exit 9", "echo 'No devices were found'"])
def test_a_driver_without_devices_gives_none(tmp_path, monkeypatch, script):
    if list(Path("/dev").glob("nvidia[0-9]*")):
        pytest.skip("there are devices here")
    nvidia_smi(tmp_path, monkeypatch, script)
    assert find_gpus({}) == ()


def test_cores_are_those_that_this_process_may_use():
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert usable_cores() == 1
    finally:
        os.sched_setaffinity(0, before)
    assert usable_cores() == len(before)
