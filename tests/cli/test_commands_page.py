"""docs/commands.md has every command and every option there is, and no other."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest

from launchkit import commands

PAGE = (Path(__file__).parents[2] / "docs" / "commands.md").read_text(encoding="utf-8")


def parsers() -> dict[str, argparse.ArgumentParser]:
    found = argparse.ArgumentParser().add_subparsers()
    commands.register(found)
    return found.choices


def section(command: str) -> str:
    return PAGE.partition(f"## launchkit {command}\n")[2].partition("\n## ")[0]


def options(parser: argparse.ArgumentParser) -> set[str]:
    spelled = {text for action in parser._actions for text in action.option_strings}
    return spelled - {"-h", "--help"}


def test_the_commands_are_those_that_there_are() -> None:
    assert re.findall(r"^## launchkit (\w+)$", PAGE, re.MULTILINE) == list(parsers())
    assert set(re.findall(r"\[`(\w+)`\]\(#launchkit-\1\)", PAGE)) == set(parsers())


@pytest.mark.parametrize("command", parsers())
def test_the_options_of_a_command(command: str) -> None:
    cells = re.findall(r"^\| (`-.+?) \| ", section(command), re.MULTILINE)
    documented = {text for cell in cells for text in re.findall(r"`(--?[\w-]+)", cell)}
    assert documented == options(parsers()[command])
