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
ENDLESS = 10**9

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
        assert restored.object == {"itr": restored.iteration, "weights": [restored.iteration] * 50_000}
        start = restored.iteration + 1
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


def attempt(directory, settings, resume, iterations, number=None, seconds=0.0):
    """Run the program; send it a signal some time after it has restored.

    Returns its exit code and the iteration that it restored, -1 if none.
    """
    with open(directory.with_suffix(".out"), "wb") as out:
        child = subprocess.Popen(
            [sys.executable, "-c", TRAINING, str(directory), *settings, resume, str(iterations)],
            stdout=out,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        # Warnings of what was torn come first.
        told = []
        while not told or not told[-1].startswith("restored"):
            told.append(child.stderr.readline())
            assert told[-1], f"it ended before it began: {''.join(told)}"
        if number is not None:
            time.sleep(seconds)
            child.send_signal(number)
        _, rest = child.communicate(timeout=120)
    assert child.returncode in {0, CANCELLED, -signal.SIGKILL}, rest
    return child.returncode, int(told[-1].split()[1])


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
        resume = "resume" if turn else "begin"
        seconds = chance.uniform(0, 0.1)
        code, iteration = attempt(directory, settings, resume, ENDLESS, number, seconds)
        assert code != 0
        restored.append(iteration)
        for name in ("progress.csv", "more.csv"):
            written = rows(directory, name, column)
            assert written == sorted(set(written))
        if code == CANCELLED:
            assert rows(directory, "progress.csv", column) == rows(directory, "more.csv", column)
    iterations = max([*restored, *rows(directory, "progress.csv", column)]) + 6
    code, iteration = attempt(directory, settings, "resume", iterations)
    assert code == 0
    assert not [name for name in os.listdir(directory) if name.endswith(".tmp")]
    return iterations, [*restored, iteration]


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
    for name in ("progress.csv", "more.csv"):
        assert rows(tmp_path / "run", name, column) == list(range(iterations))


@pytest.mark.parametrize(
    ("mode", "column"), [("last", "epoch"), ("gap_and_last", "loss"), ("gap", "loss")]
)
def test_a_run_that_saves_before_it_dumps_lacks_at_most_a_row_a_stop(tmp_path, mode, column):
    chance = random.Random(f"{mode} saves first")
    settings = ["save-dump", mode, "1", column]
    iterations, restored = stop_until_done(tmp_path / "run", settings, chance, BOTH)
    for name in ("progress.csv", "more.csv"):
        missing = set(range(iterations)) - set(rows(tmp_path / "run", name, column))
        # It is that of the snapshot: the run goes on behind it.
        assert missing <= set(restored)


def test_a_run_that_is_asked_to_stop_leaves_its_files_whole_each_time(tmp_path):
    chance = random.Random(3)
    settings = ["dump-save", "gap_and_last", "1", "epoch"]
    iterations, _ = stop_until_done(tmp_path / "run", settings, chance, [signal.SIGTERM])
    assert rows(tmp_path / "run", "progress.csv", "epoch") == list(range(iterations))
