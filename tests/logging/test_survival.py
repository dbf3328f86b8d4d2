"""What is on the disk after ``kill -9``, a full disk and a fork."""

from __future__ import annotations

import csv
import errno
import os
import pickle
import random
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from launchkit.logging import Logger
from launchkit.logging.variant import read_variant, write_variant

ROUNDS = 10
ROOT = Path(__file__).parents[2]


def run_until_killed(code, directory, seconds):
    """Run a program that says how often it went round, kill it, and return the count."""
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(directory)],
        stdout=subprocess.PIPE,
        # What a buffer holds beyond the first line, `communicate` would lose.
        bufsize=0,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    first = child.stdout.readline()
    time.sleep(seconds)
    child.send_signal(signal.SIGKILL)
    rest, _ = child.communicate(timeout=30)
    assert child.returncode == -signal.SIGKILL
    return int((first + rest).splitlines()[-1])


DUMPING = """
import os, sys
from launchkit.logging import logger
logger.open(sys.argv[1], print_table=False)
count = 0
while True:
    row = {"count": count, "text": "a,b\\n" * 300, "third": count / 3}
    if count % 50 == 7:
        row[f"late_{count}"] = 1
    logger.record_dict(row)
    logger.dump_tabular()
    count += 1
    os.write(1, b"%d\\n" % count)
"""


def test_every_dumped_row_survives_kill_9_whole(tmp_path):
    chance = random.Random(1)
    for attempt in range(ROUNDS):
        directory = tmp_path / str(attempt)
        dumped = run_until_killed(DUMPING, directory, chance.uniform(0.01, 0.15))
        logger = Logger()
        logger.open(directory, print_table=False)
        logger.record_dict({"count": -1, "text": "end", "third": 0.5})
        logger.dump_tabular()
        logger.close()
        with open(directory / "progress.csv", newline="") as stream:
            rows = list(csv.DictReader(stream))
        # The row after the last one reported may have been written as well.
        assert len(rows) - 1 in {dumped, dumped + 1}
        assert rows.pop()["text"] == "end"
        for count, row in enumerate(rows):
            assert row["count"] == str(count)
            assert row["text"] == "a,b\n" * 300
            assert float(row["third"]) == count / 3
            assert None not in row and None not in row.values() and "" not in row.values()


SAVING = """
import os, sys
from launchkit.logging import logger
logger.open(sys.argv[1], snapshot_mode="gap_and_last", snapshot_gap=2)
count = 0
while True:
    logger.save_itr_params(count, {"itr": count, "weights": bytes(300_000)})
    count += 1
    os.write(1, b"%d\\n" % count)
"""


def test_kill_9_during_a_snapshot_leaves_the_previous_one_readable(tmp_path):
    chance = random.Random(2)
    for attempt in range(ROUNDS):
        directory = tmp_path / str(attempt)
        saved = run_until_killed(SAVING, directory, chance.uniform(0.0, 0.1))
        last = pickle.loads((directory / "params.pkl").read_bytes())
        assert last["itr"] in {saved - 1, saved}
        assert len(last["weights"]) == 300_000
        for path in directory.glob("itr_*.pkl"):
            number = int(re.fullmatch(r"itr_(\d+)\.pkl", path.name)[1])
            assert pickle.loads(path.read_bytes())["itr"] == number


DESCRIBING = """
import os, sys
from launchkit.logging.variant import write_variant
count = 0
while True:
    write_variant(sys.argv[1] + "/variant.json", {"count": count, "long": ["x"] * 20_000})
    count += 1
    os.write(1, b"%d\\n" % count)
"""


def test_kill_9_leaves_a_whole_variant(tmp_path):
    chance = random.Random(3)
    for attempt in range(ROUNDS):
        directory = tmp_path / str(attempt)
        directory.mkdir()
        written = run_until_killed(DESCRIBING, directory, chance.uniform(0.0, 0.1))
        variant = read_variant(directory / "variant.json")
        assert variant["count"] in {written - 1, written}
        assert len(variant["long"]) == 20_000


