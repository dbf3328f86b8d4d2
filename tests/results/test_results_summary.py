"""The summary of a sweep, as `launchkit table` shows it."""

import math

import pytest
from result_trees import run, state, sweep

from launchkit.results import load_sweep, render_table, summary_table


@pytest.fixture
def results(tmp_path):
    sweep(tmp_path, [(["lr=0.1", "algorithm=cem"], "0"), (["lr=0.25", "algorithm=pg"], "1"),
                     (["lr=0.5", "algorithm=pg"], "2")])  # fmt: skip
    done = state("completed", started=10.0, ended=12.34567)
    run(
        tmp_path / "0",
        {"lr": 0.1},
        "epoch,loss,Reward,tag\n0,3,10,x\n1,1,30,y\n2,2,20,z\n",
        state=done,
    )
    run(
        tmp_path / "1",
        {"lr": 0.25},
        "epoch,loss,Reward,tag\n0,5,1,x\n1,nan,2.345678,y\n",
        state=done,
    )
    return load_sweep(tmp_path)


def test_a_row_a_job_with_last_and_best_of_the_telling_metrics(results):
    table = summary_table(results)
    assert list(table.columns) == [
        "job", "state", "time", "lr", "algorithm",
        "loss.last", "loss.best", "Reward.last", "Reward.best",
    ]  # fmt: skip
    assert table["state"].tolist() == ["completed", "completed", "pending"]
    assert table["loss.last"].tolist()[:2] == [2, 5]  # the last that is there
    assert table["loss.best"].tolist()[:2] == [1, 5]  # smaller is better
    assert table["Reward.last"].tolist()[:2] == [20, 2.345678]
    assert table["Reward.best"].tolist()[:2] == [30, 2.345678]
    assert math.isnan(table["loss.last"][2])


def test_how_many_attempts_each_took_is_shown_where_one_took_several(tmp_path):
    sweep(tmp_path, [(["lr=0.1"], "0"), (["lr=0.2"], "1")])
    run(tmp_path / "0", {"lr": 0.1}, "", state=state("completed"))
    run(tmp_path / "1", {"lr": 0.2}, "", state=state("completed", attempt=3))
    table = summary_table(load_sweep(tmp_path))
    assert list(table.columns) == ["job", "state", "attempts", "time", "lr"]
    assert table["attempts"].tolist() == [1, 3]


def test_metrics_can_be_named_and_the_direction_set(results):
    table = summary_table(results, ["epoch", "loss"], best={"loss": "max"})
    assert table["loss.best"].tolist()[:2] == [3, 5]
    assert table["epoch.last"].tolist()[:2] == [2, 1]


def test_what_cannot_be_shown_is_refused_by_name(results):
    with pytest.raises(ValueError, match=r"no metric 'nope'.*epoch, loss, Reward, tag"):
        summary_table(results, ["nope"])
    with pytest.raises(ValueError, match="'tag' is text"):
        summary_table(results, ["tag"])
    with pytest.raises(ValueError, match=r"'upwards'.*'min' or 'max'"):
        summary_table(results, ["loss"], best={"loss": "upwards"})


@pytest.mark.parametrize(
    ("header", "chosen"),
    [
        ("AverageReturn,loss,score", ["AverageReturn"]),
        ("epoch,eval/Returns,train_loss,accuracy", ["eval/Returns", "train_loss"]),
        ("epoch,total_time,itr,entropy,kl", ["entropy"]),
        ("epoch,time", []),
    ],
)
def test_the_metrics_shown_by_default(tmp_path, header, chosen):
    run(tmp_path / "0", {"a": 1}, header + "\n" + ",".join("1" * len(header.split(","))) + "\n")
    columns = summary_table(load_sweep(tmp_path)).columns
    assert [c.removesuffix(".last") for c in columns if c.endswith(".last")] == chosen


def test_a_sweep_that_has_not_begun_has_a_table(tmp_path):
    sweep(tmp_path, [(["x=1"], "0"), (["x=2"], "1")])
    table = summary_table(load_sweep(tmp_path))
    assert table["x"].tolist() == [1, 2]
    assert "pending" in render_table(table, 80)


def test_jobs_of_several_sweeps_are_told_apart(tmp_path):
    for name in "ab":
        sweep(tmp_path / name, [([f"x={name}"], "0")])
        run(tmp_path / name / "0", {"x": name}, f"score\n{ord(name)}\n")
    table = summary_table(load_sweep(tmp_path))
    assert table["sweep"].tolist() == [str(tmp_path / "a"), str(tmp_path / "b")]
    assert table["score.best"].tolist() == [97, 98]


def test_the_text_has_four_digits_and_a_dash_for_what_is_missing(results):
    text = render_table(summary_table(results), 120)
    assert "2.346" in text
    assert "2.3456" not in text
    pending = text.splitlines()[-1].split()
    assert pending[:2] == ["2", "pending"]
    assert pending[-1] == "-"


@pytest.mark.parametrize("width", [20, 30, 40, 60, 80, 200])
def test_the_text_fits_and_names_what_it_left_out(results, width):
    table = summary_table(results)
    table["directory"] = "/a/very/long/path/" * 8 + "end"
    text = render_table(table, width)
    lines = text.split("\nnot shown: ")
    assert all(len(line) <= width for line in lines[0].splitlines())
    assert "job" in lines[0].split()
    left_out = lines[1].split(", ") if len(lines) > 1 else []
    header = lines[0].splitlines()[0].split()
    assert len(header) + len(left_out) == len(table.columns)
    if width == 200:
        assert left_out == []
        assert "path/end" in text
