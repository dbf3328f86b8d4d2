"""Record a walk-through: run its commands in real terminals, and write down what they show.

::

    python docs/record.py
    python docs/record.py --clouds

The first makes docs/walkthrough.md of docs/recording/walkthrough.in, the second
docs/clouds-walkthrough.md of clouds.in there, on the simulated clouds that
``tests/testbed/up docker aws gcp`` has started; `recording/script.py` says how a script is read.
What is changed afterwards: directories become ``…``, and the machine's name ``host``.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from recording.marks import filled
from recording.picture import svg
from recording.script import Commands, Direction, File, Part, Prose, parse
from recording.shell import RecordingError, Shell

DOCS = Path(__file__).parent
LONGEST_WAIT_S = 120.0
KEPT = (
    "HOME", "LANG", "LAUNCHKIT_DOODAD", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV"
)  # fmt: skip
"""The variables of this process that the commands have, too."""


class Recorder:
    """Plays a script in a directory, and makes the page.

    Parameters
    ----------
    directory
        Where the commands run.
    pictures
        Where the pictures go; their names are relative to it.
    more
        More variables for the commands.
    """

    def __init__(self, directory: Path, pictures: Path, more: Mapping[str, str]) -> None:
        self._directory = directory
        self._pictures = pictures
        self._environment = {**_environment(), **more}
        self._shells: dict[str, Shell] = {}
        self._values: dict[str, str] = {}
        self._picture: tuple[str, re.Pattern[str]] | None = None
        self._drawn: list[str] = []
        self._last = ""
        self._exits = 0
        self._answer: tuple[str, re.Pattern[str]] | None = None
        self._shell: Shell | None = None
        self._name: str | None = None
        self.captures: dict[str, str] = {}
        """Blocks for the README, by the name of the marks that they stand between."""

    def page(self, parts: list[Part]) -> str:
        """Play the parts of a script, and return the page."""
        try:
            for part in parts:
                if isinstance(part, File):
                    path = self._directory / part.name
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_text(part.text, encoding="utf-8")
            return "".join(map(self._play, parts))
        finally:
            for shell in self._shells.values():
                shell.close()

    def _play(self, part: Part) -> str:
        if isinstance(part, Prose):
            return part.text
        if isinstance(part, File):
            return f"```{part.kind}\n{part.text}```\n"
        if isinstance(part, Commands):
            return self._block(part)
        self._direct(part)
        return ""

    def _block(self, commands: Commands) -> str:
        if commands.terminal not in self._shells:
            self._shells[commands.terminal] = Shell(self._directory, self._environment)
        self._shell = shell = self._shells[commands.terminal]
        lines = []
        expected = [*[0] * (len(commands.lines) - 1), self._exits]
        self._exits = 0
        for line, code in zip(commands.lines, expected, strict=True):
            shown, exited = shell.type(self._filled_in(line), self._look)
            lines += shown
            self._last = "\n".join(shown)
            if exited != code:
                raise RecordingError(f"exit code {exited}, not {code}:\n{self._last}")
            self._draw()
        block = self._told("```console\n" + "\n".join(lines) + "\n```\n")
        if self._name is not None:
            self.captures[self._name], self._name = block, None
        return block

    def _direct(self, direction: Direction) -> None:
        word, rest = direction.word, self._filled_in(direction.rest)
        if word == "wait":
            self._wait(rest)
        elif word == "run":
            self._run(rest, check=True)
        elif word == "let":
            name, _, pattern = rest.partition(" = ")
            found = re.search(pattern, self._last)
            if found is None:
                raise RecordingError(f"{pattern!r} is not in {self._last!r}")
            self._values[name] = found[1]
        elif word == "close":
            self._shells.pop(rest).close()
        elif word == "exits":
            self._exits = int(rest)
        elif word == "readme":
            self._name = rest
        elif word == "answer":
            text, _, pattern = rest.partition(" when ")
            self._answer = (text, re.compile(pattern))
        else:
            name, _, pattern = rest.partition(" when ")
            self._picture, self._drawn = (name, re.compile(pattern, re.DOTALL)), []

    def _filled_in(self, text: str) -> str:
        return re.sub(r"\{(\w+)\}", lambda found: self._values.get(found[1], found[0]), text)

    def _wait(self, command: str) -> None:
        deadline = time.monotonic() + LONGEST_WAIT_S
        while self._run(command).returncode:
            if time.monotonic() > deadline:
                raise RecordingError(f"{command!r} has not become true")
            time.sleep(0.1)

    def _run(self, command: str, *, check: bool = False) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-c", command],  # noqa: S607 - that of the machine
            cwd=self._directory,
            env=self._environment,
            check=check,
            capture_output=True,
            text=True,
        )

    def _look(self, lines: list[str]) -> None:
        if self._picture and self._picture[1].search("\n".join(lines)):
            self._drawn = [line.rstrip() for line in lines]
        if self._answer and self._shell and self._answer[1].search(lines[-1]):
            self._shell.answer(self._answer[0])
            self._answer = None

    def _draw(self) -> None:
        if self._picture is None:
            return
        name, pattern = self._picture
        if not self._drawn:
            raise RecordingError(f"the screen never matched {pattern.pattern!r}:\n{self._last}")
        while not self._drawn[-1]:
            self._drawn.pop()
        text = self._told("\n".join(self._drawn))
        path = self._pictures / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(svg(text.splitlines(), f"A terminal: {text}"), encoding="utf-8")
        self._picture = None

    def _told(self, text: str) -> str:
        """Return what is shown, without what belongs to this machine."""
        for path in (self._directory, Path(sys.prefix), DOCS.parent):
            # In a table the columns to the right stay where they are.
            text = re.sub(rf"(?<=  ){re.escape(str(path))}(\S*)(?=  +\S)", _shortened, text)
            text = text.replace(str(path), "…")
        return re.sub(rf"\bon {re.escape(os.uname().nodename)}\b", "on host", text)


def _shortened(found: re.Match[str]) -> str:
    return f"…{found[1]}".ljust(len(found[0]))


def _environment() -> Mapping[str, str]:
    """Return the environment of the commands: `python` and `launchkit` are this interpreter's."""
    kept = {name: value for name, value in os.environ.items() if name in KEPT}
    here = Path(sys.executable).parent
    return {"LANG": "C.UTF-8", **kept, "PATH": f"{here}{os.pathsep}{os.environ['PATH']}"}


