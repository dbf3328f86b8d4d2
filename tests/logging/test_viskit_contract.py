"""What viskit needs, line by line of its contract, seen through a reader with its rules."""

from __future__ import annotations

import json
import math
import os
from enum import Enum

import pytest
from viskit_reader import flatten, load, read_progress, select, selectable

from launchkit.logging import Logger
from launchkit.logging.variant import read_variant, write_variant


def a_run(directory, variant, rows):
    logger = Logger()
    logger.open(directory, print_table=False)
    write_variant(directory / "variant.json", variant)
    for row in rows:
        logger.record_dict(row)
        logger.dump_tabular()
    logger.close()


def test_1_a_directory_with_progress_and_variant_is_one_experiment(tmp_path):
    a_run(tmp_path / "sweep" / "0", {"lr": 0.1}, [{"loss": 1.0}])
    a_run(tmp_path / "sweep" / "1", {"lr": 0.2}, [{"loss": 2.0}])
    runs = load(tmp_path)
    assert sorted(run.directory.name for run in runs) == ["0", "1"]
    assert sorted(run.progress["loss"][0] for run in runs) == [1.0, 2.0]


@pytest.mark.parametrize(
    ("value", "shown"),
    [(True, 1.0), (False, 0.0), (None, math.nan), ("", math.nan), (float("inf"), math.inf)],
)
def test_2_what_would_become_zero_is_written_as_a_number(log, run_directory, value, shown):
    log.record_dict({"x": value, "y": 1})
    log.dump_tabular()
    assert read_progress(run_directory / "progress.csv")["x"] == pytest.approx([shown], nan_ok=True)


def test_2_a_missing_value_is_nan_and_the_header_stands_once_at_the_top(log, run_directory):
    for row in ({"a": 1}, {"b": 2}, {"a": 3, "b": 4}):
        log.record_dict(row)
        log.dump_tabular()
    lines = (run_directory / "progress.csv").read_text().splitlines()
    assert lines == ["a,b", "1,nan", "nan,2", "3,4"]


def test_3_utf8_without_bom_a_row_a_write_standard_quoting(log, run_directory):
    log.record_dict({"é, ü": 1.0, "\ufeffa": "x"})
    log.dump_tabular()
    data = (run_directory / "progress.csv").read_bytes()
    assert not data.startswith(b"\xef\xbb\xbf")
    assert data.endswith(b"\n") and b"\r" not in data
    assert data.decode("utf-8").splitlines()[0] == '"é, ü","\ufeffa"'


def test_3_a_byte_order_mark_in_the_first_name_is_not_one_of_the_file(log, run_directory):
    log.record_dict({"\ufeffa": 1.0})
    log.dump_tabular()
    data = (run_directory / "progress.csv").read_bytes()
    assert not data.startswith(b"\xef\xbb\xbf")
    assert data.decode("utf-8") == '"\ufeffa"\n1.0\n'


def test_3_a_row_is_a_single_write(log, run_directory, monkeypatch):
    log.record_dict({"a": 1.0})
    log.dump_tabular()
    log.set_print_table(False)
    writes = []
    real_write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: writes.append(data) or real_write(fd, data))
    log.record_dict({"a": 2.0})
    log.dump_tabular()
    assert writes == [b"2.0\n"]


def test_3_the_header_comes_with_the_first_row(log, run_directory):
    assert not (run_directory / "progress.csv").exists()
    log.record_dict({"a": 1.0})
    assert not (run_directory / "progress.csv").exists()
    log.dump_tabular()
    assert (run_directory / "progress.csv").read_text() == "a\n1.0\n"


@pytest.mark.parametrize("variant", [[1, 2], None, 3, "text", {"a": 1}, {}])
def test_4_a_variant_is_a_json_object_whatever_it_was(tmp_path, variant):
    write_variant(tmp_path / "variant.json", variant)
    data = (tmp_path / "variant.json").read_bytes()
    assert not data.startswith(b"\xef\xbb\xbf")
    assert isinstance(json.loads(data), dict)


