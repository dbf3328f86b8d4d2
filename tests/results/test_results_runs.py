"""The table of the runs: states, typed settings, swept values, broken files."""

import logging
import math
import os
import subprocess

import pandas as pd
import pytest
from result_trees import put, run, state, sweep

from launchkit import process_table
from launchkit.results import load_sweep
from launchkit.results.settings import parse_overrides, typed

CSV = "epoch,loss\n0,1.5\n1,0.5\n"


def test_a_row_a_job_with_what_its_state_file_says(tmp_path):
    sweep(tmp_path, [(["x=1"], "0"), (["x=2"], "1"), (["x=3"], "2")])
    run(tmp_path / "0", {"x": 1}, CSV, state=state("completed", started=100.0, ended=102.5))
    error = {"type": "ValueError", "message": "boom", "last_line": "ValueError: boom"}
    failed = state("failed", attempt=3, started=100.0, ended=101.0, error=error)
    run(tmp_path / "1", {"x": 2}, state=failed)
    run(tmp_path / "2", {"x": 3}, CSV, state=state("running", started=100.0))
    heartbeat = tmp_path / "2" / ".launchkit" / "heartbeat"
    heartbeat.touch()
    os.utime(heartbeat, (107.0, 107.0))
    runs = load_sweep(tmp_path).runs
    assert list(runs.columns) == [
        "directory", "sweep", "job", "state", "attempt", "started", "ended", "seconds", "rows",
        "error", "x",
    ]  # fmt: skip
    assert runs["state"].tolist() == ["completed", "failed", "running"]
    assert runs["seconds"].tolist() == [2.5, 1.0, 7.0]
    assert runs["rows"].tolist() == [2, 0, 2]
    assert runs["attempt"].tolist() == [1, 3, 1]
    assert runs["error"][1] == "ValueError: boom"
    assert pd.isna(runs["error"][0])
    assert runs["started"][0] == pd.Timestamp("1970-01-01T00:01:40Z")
    assert pd.isna(runs["ended"][2])


def test_a_running_job_whose_process_has_ended_is_lost(tmp_path):
    process = subprocess.Popen(["sleep", "1000"])
    gone = process_table.identity(process.pid)
    process.kill()
    process.wait()
    sweep(tmp_path, [(["x=1"], "0"), (["x=2"], "1"), (["x=3"], "2")])
    elsewhere = "0." + gone.split(".", 1)[1]
    for num, known in enumerate((gone, process_table.identity(), elsewhere)):
        run(tmp_path / str(num), state=state("running", started=1.0, process=known))
    assert load_sweep(tmp_path).runs["state"].tolist() == ["lost", "running", "running"]


def test_nested_settings_are_flattened_and_typed(tmp_path):
    for seed in (0, 1):
        variant = {
            "algo": {"lr": 0.1 + seed, "net": {"layers": [64, 64], "extra": {}}},
            "seed": seed, "flag": bool(seed), "name": "cem", "none": None,
        }  # fmt: skip
        run(tmp_path / str(seed), variant, CSV)
    runs = load_sweep(tmp_path).runs
    assert runs["algo.lr"].dtype == "float64"
    assert runs["seed"].dtype == "int64"
    assert runs["flag"].dtype == "bool"
    assert isinstance(runs["name"].dtype, pd.StringDtype) or runs["name"].dtype == object
    assert runs["algo.net.layers"].tolist() == ["[64, 64]"] * 2
    assert runs["algo.net.extra"].tolist() == ["{}"] * 2
    assert runs["none"].isna().all()


def test_numbers_stay_numbers_where_some_runs_lack_them(tmp_path):
    run(tmp_path / "0", {"n": 1, "flag": True}, CSV)
    run(tmp_path / "1", {"other": 1}, CSV)
    runs = load_sweep(tmp_path).runs
    assert runs["n"].dtype == "float64"
    assert runs["flag"].dtype == "boolean"


def test_a_setting_named_like_a_column_is_prefixed(tmp_path):
    for num in (0, 1):
        settings = {"state": f"s{num}", "job": num, "variant.job": "taken", "loss": num, "row": num}
        run(tmp_path / str(num), settings, CSV)
    results = load_sweep(tmp_path)
    assert results.runs["variant.state"].tolist() == ["s0", "s1"]
    assert results.runs["state"].tolist() == ["unknown"] * 2
    assert results.runs["variant.job"].tolist() == ["taken"] * 2
    assert results.runs["variant.variant.job"].tolist() == [0, 1]
    assert results.progress["loss"].tolist() == [0, 0, 1, 1]
    assert results.progress["metric.loss"].tolist() == [1.5, 0.5] * 2
    assert results.progress["row"].tolist() == [0, 1, 0, 1]
    assert results.progress["variant.row"].tolist() == [0, 0, 1, 1]


