"""The commands of ``launchkit``: one module each, which adds its parser and runs it."""

from __future__ import annotations

import argparse

from launchkit.commands import (
    cancel,
    doodad,
    ec2,
    gcp,
    logs,
    modes,
    pull,
    reap,
    reproduce,
    resume,
    status,
    sweeps,
    table,
    wait,
)

COMMANDS = (
    status,
    wait,
    logs,
    cancel,
    resume,
    table,
    reproduce,
    sweeps,
    pull,
    reap,
    ec2,
    gcp,
    modes,
    doodad,
)
"""In the order in which help lists them."""


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the parser of every command."""
    for module in COMMANDS:
        module.register(commands)