def test_4_a_variant_is_replaced_whole(tmp_path, monkeypatch):
    path = tmp_path / "variant.json"
    write_variant(path, {"a": 1})

    def die(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", die)
    with pytest.raises(KeyboardInterrupt):
        write_variant(path, {"a": 2})
    assert read_variant(path) == {"a": 1}
    assert os.listdir(tmp_path) == ["variant.json"]


def test_5_a_flat_key_beside_a_nested_one_keeps_its_value(tmp_path, caplog):
    settings = {"a.b": "flat", "a": {"b": "nested", "c.d": 1, "c": {"d": 2}}}
    write_variant(tmp_path / "variant.json", settings)
    flat = flatten(read_variant(tmp_path / "variant.json"))
    assert flat == {"a.b": "nested", "a.b_2": "flat", "a.c.d": 2, "a.c.d_2": 1}
    assert "'a.b_2'" in caplog.text


def test_5_empty_objects_do_not_vanish(tmp_path):
    write_variant(tmp_path / "variant.json", {"a": {}, "b": {"c": {}}})
    assert flatten(read_variant(tmp_path / "variant.json")) == {"a": "{}", "b.c": "{}"}


def test_5_args_data_is_kept_under_another_name(tmp_path):
    a_run(tmp_path, {"args_data": 7}, [{"x": 1}])
    assert load(tmp_path)[0].settings["args_data_"] == 7


def test_6_exp_name_of_the_variant_is_what_viskit_shows(tmp_path):
    a_run(tmp_path / "a" / "0", {"exp_name": "a-0"}, [{"x": 1}])
    a_run(tmp_path / "b" / "0", {"exp_name": "b-0"}, [{"x": 1}])
    assert selectable(load(tmp_path)) == {"exp_name": {"a-0", "b-0"}}


def test_7_swept_settings_can_be_selected_and_the_seed_is_left_out(tmp_path):
    for job, (lr, seed) in enumerate([(0.1, 0), (0.2, 1)]):
        variant = {"seed": seed, "lr": lr, "exp_name": "one", "fixed": True}
        a_run(tmp_path / str(job), variant, [{"x": job}])
    runs = load(tmp_path)
    assert selectable(runs) == {"lr": {"0.1", "0.2"}}
    assert [run.progress["x"] for run in select(runs, "lr", 0.2)] == [[1.0]]


def test_8_every_key_is_written_so_that_no_run_belongs_to_all_groups(tmp_path):
    omegaconf = pytest.importorskip("omegaconf")
    for job, extra in enumerate([{}, {"layers": 2}]):
        config = omegaconf.OmegaConf.create(
            {"base": 3, "size": "${base}", "optional": None, "extra": extra, "later": "???"}
        )
        a_run(tmp_path / str(job), config, [{"x": job}])
    runs = sorted(load(tmp_path), key=lambda run: run.directory)
    assert [run.settings["size"] for run in runs] == [3, 3]
    assert [run.settings["optional"] for run in runs] == [None, None]
    assert [run.settings["later"] for run in runs] == ["???", "???"]
    assert runs[0].settings["extra"] == "{}"


@pytest.mark.parametrize("place", [lambda x: x, lambda x: [x], lambda x: [{"deep": [x]}]])
@pytest.mark.parametrize(
    ("value", "text"), [(math.inf, "inf"), (-math.inf, "-inf"), (math.nan, "nan")]
)
def test_9_numbers_that_are_not_finite_are_text_wherever_they_stand(tmp_path, place, value, text):
    a_run(tmp_path, {"x": place(value)}, [{"m": 1}])
    (run,) = load(tmp_path)
    assert run.settings["x"] == place(text)


def test_10_columns_are_sorted_so_that_the_first_is_the_first_by_name(log, run_directory):
    log.record_dict({"zeta": 1, "Alpha": 2, "mid": 3})
    log.dump_tabular()
    assert list(read_progress(run_directory / "progress.csv")) == ["Alpha", "mid", "zeta"]


def test_classes_enums_and_functions_are_written_as_the_old_logger_wrote_them(tmp_path):
    class Colour(Enum):
        RED = 1

    path = tmp_path / "variant.json"
    write_variant(path, {"c": Logger, "e": Colour.RED, "f": flatten})
    here = f"{__name__}.{Colour.__qualname__}"
    assert read_variant(path) == {
        "c": {"$class": "launchkit.logging.logger.Logger"},
        "e": {"$enum": f"{here}.RED"},
        "f": {"$function": "viskit_reader.flatten"},
    }
    assert path.read_text().startswith('{\n  "c": {\n    "$class"')
