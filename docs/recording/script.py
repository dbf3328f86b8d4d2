"""The script of a recording: a page of Markdown in which commands have no output yet.

A block of ```` ```console NAME ```` has the commands for the terminal NAME, each behind ``$``.
A block of ```` ```LANGUAGE FILE ```` is a file that is written before anything runs. Comments
``<!-- … -->`` that begin with one of these words direct the recording, and are not in the page:

``wait COMMAND``
    Wait until a shell command succeeds.
``run COMMAND``
    Run a shell command that the page does not show.
``let NAME = REGEX``
    Keep what the group of the expression matches in the last output; ``{NAME}`` stands for it.
``close NAME``
    Close a terminal.
``exits CODE``
    The last command of the next block exits with this code; any other exits with 0.
``answer TEXT when REGEX``
    Type this in the next command, once its last line on the screen matches.
``picture FILE when REGEX``
    Of the next command's screen, when its text matches; the last such moment is drawn.
``readme NAME``
    The next block is also put in the README, between the marks ``<!-- NAME: begin -->`` and
    ``<!-- NAME: end -->``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_PART = re.compile(
    r"<!-- (?P<word>wait|run|let|close|exits|answer|picture|readme) (?P<rest>.+?) -->\n"
    r"|```(?P<kind>\w+) (?P<name>\S+)\n(?P<body>.*?)```\n",
    re.DOTALL,
)


@dataclass(frozen=True)
class Prose:
    """What stands in the page as it is."""

    text: str


@dataclass(frozen=True)
class Commands:
    """Commands for a terminal."""

    terminal: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class File:
    """A file, which stands in the page."""

    kind: str
    name: str
    text: str


@dataclass(frozen=True)
class Direction:
    """What the page does not show."""

    word: str
    rest: str


Part = Prose | Commands | File | Direction


def parse(text: str) -> Iterator[Part]:
    """Yield the parts of a script.

    Raises
    ------
    ValueError
        If a line of a block for a terminal is no command.
    """
    at = 0
    for found in _PART.finditer(text):
        if found.start() > at:
            yield Prose(text[at : found.start()])
        at = found.end()
        if found["word"]:
            yield Direction(found["word"], found["rest"])
        elif found["kind"] == "console":
            yield Commands(found["name"], tuple(map(_command, found["body"].splitlines())))
        else:
            yield File(found["kind"], found["name"], found["body"])
    if at < len(text):
        yield Prose(text[at:])


def _command(line: str) -> str:
    if not line.startswith("$ "):
        raise ValueError(f"{line!r} is no command: it does not begin with '$ '")
    return line[2:]
