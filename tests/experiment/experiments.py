"""Experiment functions, importable where the jobs run."""

from __future__ import annotations

import os
import random
import time

from launchkit.logging import logger


def learn(variant):
    """Dump two rows and a snapshot, and return what was given."""
    for epoch in range(2):
        logger.record_dict({"epoch": epoch, "AverageReturn": epoch * 10 + variant.get("x", 0)})
        logger.dump_tabular()
        logger.save_itr_params(epoch, {"epoch": epoch})
    return variant


def wait_and_learn(variant):
    """Learn once a file is there."""
    while not os.path.exists(variant["go"]):
        time.sleep(0.005)
    return learn(variant)


def learn_unpacked(x, y=5):
    return x, y


def everything_unpacked(**entries):
    return entries


def draw(variant):
    return variant["seed"], random.random()


def spoil(variant):
    """Change all that can be changed."""
    variant["nested"]["list"].append("spoilt")
    variant["fixed"].append("spoilt")
    variant["new"] = True
    return len(variant["nested"]["list"])


def gpus(variant):
    return os.environ.get("CUDA_VISIBLE_DEVICES")


def fail_for_two(variant):
    if variant["x"] == 2:
        raise ValueError("two is not to be had")
    return variant["x"]
