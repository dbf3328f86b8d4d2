"""doodad's launch modes, made to start what launchkit starts: a script, and whole numbers."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from launchkit.doodad import engine
from launchkit.doodad.engine import Doodad

OUTPUT = os.O_WRONLY | os.O_CREAT | os.O_APPEND


class Launcher(Protocol):
    """What is used of a launch mode of doodad."""

    def run_script(
        self, script: Sequence[str], *, environment: Mapping[str, str], output: Path
    ) -> int:
        """Start a script, and return the id of its process, whose exit code is the script's.

        The process leads a session of its own, and is this process's to reap.

        Parameters
        ----------
        script
            Its path, and its arguments: whole numbers.
        environment
            Variables to set beside those of this process.
        output
            The file that what it prints is added to.

        Raises
        ------
        ValueError
            If an argument is no whole number.
        OSError
            If it cannot be started.
        """


def local_launcher() -> Launcher:
    """Return doodad's way to run a script on this machine.

    Raises
    ------
    DoodadMissing
        If there is no doodad.
    """
    launcher: Launcher = _local_class(engine.load())()
    return launcher


def start(script: Sequence[str], *, environment: Mapping[str, str], output: Path) -> int:
    """Start a script with `local_launcher`; see `Launcher.run_script`."""
    return local_launcher().run_script(script, environment=environment, output=output)


@functools.cache
def _local_class(doodad: Doodad) -> Any:
    base: Any = doodad.mode.LocalMode

    class LocalLauncher(base):  # type: ignore[misc]  # doodad has no types
        def run_script(
            self, script: Sequence[str], *, environment: Mapping[str, str], output: Path
        ) -> int:
            _check_arguments(script)
            # Read by the shell as a file, it needs no right to be executed, which a disk may
            # deny. Not `subprocess`: the signals that the caller holds back would stay so.
            return os.posix_spawnp(
                self.shell_interpreter,
                [self.shell_interpreter, *script],
                {**os.environ, **environment},
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_OPEN, 1, os.fspath(output), OUTPUT, 0o666),
                    (os.POSIX_SPAWN_DUP2, 1, 2),
                ],
                setsid=True,
                setsigmask=(),
            )

    return LocalLauncher


def _check_arguments(script: Sequence[str]) -> None:
    for argument in script[1:]:
        if not (argument.isascii() and argument.isdigit()):
            raise ValueError(f"{argument!r} is no whole number, and {script[0]} takes no other")
