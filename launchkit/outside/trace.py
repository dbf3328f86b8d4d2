"""What a sweep has on another machine, noted here from before it is made until it is gone.

The note is ``.launchkit/ssh.json`` below the sweep: with it, whoever ends what a killed
launcher has left finds it there, whatever the settings say by then.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from launchkit import files
from launchkit.outside.remote import Remote
from launchkit.outside.ssh_route import Route
from launchkit.sweep import Sweep, SweepError

FILE = "ssh.json"


@dataclass(frozen=True)
class Trace:
    """What a sweep has on a host.

    Parameters
    ----------
    host, config, args
        The fields of a `Route` to the host.
    base, name
        The fields of the `Remote` of the sweep there.
    folder
        Where the socket of the connection is here.
    rsync
        Whether both sides have rsync.
    containers
        Whether the jobs are in containers of Docker.
    keep
        Whether the directory there is to stay.
    """

    host: str
    config: str | None
    args: tuple[str, ...]
    base: str
    name: str
    folder: str
    rsync: bool
    containers: bool
    keep: bool

    @property
    def route(self) -> Route:
        """How the host is reached."""
        return Route(self.host, self.config, tuple(self.args))

    @property
    def remote(self) -> Remote:
        """The sweep's directory there."""
        return Remote(self.base, self.name)

    def write(self, sweep: Sweep) -> None:
        """Note it."""
        files.write_json(_path(sweep), asdict(self), mode=0o600)


def read(sweep: Sweep) -> Trace | None:
    """Return what a sweep has on a host; None if it has nothing there.

    Raises
    ------
    SweepError
        If the note cannot be read.
    """
    try:
        values = json.loads(_path(sweep).read_text(encoding="utf-8"))
        return Trace(**{**values, "args": tuple(values["args"])})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise SweepError(
            f"{_path(sweep)} cannot be read ({error!r}); it says where the sweep has left something"
        ) from error


def forget(sweep: Sweep) -> None:
    """Take the note away: nothing is left there."""
    _path(sweep).unlink(missing_ok=True)


def _path(sweep: Sweep) -> Path:
    return sweep.own / FILE
