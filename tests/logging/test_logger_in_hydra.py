"""The logger in a Hydra job without launchkit's callback: it opens itself, job by job."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from viskit_reader import read_progress

pytest.importorskip("hydra")

ROOT = Path(__file__).parents[2]

PROGRAM = """
import os, sys
import hydra
from launchkit.logging import logger

{setting}

@hydra.main(version_base=None, config_path=None, config_name=None)
def main(cfg):
{body}

main()
"""


def run(tmp_path, body, *arguments, setting=""):
    program = tmp_path / "program.py"
    lines = "\n".join("    " + line for line in body.strip().splitlines())
    program.write_text(PROGRAM.format(body=lines, setting=setting))
    return subprocess.run(
        [sys.executable, str(program), *arguments, "hydra/launcher=basic"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )


def progress(directory):
    return read_progress(directory / "progress.csv")


LEARNING = """
logger.log("starting")
logger.record_dict({"x": cfg.x})
logger.dump_tabular()
logger.save_itr_params(0, cfg.x)
logger.record_dict({"left_over": 1})
logger.push_prefix("left over ")
logger.push_tabular_prefix("left_over/")
"""


def test_it_follows_hydra_from_job_to_job(tmp_path):
    done = run(tmp_path, LEARNING, "-m", "hydra.sweep.dir=sweep", "+x=1,2,3")
    assert done.returncode == 0, done.stderr
    for job in range(3):
        directory = tmp_path / "sweep" / str(job)
        assert progress(directory) == {"x": [job + 1.0]}
        assert f"[{job}] starting\n" in (directory / "debug.log").read_text()
        assert (directory / "params.pkl").exists()


def test_it_opens_itself_in_a_single_run(tmp_path):
    body = LEARNING + 'print("DIR", logger.get_snapshot_dir())\n'
    done = run(tmp_path, body, "hydra.run.dir=single", "+x=5")
    assert done.returncode == 0, done.stderr
    assert progress(tmp_path / "single") == {"x": [5.0]}
    assert f"DIR {tmp_path / 'single'}\n" in done.stdout


def test_asking_for_the_snapshot_directory_is_a_first_use(tmp_path):
    body = 'assert logger.get_snapshot_dir() == os.path.abspath("single")'
    done = run(tmp_path, body, "hydra.run.dir=single", "+x=5")
    assert done.returncode == 0, done.stderr


def test_settings_made_beforehand_hold_in_every_job(tmp_path):
    setting = 'logger.set_print_table(False)\nlogger.set_snapshot_mode("all")'
    done = run(tmp_path, LEARNING, "-m", "hydra.sweep.dir=sweep", "+x=1,2", setting=setting)
    assert done.returncode == 0, done.stderr
    for job in range(2):
        directory = tmp_path / "sweep" / str(job)
        assert (directory / "itr_0.pkl").exists() and not (directory / "params.pkl").exists()
        assert "---" not in (directory / "debug.log").read_text()


def test_what_was_set_up_in_rlkits_way_holds(tmp_path):
    body = """
logger.set_snapshot_dir("mine")
logger.add_tabular_output("mine/progress.csv")
logger.record_dict({"x": cfg.x})
logger.dump_tabular()
logger.save_extra_data(1)
"""
    done = run(tmp_path, body, "-m", "hydra.sweep.dir=sweep", "+x=1,2")
    assert done.returncode == 0, done.stderr
    assert progress(tmp_path / "mine") == {"x": [1.0, 2.0]}
    assert (tmp_path / "mine" / "extra_data.pkl").exists()
    assert not list((tmp_path / "sweep").rglob("progress.csv"))


def test_setting_up_in_rlkits_way_takes_over_from_what_opened_itself(tmp_path):
    body = """
logger.log("Variant:")
logger.add_tabular_output("mine/progress.csv")
logger.set_snapshot_dir("mine")
logger.record_dict({"x": cfg.x})
logger.dump_tabular(with_prefix=True)
"""
    done = run(tmp_path, body, "hydra.run.dir=single", "+x=1")
    assert done.returncode == 0, done.stderr
    assert progress(tmp_path / "mine") == {"x": [1.0]}
    assert not (tmp_path / "single" / "progress.csv").exists()


def test_what_was_opened_on_purpose_is_not_left(tmp_path):
    body = """
if cfg.x == 1:
    logger.open("mine")
logger.record_dict({"x": cfg.x})
logger.dump_tabular()
"""
    done = run(tmp_path, body, "-m", "hydra.sweep.dir=sweep", "+x=1,2")
    assert done.returncode == 0, done.stderr
    assert progress(tmp_path / "mine") == {"x": [1.0, 2.0]}


def test_outside_a_job_the_error_says_what_to_call(tmp_path):
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import hydra\nfrom launchkit.logging import logger\n"
            "logger.record_dict({'a': 1})\nlogger.dump_tabular()",
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "hydra/callbacks=launchkit" in done.stderr
