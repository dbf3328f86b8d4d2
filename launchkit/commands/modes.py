"""``launchkit modes`` and ``launchkit doctor``: what can run here, and what is missing."""

from __future__ import annotations

import argparse


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the parsers of both commands."""
    modes = commands.add_parser("modes", help="the modes, and whether each can run here")
    modes.set_defaults(run=run)
    check = commands.add_parser("doctor", help="versions, and what each mode needs")
    check.set_defaults(run=run_doctor)


def run(options: argparse.Namespace) -> int:
    """Print the table of the modes."""
    from launchkit import doctor  # noqa: PLC0415 - the metadata of packages, for this alone

    del options
    print(doctor.modes_table())
    return 0


def run_doctor(options: argparse.Namespace) -> int:
    """Print versions and modes, and return 1 if launchkit itself lacks something."""
    from launchkit import doctor  # noqa: PLC0415

    del options
    print(doctor.report())
    return 0 if doctor.healthy() else 1
