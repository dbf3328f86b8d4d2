"""The commands of ``launchkit``: one module each, which adds its parser and runs it."""

from __future__ import annotations

import argparse
import importlib
import importlib.util

COMMANDS = (
    "status",
    "wait",
    "logs",
    "cancel",
    "resume",
    "table",
    "reproduce",
    "sweeps",
    "modes",
)
"""The modules, in the order in which help lists the commands."""


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the parser of every command."""
    for name in COMMANDS:
        if importlib.util.find_spec(f"{__name__}.{name}") is None:
            continue
        importlib.import_module(f"{__name__}.{name}").register(commands)
