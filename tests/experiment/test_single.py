"""`setup_logger` and `run_experiment_here`: one experiment in this process."""

from __future__ import annotations

import csv
import inspect
import json
import logging
import os
import pickle
from pathlib import Path

import experiments
import pytest

from launchkit.code.git_files import GitInfo
from launchkit.launcher_util import run_experiment_here, setup_logger
from launchkit.logging import logger


def test_their_parameters_are_rlkits():
    assert list(inspect.signature(run_experiment_here).parameters) == [
        "experiment_function",
        "variant",
        "exp_id",
        "seed",
        "use_gpu",
        "exp_prefix",
        "snapshot_mode",
        "snapshot_gap",
        "git_infos",
        "script_name",
        "base_log_dir",
        "force_randomize_seed",
        "log_dir",
        "unpack_variant",
        "setup_logger_kwargs",
    ]
    assert list(inspect.signature(setup_logger).parameters) == [
        "exp_prefix",
        "variant",
        "text_log_file",
        "variant_log_file",
        "tabular_log_file",
        "snapshot_mode",
        "snapshot_gap",
        "log_tabular_only",
        "log_dir",
        "git_infos",
        "script_name",
        "create_log_dir_kwargs",
    ]


# setup_logger


def test_it_opens_the_logger_in_a_directory_of_its_own(tmp_path):
    first, second = (
        setup_logger("my_exp", {"lr": 1}, exp_id=3, seed=4, base_log_dir=tmp_path) for _ in range(2)
    )
    assert first != second
    for directory in (first, second):
        assert Path(directory).parent == tmp_path / "my-exp"
        assert Path(directory).name.startswith("my_exp_20")
        assert "_0003--s-4" in Path(directory).name
    assert logger.get_snapshot_dir() == second
    variant = json.loads((Path(second) / "variant.json").read_text())
    assert variant == {"lr": 1, "exp_name": Path(second).name}


def test_its_settings_are_the_loggers(tmp_path):
    directory = Path(
        setup_logger(
            log_dir=tmp_path / "run",
            variant={"a": 1},
            text_log_file="text.log",
            variant_log_file="settings.json",
            tabular_log_file="table.csv",
            snapshot_mode="gap",
            snapshot_gap=5,
            log_tabular_only=True,
            script_name="train.py",
            git_infos=[GitInfo("/code/mine/", "the diff", "staged", "abc", "trunk")],
        )
    )
    assert logger.get_snapshot_mode() == "gap"
    assert logger.get_snapshot_gap() == 5
    assert logger.get_log_tabular_only() is True
    logger.record_tabular("a", 1)
    logger.dump_tabular()
    assert set(os.listdir(directory)) == {
        "text.log",
        "settings.json",
        "table.csv",
        "script_name.txt",
        "git_infos.txt",
        "code-mine.patch",
        "code-mine_staged.patch",
    }
    assert (directory / "script_name.txt").read_text() == "train.py"
    assert "git hash: abc" in (directory / "git_infos.txt").read_text()


def test_it_can_leave_out_the_directory_of_the_prefix(tmp_path):
    directory = setup_logger("p", base_log_dir=tmp_path, include_exp_prefix_sub_dir=False)
    assert Path(directory).parent == tmp_path


def test_given_directories_of_one_name_are_different_runs_to_viskit(tmp_path):
    names = set()
    for parent in "ab":
        setup_logger(log_dir=tmp_path / parent / "run", variant={"lr": 1})
        variant = json.loads((tmp_path / parent / "run" / "variant.json").read_text())
        names.add(variant["exp_name"])
    assert len(names) == 2
    assert all(name.startswith("run_") for name in names)


def test_a_name_of_the_users_is_kept(tmp_path):
    setup_logger(log_dir=tmp_path, variant={"exp_name": "mine"})
    assert json.loads((tmp_path / "variant.json").read_text()) == {"exp_name": "mine"}


def test_a_run_that_is_there_is_continued(tmp_path, caplog):
    for start in (0, 2):
        setup_logger(log_dir=tmp_path, variant={"lr": 1, "net": {"size": 3}})
        for epoch in (start, start + 1):
            logger.record_tabular("epoch", epoch)
            logger.dump_tabular()
        if start == 0:
            before = (tmp_path / "variant.json").read_bytes()
        logger.close()
    with (tmp_path / "progress.csv").open() as stream:
        assert [row["epoch"] for row in csv.DictReader(stream)] == ["0", "1", "2", "3"]
    assert (tmp_path / "variant.json").read_bytes() == before
    assert "keeps the variant" not in caplog.text


