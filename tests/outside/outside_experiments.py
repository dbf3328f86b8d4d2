"""Experiment functions that are run in the modes that leave the launcher's Python."""

from __future__ import annotations


def give_back(variant):
    return variant
