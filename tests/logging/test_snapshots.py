"""Snapshots and extra data: which files, what they hold, and what bad input gets."""

from __future__ import annotations

import json
import math
import os
import pickle
import sys
import threading

import pytest


def names(directory):
    return sorted(path.name for path in directory.glob("*.pkl"))


@pytest.mark.parametrize(
    ("mode", "gap", "files"),
    [
        ("all", 1, ["itr_0.pkl", "itr_1.pkl", "itr_2.pkl", "itr_3.pkl"]),
        ("last", 1, ["params.pkl"]),
        ("gap", 3, ["itr_0.pkl", "itr_3.pkl"]),
        ("gap_and_last", 3, ["itr_0.pkl", "itr_3.pkl", "params.pkl"]),
        ("none", 1, []),
    ],
)
def test_each_mode_writes_its_files(log, run_directory, mode, gap, files):
    log.set_snapshot_mode(mode)
    log.set_snapshot_gap(gap)
    for itr in range(4):
        log.save_itr_params(itr, {"itr": itr})
    assert names(run_directory) == files
    for name in files:
        expected = 3 if name == "params.pkl" else int(name[4])
        assert pickle.loads((run_directory / name).read_bytes()) == {"itr": expected}


@pytest.mark.parametrize("mode", ["some", "", None, 3])
def test_an_unknown_snapshot_mode_is_refused_with_those_there_are(log, mode):
    with pytest.raises(ValueError, match="all, last, gap, gap_and_last, none") as caught:
        log.set_snapshot_mode(mode)
    assert repr(mode) in str(caught.value)


@pytest.mark.parametrize("gap", [0, -1, 1.5, "2", True, None])
def test_a_gap_that_is_no_whole_number_of_one_or_more_is_refused(log, gap):
    with pytest.raises(ValueError, match="1 or more") as caught:
        log.set_snapshot_gap(gap)
    assert repr(gap) in str(caught.value)


def test_lambdas_and_local_classes_are_saved(log, run_directory):
    pytest.importorskip("cloudpickle")

    class Local:
        number = 3

    log.set_snapshot_mode("last")
    log.save_itr_params(0, {"f": lambda x: x + 1, "c": Local()})
    loaded = pickle.loads((run_directory / "params.pkl").read_bytes())
    assert (loaded["f"](1), loaded["c"].number) == (2, 3)


def test_an_object_that_cannot_be_pickled_leaves_the_good_snapshot(log, run_directory):
    log.set_snapshot_mode("gap_and_last")
    log.save_itr_params(0, "good")
    with pytest.raises(pickle.PicklingError, match=r"params\.pkl|itr_1\.pkl") as caught:
        log.save_itr_params(1, {"lock": threading.Lock()})
    assert "builtins.dict" in str(caught.value)
    assert names(run_directory) == ["itr_0.pkl", "params.pkl"]
    assert pickle.loads((run_directory / "params.pkl").read_bytes()) == "good"
    assert not [name for name in os.listdir(run_directory) if name.endswith(".tmp")]


def test_without_cloudpickle_pickles_own_refusal_is_told(log, monkeypatch):
    monkeypatch.setitem(sys.modules, "cloudpickle", None)
    with pytest.raises(pickle.PicklingError, match=r"lambda|local object"):
        log.save_itr_params(0, lambda: 0)


def test_a_snapshot_is_on_the_disk_before_it_takes_its_name(log, monkeypatch):
    calls = []
    real_sync, real_replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: calls.append("sync") or real_sync(fd))
    monkeypatch.setattr(os, "replace", lambda *a: calls.append("name") or real_replace(*a))
    log.save_itr_params(0, 1)
    assert calls == ["sync", "name"]


@pytest.mark.parametrize(
    ("mode", "name"), [("pickle", "x.pkl"), ("joblib", "x.pkl"), ("cloudpickle", "x.pkl.cpkl")]
)
def test_extra_data_is_at_the_path_that_is_returned(log, run_directory, mode, name):
    pytest.importorskip("pickle" if mode == "pickle" else mode)
    path = log.save_extra_data({"a": [1, 2]}, "x.pkl", mode=mode)
    assert path == str(run_directory / name)
    if mode == "joblib":
        import joblib

        assert joblib.load(path) == {"a": [1, 2]}
        assert os.stat(path).st_size > 0
    else:
        with open(path, "rb") as stream:
            assert pickle.load(stream) == {"a": [1, 2]}


def test_joblib_compresses(log):
    pytest.importorskip("joblib")
    path = log.save_extra_data(b"x" * 100_000, mode="joblib")
    assert os.stat(path).st_size < 5000


def test_extra_data_is_pickled_by_default_under_rlkits_name(log, run_directory):
    assert log.save_extra_data(5) == str(run_directory / "extra_data.pkl")
    assert pickle.loads((run_directory / "extra_data.pkl").read_bytes()) == 5


def test_extra_data_as_json_takes_what_a_variant_takes(log):
    path = log.save_extra_data({"a.b": math.inf, "a": {}, "s": {2, 1}}, "x.json", mode="json")
    with open(path) as stream:
        assert json.load(stream) == {"a.b": "inf", "a": {}, "s": [1, 2]}


def test_extra_data_goes_into_folders_below(log, run_directory):
    assert log.save_extra_data(1, "a/b/c.pkl") == str(run_directory / "a" / "b" / "c.pkl")


@pytest.mark.parametrize("name", ["../x.pkl", "/tmp/x.pkl", "a/../../x.pkl", "", ".", "a\0b"])
def test_a_name_that_leads_out_of_the_directory_is_refused(log, name):
    with pytest.raises(ValueError, match="below"):
        log.save_extra_data(1, name)


def test_an_absolute_path_inside_the_directory_is_taken(log, run_directory):
    path = run_directory / "x.pkl"
    assert log.save_extra_data(1, str(path)) == str(path)


def test_an_unknown_mode_of_extra_data_is_refused_with_those_there_are(log, run_directory):
    with pytest.raises(ValueError, match=r"'yaml'.*pickle, joblib, cloudpickle, json"):
        log.save_extra_data(1, mode="yaml")
    assert names(run_directory) == []


@pytest.mark.parametrize("package", ["joblib", "cloudpickle"])
def test_a_missing_package_is_named_with_how_to_install_it(log, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=f"pip install {package}"):
        log.save_extra_data(1, mode=package)