def test_a_run_that_is_continued_keeps_its_variant_with_a_warning(tmp_path, caplog):
    setup_logger(log_dir=tmp_path, variant={"lr": 1, "seed": 2})
    before = (tmp_path / "variant.json").read_bytes()
    with caplog.at_level(logging.WARNING):
        setup_logger(log_dir=tmp_path, variant={"lr": 5, "seed": 2})
    assert (tmp_path / "variant.json").read_bytes() == before
    assert "keeps the variant of the first start; now different: ['lr']" in caplog.text


def test_half_a_variant_of_another_program_is_replaced(tmp_path):
    (tmp_path / "variant.json").write_text('{"lr": ')
    setup_logger(log_dir=tmp_path, variant={"lr": 5})
    assert json.loads((tmp_path / "variant.json").read_text())["lr"] == 5


@pytest.mark.parametrize("wrong", [{"snapshot_mode": "lst"}, {"snapshot_gap": 0}])
def test_a_wrong_setting_is_refused_by_name(tmp_path, wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(ValueError, match=f"{name} is {value!r}"):
        setup_logger(log_dir=tmp_path, variant={"lr": 5}, **wrong)
    assert not (tmp_path / "variant.json").exists()


# run_experiment_here


def test_one_experiment_runs_in_this_process(tmp_path):
    value = run_experiment_here(
        experiments.learn,
        variant={"x": 1, "list": [1, 2]},
        exp_id=3,
        seed=4,
        exp_prefix="here",
        base_log_dir=tmp_path,
    )
    assert value == {"x": 1, "list": [1, 2], "exp_id": 3, "seed": 4}
    (directory,) = (tmp_path / "here").iterdir()
    assert {"variant.json", "progress.csv", "debug.log", "params.pkl", "experiment.pkl"} <= set(
        os.listdir(directory)
    )


def test_what_was_called_is_kept_before_the_function_can_change_it(tmp_path):
    given = {"nested": {"list": [1]}, "fixed": [1]}
    run_experiment_here(
        experiments.spoil,
        variant=given,
        seed=4,
        log_dir=tmp_path,
        git_infos=[],
        script_name="s.py",
        log_tabular_only=True,
    )
    kept = pickle.loads((tmp_path / "experiment.pkl").read_bytes())
    assert kept == {
        "run_experiment_here_kwargs": {
            "variant": {"nested": {"list": [1]}, "fixed": [1], "exp_id": 0, "seed": 4},
            "exp_id": 0,
            "seed": 4,
            "use_gpu": True,
            "exp_prefix": "default",
            "snapshot_mode": "last",
            "snapshot_gap": 1,
            "git_infos": [],
            "script_name": "s.py",
            "base_log_dir": None,
            "log_tabular_only": True,
        }
    }
    assert set(given) == {"nested", "fixed"}


def test_a_seed_is_taken_unless_it_is_to_be_random(tmp_path):
    drawn = [run_experiment_here(experiments.draw, seed=4, log_dir=tmp_path) for _ in range(2)]
    assert drawn[0] == drawn[1]
    assert drawn[0][0] == 4
    others = {
        run_experiment_here(experiments.draw, seed=4, log_dir=tmp_path, force_randomize_seed=True)
        for _ in range(5)
    }
    assert len(others) > 1
    assert len({run_experiment_here(experiments.draw, log_dir=tmp_path) for _ in range(5)}) > 1


def test_an_unpacked_variant_is_keywords(tmp_path):
    value = run_experiment_here(
        experiments.everything_unpacked, variant={"x": 1}, unpack_variant=True, log_dir=tmp_path
    )
    assert value == {"x": 1}


def test_the_experiment_before_is_forgotten(tmp_path):
    logger.record_tabular("old", 1)
    logger.push_prefix("old ")
    logger.set_snapshot_mode("none")
    run_experiment_here(experiments.learn, variant={"x": 1}, log_dir=tmp_path / "new")
    with (tmp_path / "new" / "progress.csv").open() as stream:
        assert set(next(csv.reader(stream))) == {"epoch", "AverageReturn"}
    assert "old " not in (tmp_path / "new" / "debug.log").read_text()
    assert (tmp_path / "new" / "params.pkl").exists()
