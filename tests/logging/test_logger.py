"""The logger's interface, as rlkit's callers use it."""

from __future__ import annotations

import io
import math
import os
import re
import sys

import pytest
from viskit_reader import read_progress

from launchkit.logging import Logger, NotOpenError
from launchkit.logging import logger as the_logger


def progress(directory):
    return read_progress(directory / "progress.csv")


def text_of(directory):
    return (directory / "debug.log").read_text(encoding="utf-8")


# Metrics


def test_there_is_one_global_logger():
    from launchkit import logger

    assert logger is the_logger
    assert isinstance(logger, Logger)


def test_record_and_dump(log, run_directory):
    log.record_tabular("epoch", 0)
    log.record_dict({"loss": 0.5}, prefix="trainer/")
    log.record_dict({"loss": 0.7}, "eval/")
    log.dump_tabular()
    log.dump_tabular()  # nothing recorded, no row
    assert progress(run_directory) == {"epoch": [0], "trainer/loss": [0.5], "eval/loss": [0.7]}


def test_the_later_value_of_a_metric_counts(log, run_directory):
    log.record_tabular("a", 1)
    log.record_dict({"a": 2, "b": 3})
    log.dump_tabular()
    assert progress(run_directory) == {"a": [2], "b": [3]}


def test_a_value_is_taken_when_it_is_recorded(log, run_directory):
    np = pytest.importorskip("numpy")
    running = np.array(1.0)
    log.record_tabular("a", running)
    running += 1
    log.dump_tabular()
    assert progress(run_directory) == {"a": [1.0]}


def test_names_that_are_no_text_become_text(log):
    log.record_dict({1: 2, None: 3, (1, 2): 4}, prefix="p/")
    assert log.get_table_dict() == {"p/1": "2", "p/None": "3", "p/(1, 2)": "4"}


def test_tabular_prefixes_nest_and_end_with_their_block(log):
    with pytest.raises(KeyError), log.tabular_prefix("a/"):
        log.push_tabular_prefix("b/")
        log.record_dict({"x": 1}, prefix="c/")
        log.pop_tabular_prefix()
        log.record_tabular("y", 2)
        raise KeyError
    log.record_tabular("z", 3)
    assert log.get_table_dict() == {"a/b/c/x": "1", "a/y": "2", "z": "3"}
    assert log.get_table_key_set() == {"a/b/c/x", "a/y", "z"}


def test_misc_stats_of_a_list():
    log = Logger()
    log.record_tabular_misc_stat("Return", [1, 2, 3, 10])
    log.record_tabular_misc_stat("Loss", [2.0], placement="front")
    table = {name: float(text) for name, text in log.get_table_dict().items()}
    assert table == {
        "ReturnAverage": 4.0,
        "ReturnStd": pytest.approx(12.5**0.5),
        "ReturnMedian": 2.5,
        "ReturnMin": 1.0,
        "ReturnMax": 10.0,
        "AverageLoss": 2.0,
        "StdLoss": 0.0,
        "MedianLoss": 2.0,
        "MinLoss": 2.0,
        "MaxLoss": 2.0,
    }


@pytest.mark.parametrize("values", [[], [1.0, math.nan], [None], ["x"]])
def test_misc_stats_without_numbers_are_nan(values):
    log = Logger()
    log.record_tabular_misc_stat("a", values)
    assert set(log.get_table_dict().values()) == {"nan"}
    assert len(log.get_table_dict()) == 5


@pytest.mark.parametrize(
    "values", [[[1.0, 2.0], [3.0, 5.0]], [0.1] * 7, [1e308, 1e308], [-1, 2], [math.inf, 1.0]]
)
def test_misc_stats_are_those_of_numpy(values):
    np = pytest.importorskip("numpy")
    log = Logger()
    for given in (values, np.array(values), tuple(values)):
        log.record_tabular_misc_stat("a", given)
        got = {name: float(text) for name, text in log.get_table_dict().items()}
        array = np.array(values, dtype="longdouble")
        with np.errstate(invalid="ignore", over="ignore"):
            wanted = {
                "aAverage": np.average(array),
                "aStd": np.std(array),
                "aMedian": np.median(array),
                "aMin": np.min(array),
                "aMax": np.max(array),
            }
        if math.inf in values:
            wanted["aStd"] = got["aStd"]
        assert got == pytest.approx({k: float(v) for k, v in wanted.items()}, nan_ok=True)


