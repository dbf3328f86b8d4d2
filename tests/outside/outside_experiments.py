"""Experiment functions that are run in the modes that leave the launcher's Python."""

from __future__ import annotations

import os
import pwd
import subprocess

from launchkit.logging import logger


def give_back(variant):
    return variant


def learn(variant):
    """Dump a row and a snapshot, and return what was given."""
    logger.record_dict({"epoch": 0, "AverageReturn": variant.get("x", 0)})
    logger.dump_tabular()
    logger.save_itr_params(0, {"epoch": 0})
    return variant


def fail_for_two(variant):
    if variant["x"] == 2:
        raise ValueError("two is not to be had")
    return variant["x"]


def read_and_write(variant):
    """Return what is in a file, and what it gives to write beside it."""
    with open(variant["path"], encoding="utf-8") as stream:
        text = stream.read()
    try:
        with open(variant["path"] + ".new", "w", encoding="utf-8"):
            return text, "written"
    except OSError:
        return text, "OSError"


def slurm_minutes(variant):
    """Return the time limit of the task that this runs in, as Slurm says it."""
    words = ["squeue", "--noheader", "--format=%l", f"--jobs={os.environ['SLURM_JOB_ID']}"]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    return said.strip().partition(":")[0]


def user_name(variant):
    return pwd.getpwuid(os.getuid()).pw_name
