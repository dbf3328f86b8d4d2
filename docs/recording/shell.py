"""A bash in a terminal of its own, at which commands are typed."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from recording.screen import Screen

COLUMNS, ROWS = 100, 30
# The title tells that a command has ended, and how; the prompt itself is two characters.
PROMPT = r"\[\e]0;$?\a\]$ "
LONGEST_S = 180.0


class RecordingError(RuntimeError):
    """A command did not do what the recording needs."""


class Shell:
    """A bash in a pty.

    Parameters
    ----------
    directory
        Where it starts.
    environment
        Its variables.
    """

    def __init__(self, directory: Path, environment: Mapping[str, str]) -> None:
        self._screen = Screen()
        self._pid, self._master = pty.fork()
        if not self._pid:
            # What starts this in the background may have them ignored, and bash leaves it so.
            for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
                signal.signal(number, signal.SIG_DFL)
            os.chdir(directory)
            # Without line editing bash writes nothing but prompts and what commands print.
            words = ["bash", "--norc", "--noprofile", "--noediting", "-i"]
            variables = {**environment, "PS1": PROMPT, "TERM": "xterm"}
            os.execvpe("bash", words, variables)  # noqa: S606, S607 - the machine's own
        size = struct.pack("HHHH", ROWS, COLUMNS, 0, 0)
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, size)
        self._wait_for_prompt(0, "the start of bash", lambda lines: None)

    def type(
        self, command: str, see: Callable[[list[str]], None] = lambda lines: None
    ) -> tuple[list[str], int]:
        """Type a command, and return the lines it left on the screen, and its exit code.

        Parameters
        ----------
        command
            A line for bash.
        see
            Is shown the lines whenever there is something new.
        """
        top, seen = len(self._screen.lines) - 1, len(self._screen.titles)
        os.write(self._master, f"{command}\n".encode())
        self._wait_for_prompt(seen, command, lambda lines: see(lines[top:]))
        lines = [line.rstrip() for line in self._screen.lines[top:-1]]
        return lines, int(self._screen.titles[-1].removeprefix("0;"))

    def answer(self, text: str) -> None:
        """Type a line for the command that runs."""
        os.write(self._master, f"{text}\n".encode())

    def close(self) -> None:
        """Close the terminal, as the button of its window does."""
        os.close(self._master)
        deadline = time.monotonic() + 10
        while not os.waitpid(self._pid, os.WNOHANG)[0]:
            if time.monotonic() > deadline:
                os.kill(self._pid, signal.SIGKILL)
            time.sleep(0.05)

    def _wait_for_prompt(self, seen: int, command: str, see: Callable[[list[str]], None]) -> None:
        deadline = time.monotonic() + LONGEST_S
        while len(self._screen.titles) == seen or self._screen.lines[-1] != "$ ":
            if time.monotonic() > deadline:
                raise RecordingError(f"{command!r} has not ended after {LONGEST_S:g} s")
            if select.select([self._master], [], [], 0.5)[0]:
                data = os.read(self._master, 1 << 16)
                # Half a character at the end of a block is not worth a decoder: bash and
                # launchkit write whole lines, and the pty's buffer is smaller than a block.
                self._screen.feed(data.decode(errors="replace"))
                see(self._screen.lines)