def test_non_finite_settings_are_floats_again(tmp_path):
    for num, (clip, text) in enumerate([("inf", "inf"), (1, "a"), ("-inf", "nan"), ("nan", "b")]):
        run(tmp_path / str(num), {"clip": clip, "text": text}, CSV)
    runs = load_sweep(tmp_path).runs
    assert runs["clip"].tolist()[:3] == [math.inf, 1.0, -math.inf]
    assert runs["clip"].dtype == "float64"
    assert runs["text"].tolist() == ["inf", "a", "nan", "b"]


def test_json_with_literals_beyond_json_is_read(tmp_path):
    run(tmp_path / "0", '{"a": NaN, "b": Infinity, "c": -Infinity}', CSV)
    row = load_sweep(tmp_path).runs.iloc[0]
    assert math.isnan(row["a"])
    assert (row["b"], row["c"]) == (math.inf, -math.inf)


def test_the_swept_values_are_those_of_overrides_that_differ(tmp_path):
    jobs = [
        (["algorithm=cem", "+opt.lr=0.1", "fixed=3", "seed=1", "db@main.db='my sql'"], "0"),
        (["algorithm=pg", "+opt.lr=0.2", "fixed=3", "seed=2", "db@main.db=pg"], "1"),
    ]
    sweep(tmp_path, jobs)
    for num, name in enumerate(["cem", "pg"]):
        variant = {
            "algorithm": {"name": name, "own": num}, "opt": {"lr": (num + 1) / 10},
            "fixed": 3, "seed": num + 1, "exp_name": f"exp_{num}",
        }  # fmt: skip
        run(tmp_path / str(num), variant, CSV)
    results = load_sweep(tmp_path)
    assert results.swept == ["algorithm", "opt.lr", "seed", "db@main.db"]
    assert list(results.progress.columns) == ["job", "row", *results.swept, "epoch", "loss"]
    first = results.progress.iloc[0]
    assert first[results.swept].tolist() == ["cem", 0.1, 1, "my sql"]
    assert results.progress["seed"].dtype == "int64"


def test_a_choice_of_a_group_stays_text_and_a_pending_value_is_typed_as_its_like(tmp_path):
    sweep(tmp_path, [(["env=1", "n=1"], "0"), (["env=2", "n=2"], "1")])
    run(tmp_path / "0", {"env": {"name": "a"}, "n": 1}, CSV)
    results = load_sweep(tmp_path)
    assert results.runs["env"].tolist() == ["1", "2"]
    assert results.runs["n"].tolist() == [1, 2]
    assert results.runs["n"].dtype == "int64"


def test_a_deletion_that_only_some_jobs_have_is_a_column_of_booleans(tmp_path):
    sweep(tmp_path / "a", [(["~opt.clip"], "0")])
    sweep(tmp_path / "b", [(["x=1"], "0")])
    run(tmp_path / "a" / "0", {"x": 1}, CSV)
    run(tmp_path / "b" / "0", {"x": 1}, CSV)
    results = load_sweep(tmp_path)
    assert results.swept == ["~opt.clip"]
    assert results.runs["~opt.clip"].tolist() == [True, False]


def test_settings_of_other_trees_that_differ_count_as_swept_but_names_do_not(tmp_path):
    for num in (0, 1):
        variant = {
            "lr": num, "same": 1, "seed": num, "exp_name": f"e{num}", "exp_id": num,
            "log_dir": f"/x/{num}", "a": {"unique_id": num, "trial_name": f"t{num}"},
        }  # fmt: skip
        run(tmp_path / str(num), variant, CSV)
    assert load_sweep(tmp_path).swept == ["lr", "seed"]


def test_rows_of_several_sweeps_tell_their_sweep(tmp_path):
    for name in ("a", "b"):
        sweep(tmp_path / name, [([f"x={name}"], "0")])
        run(tmp_path / name / "0", {"x": name}, CSV)
    both = load_sweep(tmp_path)
    assert list(both.progress.columns) == ["sweep", "job", "row", "x", "epoch", "loss"]
    assert both.progress["sweep"].tolist() == [str(tmp_path / n) for n in "aabb"]
    assert "sweep" not in load_sweep(tmp_path / "a").progress


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "is empty"),
        ('{"a": 1, "b', "broken or cut off"),
        ("[1, 2]", "holds a list"),
        (b"\xff\xfe{}", "not UTF-8"),
        ("[" * 100_000, "variant.json"),
    ],
)
def test_a_broken_variant_is_reported_and_the_rest_is_kept(tmp_path, caplog, content, reason):
    run(tmp_path / "0", {"lr": 1}, CSV)
    broken = run(tmp_path / "1", content, CSV)
    run(tmp_path / "2", {"lr": 2}, CSV)
    with caplog.at_level(logging.WARNING, logger="launchkit"):
        results = load_sweep(tmp_path)
    (problem,) = results.problems
    assert problem.directory == str(broken)
    assert reason in problem.reason
    assert str(broken) in caplog.text
    assert results.progress["job"].tolist() == [0, 0, 1, 1, 2, 2]
    assert results.swept == ["lr"]


