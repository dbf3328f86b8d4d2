"""doodad's ssh mode, made to start what launchkit starts, and to say whether it has started."""

from __future__ import annotations

import functools
from typing import Any, Protocol

from launchkit.doodad import engine
from launchkit.doodad.engine import Doodad


class Runs(Protocol):
    """A connection that runs scripts."""

    def command(self, script: str) -> list[str]:
        """Return the command that runs a script which it reads."""

    def run(self, script: str) -> bytes:
        """Run a script, and return what it printed; raises if it fails."""


def start(connection: Runs, script: str) -> None:
    """Run a script on the host of a connection.

    doodad's own way copies each script to one name there, so that two at a time run one of
    them twice, and leaves the exit code to nobody.

    Raises
    ------
    DoodadMissing
        If there is no doodad.
    """
    _mode_class(engine.load())(connection).run_script(script)


@functools.cache
def _mode_class(doodad: Doodad) -> Any:
    base: Any = doodad.mode.SSHMode

    class ConnectedMode(base):  # type: ignore[misc]  # doodad has no types
        def __init__(self, connection: Runs) -> None:
            super().__init__(ssh_credentials=None)
            self._connection = connection

        def _get_run_command(self, script: str) -> list[str]:
            return self._connection.command(script)

        def run_script(self, script: str) -> None:
            self._connection.run(script)

    return ConnectedMode