def test_write_header_of_rlkit_is_accepted_and_harmless(log, run_directory):
    for _ in range(2):
        log.record_tabular("a", 1)
        log.dump_tabular(with_prefix=True, with_timestamp=False, write_header=True)
    assert (run_directory / "progress.csv").read_text() == "a\n1\n1\n"


# Text


def test_a_line_has_time_and_prefix(log, run_directory, capsys):
    with log.prefix("itr #1 | "):
        log.log("hello")
    log.log("bare", with_prefix=False, with_timestamp=False)
    first, second = text_of(run_directory).splitlines()
    when = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6} \S+"
    assert re.fullmatch(rf"{when} \| \[run\] itr #1 \| hello", first)
    assert second == "bare"
    assert capsys.readouterr().out == text_of(run_directory)


def test_a_prefix_ends_with_its_block_even_when_it_raises(log, run_directory):
    with pytest.raises(KeyError), log.prefix("a"):
        log.push_prefix("b")
        log.pop_prefix()
        raise KeyError
    log.log("x", with_timestamp=False)
    assert text_of(run_directory) == "[run] x\n"


def test_the_printed_table_is_in_debug_log_too(log, run_directory, capsys):
    log.record_dict({"loss": 0.5, "epoch": 3})
    log.dump_tabular()
    table = "-----  ---\nloss   0.5\nepoch  3\n-----  ---\n"
    assert text_of(run_directory) == table
    assert capsys.readouterr().out == table


def test_the_table_can_have_prefix_and_time_before_each_line(log, run_directory):
    log.record_dict({"loss": 0.5})
    log.dump_tabular(with_prefix=True, with_timestamp=True)
    lines = text_of(run_directory).splitlines()
    assert len(lines) == 3
    assert all(re.match(r"\d{4}-.* \| \[run\] (----  ---|loss  0\.5)$", line) for line in lines)


def test_a_table_costs_one_write_to_debug_log(log, run_directory, monkeypatch):
    writes = []
    real_write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: writes.append(data) or real_write(fd, data))
    log.record_dict({"a": 1, "b": 2})
    log.dump_tabular()
    assert writes == [b"a,b\n1,2\n", b"-  -\na  1\nb  2\n-  -\n"]


def test_print_table_off_leaves_the_csv_alone(log, run_directory, capsys):
    log.set_print_table(False)
    assert log.get_print_table() is False
    log.record_tabular("a", 1)
    log.dump_tabular()
    assert progress(run_directory) == {"a": [1]}
    assert text_of(run_directory) == "" and capsys.readouterr().out == ""


def test_log_tabular_only_needs_no_tty_and_starts_no_process(
    log, run_directory, capsys, monkeypatch
):
    monkeypatch.setattr(os, "popen", pytest.fail)
    log.set_log_tabular_only(True)
    assert log.get_log_tabular_only() is True
    log.log("not on the terminal")
    for epoch in range(2):
        log.record_dict({"epoch": epoch, "loss": 0.5})
        log.dump_tabular()
    assert capsys.readouterr().out.splitlines() == [
        "epoch  loss",
        "-----  ----",
        "    0   0.5",
        "    1   0.5",
    ]
    assert "not on the terminal" in text_of(run_directory)