def test_rllab_params_are_read_without_the_pickled_call(tmp_path):
    run(tmp_path / "0", params={"args_data": "gASV", "seed": 3, "algo": {"lr": 0.1}}, progress=CSV)
    run(tmp_path / "1", variant="", params={"seed": 4}, progress=CSV)
    results = load_sweep(tmp_path)
    assert "args_data" not in results.runs
    assert results.runs["seed"].tolist() == [3, 4]
    assert len(results.problems) == 1


def test_a_bom_before_a_variant_is_no_fault(tmp_path):
    run(tmp_path / "0", b'\xef\xbb\xbf{"a": 1}', CSV)
    results = load_sweep(tmp_path)
    assert results.runs["a"].tolist() == [1]
    assert results.problems == []


@pytest.mark.parametrize("content", ["", "[]", '{"attempt": 1}', '{"state": 3}', "{"])
def test_a_broken_state_is_reported(tmp_path, content):
    run(tmp_path / "0", {"a": 1}, CSV)
    put(tmp_path / "0" / ".launchkit" / "state.json", content)
    results = load_sweep(tmp_path)
    assert results.runs["state"].tolist() == ["unknown"]
    assert results.runs["a"].tolist() == [1]
    assert "state.json is broken" in results.problems[0].reason


def test_a_file_that_is_a_directory_is_reported(tmp_path):
    run(tmp_path / "0", {"a": 1})
    (tmp_path / "0" / "progress.csv").mkdir()
    run(tmp_path / "1", {"a": 2}, CSV)
    results = load_sweep(tmp_path)
    assert "progress.csv cannot be read" in results.problems[0].reason
    assert results.runs["rows"].tolist() == [0, 2]


def test_a_key_that_is_flat_and_nested_is_reported(tmp_path):
    run(tmp_path / "0", {"a": {"b": 2}, "a.b": 1}, CSV)
    results = load_sweep(tmp_path)
    assert results.runs["a.b"].tolist() == [1]
    assert "'a.b' twice" in results.problems[0].reason


def test_runs_without_rows_give_an_empty_progress(tmp_path):
    run(tmp_path / "0", {"a": 1})
    run(tmp_path / "1", {"a": 2}, "epoch,loss\n")
    results = load_sweep(tmp_path)
    assert len(results.progress) == 0
    assert list(results.progress.columns) == ["job", "row", "a"]
    assert results.problems == []


def test_override_strings_are_split_into_name_and_text():
    texts = ["a=1", "+b=x=y", "++c.d='q'", "~e", "~f=1", "g@h=i"]
    expected = {"a": "1", "b": "x=y", "c.d": "'q'", "~e": True, "~f": True, "g@h": "i"}
    assert parse_overrides(texts) == expected


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1), ("-2", -2), ("0.5", 0.5), ("1e-3", 0.001), ("true", True), ("False", False),
        ("null", None), ("'1'", "1"), (r"'it\'s'", "it's"), ("inf", math.inf), ("[1,2]", "[1,2]"),
        ("abc", "abc"), ("'", "'"), ("1_0", "1_0"),
    ],
)  # fmt: skip
def test_the_text_of_an_override_is_typed(text, value):
    assert typed(text) == value
    assert type(typed(text)) is type(value)


def test_times_are_utc_and_what_is_no_time_is_missing(tmp_path):
    sweep(tmp_path, [([f"x={num}"], str(num)) for num in range(4)])
    for num, started in enumerate((1795340795.9063766, 0.0, 1e300, None)):
        run(tmp_path / str(num), state=state("completed", started=started, ended=started))
    times = load_sweep(tmp_path).runs["started"]
    assert str(times.dtype) == "datetime64[ns, UTC]"
    assert times[0] == pd.Timestamp("2026-11-22T09:46:35.906376600Z")
    assert times[1] == pd.Timestamp("1970-01-01T00:00:00Z")
    assert times[2:].isna().all()