def _clouds() -> Mapping[str, str]:
    """Return the variables with which both clouds are the simulated ones."""
    sys.path.append(str(DOCS.parent / "tests" / "testbed"))
    import testbed  # noqa: PLC0415 - only here it is needed

    for component in ("docker", "aws", "gcp"):
        reason = testbed.available(component)
        if reason is not None:
            raise RecordingError(reason)
    return {**testbed.aws_environment(), **testbed.gcp_environment()}


def main() -> None:
    """Play a script, and write its page."""
    parser = argparse.ArgumentParser(description="Record the walk-through.")
    parser.add_argument(
        "--script", type=Path, default=DOCS / "recording" / "walkthrough.in", help="what to play"
    )
    parser.add_argument(
        "--page", type=Path, default=DOCS / "walkthrough.md", help="the page that it becomes"
    )
    parser.add_argument(
        "--readme", type=Path, default=DOCS.parent / "README.md", help="what has a part of it"
    )
    parser.add_argument(
        "--clouds", action="store_true", help="play docs/recording/clouds.in, on simulated clouds"
    )
    options = parser.parse_args()
    more: Mapping[str, str] = {}
    if options.clouds:
        options.script = DOCS / "recording" / "clouds.in"
        options.page = DOCS / "clouds-walkthrough.md"
        more = _clouds()
    parts = list(parse(options.script.read_text(encoding="utf-8")))
    with tempfile.TemporaryDirectory(prefix="walkthrough-") as directory:
        recorder = Recorder(Path(directory).resolve(), options.page.parent, more)
        page = recorder.page(parts)
    options.page.write_text(page, encoding="utf-8")
    for name, block in recorder.captures.items():
        text = options.readme.read_text(encoding="utf-8")
        options.readme.write_text(filled(text, name, block), encoding="utf-8")


if __name__ == "__main__":
    main()