def test_log_tabular_only_redraws_the_table_on_a_terminal(log, monkeypatch):
    class Tty(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stdout", Tty())
    log.set_log_tabular_only(True)
    for epoch in range(2):
        log.record_dict({"epoch": epoch})
        log.dump_tabular()
    last = sys.stdout.getvalue().split("\x1b[2J\x1b[H")[-1]
    assert last == "epoch\n-----\n    0\n    1\n"


def test_a_terminal_without_unicode_kills_nothing(log, run_directory, monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    log.log("é \udc80", with_timestamp=False)
    assert raw.getvalue() == b"[run] \\xe9 \\udc80\n"
    assert text_of(run_directory) == "[run] é \\udc80\n"


def test_no_terminal_at_all_kills_nothing(log, run_directory, monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    log.set_log_tabular_only(True)
    log.record_tabular("a", 1)
    log.dump_tabular()
    log.log("x")
    assert progress(run_directory) == {"a": [1]}


# Setting up


def test_open_makes_debug_log_at_once(log, run_directory):
    assert sorted(os.listdir(run_directory)) == ["debug.log"]
    assert log.directory == run_directory
    assert log.get_snapshot_dir() == str(run_directory)
    assert (log.get_snapshot_mode(), log.get_snapshot_gap()) == ("last", 1)


def test_open_takes_other_names_and_settings(tmp_path):
    log = Logger()
    log.open(
        tmp_path,
        exp_name="n",
        snapshot_mode="gap",
        snapshot_gap=5,
        print_table=False,
        log_tabular_only=True,
        text_file="text.log",
        tabular_file="table.csv",
    )
    log.record_tabular("a", 1)
    log.dump_tabular()
    assert sorted(os.listdir(tmp_path)) == ["table.csv", "text.log"]
    assert (log.get_snapshot_mode(), log.get_snapshot_gap()) == ("gap", 5)
    assert log.get_log_tabular_only() and not log.get_print_table()
    log.close()


@pytest.mark.parametrize("wrong", [{"snapshot_mode": "best"}, {"snapshot_gap": 0}])
def test_wrong_settings_are_refused_before_anything_is_closed_or_made(log, tmp_path, wrong):
    (value,) = wrong.values()
    with pytest.raises(ValueError, match=re.escape(repr(value))):
        log.open(tmp_path / "other", **wrong)
    assert not (tmp_path / "other").exists()
    assert log.directory == tmp_path / "run"


def test_a_restart_continues_the_files(tmp_path):
    for epoch in range(3):
        log = Logger()
        log.open(tmp_path, exp_name="n")
        log.record_dict({"epoch": epoch})
        log.dump_tabular()
        log.log("line")
        log.close()
    assert (tmp_path / "progress.csv").read_text() == "epoch\n0\n1\n2\n"
    assert text_of(tmp_path).count("line") == 3


def test_two_runs_in_one_directory_do_not_truncate_each_others_rows(tmp_path):
    one, two = Logger(), Logger()
    for log in (one, two):
        log.open(tmp_path, print_table=False)
    for log in (one, two, one, two):
        log.record_dict({"a": 1})
        log.dump_tabular()
    assert (tmp_path / "progress.csv").read_text().count("1\n") == 4


def test_close_closes_every_handle_and_forgets_the_directory(tmp_path):
    before = set(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else set()
    log = Logger()
    log.open(tmp_path / "a")
    log.add_text_output(tmp_path / "b" / "more.log")
    log.add_tabular_output(tmp_path / "b" / "more.csv")
    log.record_tabular("a", 1)
    log.dump_tabular()
    log.close()
    log.close()
    assert log.directory is None and log.get_snapshot_dir() is None
    if before:
        assert set(os.listdir("/proc/self/fd")) == before
    with pytest.raises(NotOpenError):
        log.dump_tabular()


def test_opening_anew_leaves_nothing_of_the_last_job(tmp_path):
    log = Logger()
    log.open(tmp_path / "0", exp_name="zero", print_table=False, snapshot_mode="none")
    log.push_prefix("p")
    log.push_tabular_prefix("t/")
    log.record_tabular("lost", 1)
    log.open(tmp_path / "1", exp_name="one")
    log.record_tabular("a", 1)
    log.dump_tabular(with_prefix=True)
    assert progress(tmp_path / "1") == {"a": [1]}
    assert text_of(tmp_path / "1").startswith("[one] -")
    assert log.get_snapshot_mode() == "last"
    log.close()


def test_relative_paths_stay_where_they_were_when_the_program_moves(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    log = Logger()
    log.open("run")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    log.record_tabular("a", 1)
    log.dump_tabular()
    log.save_itr_params(0, 1)
    assert {"progress.csv", "params.pkl"} <= set(os.listdir(tmp_path / "run"))
    log.close()


@pytest.mark.parametrize("call", ["dump_tabular", "save_itr_params", "save_extra_data"])
def test_with_nothing_set_up_it_says_what_to_call(tmp_path, call):
    log = Logger()
    log.record_dict({"a": 1.0})
    arguments = {"save_itr_params": (0, 1), "save_extra_data": (1,)}.get(call, ())
    with pytest.raises(NotOpenError, match=call) as caught:
        getattr(log, call)(*arguments)
    assert isinstance(caught.value, RuntimeError)
    for advice in ("hydra/callbacks=launchkit", "setup_logger(", "logger.open(directory)"):
        assert advice in str(caught.value)
    log.open(tmp_path)  # as it said; the row was not lost
    log.dump_tabular()
    assert progress(tmp_path) == {"a": [1.0]}
    log.close()


def test_with_nothing_set_up_log_prints(capsys):
    Logger().log("x", with_timestamp=False)
    assert capsys.readouterr().out == "x\n"


def test_rlkits_way_of_setting_up(tmp_path):
    log = Logger()
    directory = tmp_path / "run"
    log.log("Variant:")
    log.log_variant(str(directory / "variant.json"), {"f": math.sin})
    log.add_text_output(str(directory / "debug.log"))
    log.add_tabular_output(str(directory / "progress.csv"))
    log.set_snapshot_dir(str(directory))
    log.set_snapshot_mode("gap_and_last")
    log.set_snapshot_gap(2)
    log.set_log_tabular_only(False)
    log.push_prefix("[name] ")
    for itr in range(3):
        log.save_itr_params(itr, itr)
        log.record_tabular("itr", itr)
        log.dump_tabular(with_prefix=True, with_timestamp=False)
    assert sorted(os.listdir(directory)) == [
        "debug.log",
        "itr_0.pkl",
        "itr_2.pkl",
        "params.pkl",
        "progress.csv",
        "variant.json",
    ]
    assert "[name] itr  2\n" in text_of(directory)
    log.reset()
    assert log.get_snapshot_dir() is None
    assert log.get_snapshot_mode() == "all"


def test_outputs_are_exchanged_relative_to_the_snapshot_directory(log, run_directory):
    log.remove_tabular_output("progress.csv", relative_to_snapshot_dir=True)
    log.add_tabular_output("vae/progress.csv", relative_to_snapshot_dir=True)
    log.record_tabular("a", 1)
    log.dump_tabular()
    log.remove_tabular_output("vae/progress.csv", relative_to_snapshot_dir=True)
    log.add_tabular_output("progress.csv", relative_to_snapshot_dir=True)
    log.record_tabular("b", 2)
    log.dump_tabular()
    assert progress(run_directory / "vae") == {"a": [1]}
    assert progress(run_directory) == {"b": [2]}


def test_text_outputs_come_and_go(log, tmp_path):
    more = tmp_path / "new" / "more.txt"
    log.add_text_output(more)
    log.log("one", with_timestamp=False)
    log.remove_text_output(more)
    log.remove_text_output(more)
    log.remove_tabular_output(tmp_path / "never.csv")
    log.log("two", with_timestamp=False)
    assert more.read_text() == "[run] one\n"


def test_the_name_comes_from_the_variant_that_is_there_else_from_the_directory(tmp_path):
    log = Logger()
    log.log_variant(tmp_path / "0" / "variant.json", {"exp_name": "sweep-0"})
    for directory in ("0", "1"):
        log.open(tmp_path / directory)
        log.log("x", with_timestamp=False)
        log.close()
    assert text_of(tmp_path / "0") == "[sweep-0] x\n"
    assert text_of(tmp_path / "1") == "[1] x\n"