@pytest.fixture
def full_at():
    """Let no file grow beyond so many bytes: to a program, the disk is full there."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, ignored)


def a_row(logger, **more):
    logger.record_dict({"a": 0.5, "b": "x" * 20, **more})
    logger.dump_tabular()


def test_a_full_disk_is_an_error_that_names_the_file_and_earlier_rows_stay(tmp_path, full_at):
    logger = Logger()
    logger.open(tmp_path, print_table=False)
    a_row(logger)
    before = (tmp_path / "progress.csv").read_bytes()
    full_at(len(before) + 10)
    with pytest.raises(OSError, match=r"progress\.csv"):
        a_row(logger)
    assert (tmp_path / "progress.csv").read_bytes() == before
    full_at(1 << 20)
    logger.dump_tabular()  # the row was kept
    assert (tmp_path / "progress.csv").read_bytes().count(b"x" * 20) == 2
    logger.close()


def test_a_disk_that_fills_up_while_columns_are_added_leaves_the_file_as_it_was(tmp_path, full_at):
    logger = Logger()
    logger.open(tmp_path, print_table=False)
    for _ in range(2000):
        a_row(logger)
    before = (tmp_path / "progress.csv").read_bytes()
    full_at(len(before) // 2)
    with pytest.raises(OSError, match=r"progress\.csv"):
        a_row(logger, late=1)
    full_at(1 << 20)
    assert (tmp_path / "progress.csv").read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == ["debug.log", "progress.csv"]
    logger.dump_tabular()
    a_row(logger)
    lines = (tmp_path / "progress.csv").read_text().splitlines()
    assert lines[0] == "a,b,late" and lines[-2].endswith(",1") and lines[-1].endswith(",nan")
    assert len(lines) == 2003
    logger.close()


def test_a_full_disk_leaves_the_previous_snapshot_and_variant(tmp_path, full_at):
    logger = Logger()
    logger.open(tmp_path)
    logger.save_itr_params(0, "good")
    write_variant(tmp_path / "variant.json", {"good": 1})
    full_at(1000)
    with pytest.raises(OSError, match=r"params\.pkl") as caught:
        logger.save_itr_params(1, bytes(5000))
    assert caught.value.errno == errno.EFBIG
    with pytest.raises(OSError):
        write_variant(tmp_path / "variant.json", {"bad": "x" * 5000})
    full_at(1 << 20)
    assert pickle.loads((tmp_path / "params.pkl").read_bytes()) == "good"
    assert read_variant(tmp_path / "variant.json") == {"good": 1}
    logger.close()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_unwritable_directory_is_an_error_that_names_it(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError, match=re.escape(str(tmp_path))):
        Logger().open(tmp_path)


def test_a_file_in_the_place_of_the_directory_is_an_error_that_names_it(tmp_path):
    (tmp_path / "file").write_text("")
    logger = Logger()
    with pytest.raises(OSError, match=re.escape(str(tmp_path / "file"))):
        logger.open(tmp_path / "file")
    assert logger.directory is None


def test_a_forked_child_does_not_disturb_its_parents_files(tmp_path, capfd):
    logger = Logger()
    logger.open(tmp_path / "parent", exp_name="parent")
    a_row(logger)
    logger.record_tabular("a", 1.5)
    child = os.fork()
    if child == 0:
        try:
            logger.open(tmp_path / "child", exp_name="child")
            logger.log("in the child")
            a_row(logger, own=1)
            logger.close()
        finally:
            os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    logger.log("in the parent")
    a_row(logger)
    logger.close()
    parent, of_child = tmp_path / "parent", tmp_path / "child"
    assert (parent / "progress.csv").read_text().splitlines() == ["a,b"] + 2 * [f"0.5,{'x' * 20}"]
    assert (of_child / "progress.csv").read_text().splitlines()[0] == "a,b,own"
    assert "child" not in (parent / "debug.log").read_text()
    assert "parent" not in (of_child / "debug.log").read_text()
