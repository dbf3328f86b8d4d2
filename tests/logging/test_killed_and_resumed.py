"""Runs that are stopped at random moments and go on, until they are done.

``LAUNCHKIT_ROUNDS`` says how often each is stopped; 6 times by default.
"""

from __future__ import annotations

import csv
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROUNDS = int(os.environ.get("LAUNCHKIT_ROUNDS", "6"))
CANCELLED = 130
FILES = ["progress.csv", "more.csv"]

TRAINING = """
import signal, sys
from launchkit.logging import logger
from launchkit.stopping import request

class Cancelled(BaseException):
    pass

def on_sigterm(number, frame):
    request(Cancelled())

directory, order, mode, every, column, resume, iterations = sys.argv[1:]
every, iterations = int(every), int(iterations)

def dump(itr):
    row = {column: itr, "third": itr / 3, "text": "a,b\\n" * 200}
    if itr % 20 == 7 and itr < 500:
        row[f"late_{itr}"] = 1
    logger.record_dict(row)
    logger.dump_tabular()

def save(itr):
    if itr % every == 0:
        logger.save_itr_params(itr, {"itr": itr, "weights": [itr] * 50_000})

def train():
    logger.open(directory, snapshot_mode=mode, snapshot_gap=3, resume=resume == "resume")
    logger.add_tabular_output("more.csv", relative_to_snapshot_dir=True)
    start = 0
    restored = logger.restore()
    if restored is not None:
        itr, snapshot = restored
        assert snapshot == {"itr": itr, "weights": [itr] * 50_000}
        start = itr + 1
    print("restored", start - 1, file=sys.stderr, flush=True)
    steps = [dump, save] if order == "dump-save" else [save, dump]
    for itr in range(start, iterations):
        for step in steps:
            step(itr)

try:
    signal.signal(signal.SIGTERM, on_sigterm)
    train()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
except Cancelled:
    sys.exit(130)
"""


def attempt(directory, settings, resume, iterations, number=None, seconds=0.0, early=False):
    """Run the program, send it a signal after some time, and return what it says it restored.

    The time counts from where it begins to train; with `early`, from its start.
    """
    with open(directory.with_suffix(".out"), "wb") as out:
        child = subprocess.Popen(
            [sys.executable, "-c", TRAINING, str(directory), *settings, resume, str(iterations)],
            stdout=out,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        told = "" if early else child.stderr.readline()
        if number is not None:
            time.sleep(seconds)
            child.send_signal(number)
        told += child.communicate(timeout=120)[1]
    expected = {None: 0, signal.SIGTERM: CANCELLED, signal.SIGKILL: -signal.SIGKILL}
    assert child.returncode == expected[number], told
    return [int(line.split()[1]) for line in told.splitlines() if line.startswith("restored")]


def rows(directory, name, column):
    """Return the iterations in a CSV file, whose other cells must be whole."""
    path = directory / name
    if not path.exists():
        return []
    found = []
    with path.open(newline="") as stream:
        for row in csv.DictReader(stream):
            found.append(int(row[column]))
            assert row["text"] == "a,b\n" * 200
            assert float(row["third"]) == found[-1] / 3
            assert None not in row and None not in row.values() and "" not in row.values()
    return found


def stop_until_done(directory, settings, chance, numbers):
    """Stop a run again and again, then let it end.

    Returns how many iterations it had, and which its attempts restored.
    """
    column = settings[3]
    restored = []
    for turn in range(ROUNDS):
        number = chance.choice(numbers)
        early = number is signal.SIGKILL and chance.random() < 0.3
        restored += attempt(
            directory,
            settings,
            "resume" if turn else "begin",
            iterations=10**9,
            number=number,
            seconds=chance.uniform(0, 0.15 if early else 0.1),
            early=early,
        )
        for name in FILES:
            written = rows(directory, name, column)
            assert written == sorted(set(written))
        if signal.SIGKILL not in numbers:
            assert len({tuple(rows(directory, name, column)) for name in FILES}) == 1
    iterations = max([*restored, *rows(directory, FILES[0], column)]) + 6
    restored += attempt(directory, settings, "resume", iterations)
    assert not [name for name in os.listdir(directory) if name.endswith(".tmp")]
    return iterations, restored


BOTH = [signal.SIGKILL, signal.SIGTERM]


@pytest.mark.parametrize(
    ("mode", "every", "column"),
    [
        ("last", 1, "epoch"),
        ("all", 4, "loss"),
        ("gap", 1, "loss"),
        ("gap_and_last", 2, "trainer/Epoch"),
        ("none", 1, "loss"),
    ],
)
def test_a_run_that_dumps_before_it_saves_has_every_row_once(tmp_path, mode, every, column):
    chance = random.Random(f"{mode} {every}")
    settings = ["dump-save", mode, str(every), column]
    iterations, restored = stop_until_done(tmp_path / "run", settings, chance, BOTH)
    assert restored == sorted(restored)
    for name in FILES:
        assert rows(tmp_path / "run", name, column) == list(range(iterations))


@pytest.mark.parametrize(
    ("mode", "column"), [("last", "epoch"), ("gap_and_last", "loss"), ("gap", "loss")]
)
def test_a_run_that_saves_before_it_dumps_lacks_at_most_a_row_a_stop(tmp_path, mode, column):
    chance = random.Random(f"{mode} saves first")
    settings = ["save-dump", mode, "1", column]
    iterations, restored = stop_until_done(tmp_path / "run", settings, chance, BOTH)
    for name in FILES:
        missing = set(range(iterations)) - set(rows(tmp_path / "run", name, column))
        # It is that of the snapshot: the run goes on behind it.
        assert missing <= set(restored)


def test_a_run_that_is_asked_to_stop_leaves_its_files_whole_each_time(tmp_path):
    chance = random.Random(3)
    settings = ["dump-save", "gap_and_last", "1", "epoch"]
    iterations, _ = stop_until_done(tmp_path / "run", settings, chance, [signal.SIGTERM])
    assert rows(tmp_path / "run", "progress.csv", "epoch") == list(range(iterations))
