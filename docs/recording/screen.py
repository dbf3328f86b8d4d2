"""What a terminal shows of what is written to it: as much as bash and launchkit need."""

from __future__ import annotations

import re

_TOKEN = re.compile(
    r"\x1b\](?P<title>[^\x07]*)\x07"  # a title: the prompt tells the exit code in it
    r"|\x1b\[[?>]?(?P<count>[\d;]*)(?P<command>[A-Za-z])"
    r"|(?P<text>[^\x00-\x1f]+)"
    r"|(?P<control>[\x00-\x1f])"
)
_UNFINISHED = re.compile(r"\x1b(\][^\x07]*|\[[\d;?>]*)?$")


class Screen:
    """Lines of any length: what moves the cursor up are short ones, which never wrap."""

    def __init__(self) -> None:
        self.lines = [""]
        self.titles: list[str] = []
        self._y = self._x = 0
        self._pending = ""

    def feed(self, text: str) -> None:
        """Show what was written."""
        text = self._pending + text
        cut = _UNFINISHED.search(text)
        self._pending = cut[0] if cut else ""
        for token in _TOKEN.finditer(text, 0, cut.start() if cut else len(text)):
            if token["title"] is not None:
                self.titles.append(token["title"])
            elif token["command"]:
                self._obey(token["command"], token["count"])
            elif token["text"]:
                self._put(token["text"])
            else:
                self._control(token["control"])

    def _obey(self, command: str, count: str) -> None:
        if command == "A":
            self._y = max(0, self._y - int(count or 1))
        elif command in "KJ":
            self.lines[self._y] = self.lines[self._y][: self._x]
            if command == "J":
                del self.lines[self._y + 1 :]

    def _put(self, text: str) -> None:
        line = self.lines[self._y].ljust(self._x)
        self.lines[self._y] = line[: self._x] + text + line[self._x + len(text) :]
        self._x += len(text)

    def _control(self, character: str) -> None:
        if character == "\r":
            self._x = 0
        elif character == "\b":
            self._x = max(0, self._x - 1)
        elif character == "\t":
            self._put(" " * (8 - self._x % 8))
        elif character == "\n":
            self._y += 1
            if self._y == len(self.lines):
                self.lines.append("")
