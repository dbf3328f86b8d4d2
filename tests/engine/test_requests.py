"""Requests to whoever drives a sweep."""

from __future__ import annotations

import os
import stat

from launchkit import requests


def test_without_a_request_there_is_none(empty_sweep):
    assert requests.take(empty_sweep) == []


def test_a_request_is_heard_once(empty_sweep):
    requests.ask_to_cancel(empty_sweep, (3, 1))
    assert requests.take(empty_sweep) == [(3, 1)]
    assert requests.take(empty_sweep) == []


def test_all_jobs_are_not_the_same_as_no_jobs(empty_sweep):
    requests.ask_to_cancel(empty_sweep, None)
    requests.ask_to_cancel(empty_sweep, ())
    assert sorted(requests.take(empty_sweep), key=str) == [(), None]


def test_none_of_many_is_lost(empty_sweep):
    for num in range(20):
        requests.ask_to_cancel(empty_sweep, (num,))
    assert sorted(requests.take(empty_sweep)) == [(num,) for num in range(20)]


def test_one_that_is_being_written_is_left_to_be_whole(empty_sweep):
    requests.ask_to_cancel(empty_sweep, (1,))
    (empty_sweep.own / requests.FOLDER / ".cancel-1.json.abc.tmp").write_text("[")
    assert requests.take(empty_sweep) == [(1,)]
    assert len(list((empty_sweep.own / requests.FOLDER).iterdir())) == 1


def test_they_are_for_the_owner_only(empty_sweep):
    before = os.umask(0)
    try:
        requests.ask_to_cancel(empty_sweep, (1,))
    finally:
        os.umask(before)
    folder = empty_sweep.own / requests.FOLDER
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()] == [0o600]
