"""The way to a host: the arguments of ``ssh``, and what to do where they lead nowhere."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass

FIXED = ("BatchMode=yes", "ControlPersist=no", "RequestTTY=no", "RemoteCommand=none")
DEFAULTS = (
    "ConnectTimeout=20",
    "ServerAliveInterval=10",
    "ServerAliveCountMax=3",
    "ClearAllForwardings=yes",
    "LogLevel=ERROR",
)


class ConnectionLost(Exception):
    """The host could not be reached, or no longer; what runs there is as it was.

    The message is what ``ssh`` says of it.
    """


@dataclass(frozen=True)
class Route:
    """How a host is reached.

    Parameters
    ----------
    host
        Its name or alias, with ``user@`` in front of it or not.
    config
        The file of settings for ``ssh``; None for the user's own.
    args
        More arguments of ``ssh``.
    """

    host: str
    config: str | None = None
    args: tuple[str, ...] = ()

    def options(self) -> list[str]:
        """Return the arguments of ``ssh`` before the host's name; of two, the first counts."""
        config = ["-F", os.path.expanduser(self.config)] if self.config else []  # noqa: PTH111 - as given
        fixed = [f"-o{option}" for option in FIXED]
        return [*config, *fixed, *self.args, *(f"-o{option}" for option in DEFAULTS)]


def explain(route: Route, error: ConnectionLost) -> str:
    """Say why a host cannot be reached, and what to do."""
    said = str(error).rstrip(".")
    begun = f"host is {route.host!r}, and ssh says: {said}"
    ways = {
        "resolve hostname": "check the name, or give it an alias (Host) in your ssh config",
        "IDENTIFICATION HAS CHANGED": "the host has another key than it had; find out why, and if "
        f"that is right, remove the old one: ssh-keygen -R {shlex.quote(_address(route))}",
        "Host key verification failed": "its key is not known here, or not the known one; connect "
        "once by hand, and compare the key's fingerprint before you say yes",
        "Permission denied": "see to it that ssh gets in without a question: a key in your agent, "
        "or IdentityFile and User in your ssh config",
        "Too many authentication failures": "name the key: IdentityFile and IdentitiesOnly yes in "
        "your ssh config",
        "refused": "is sshd running there, and on that port?",
        "timed out": "is it on, and can it be reached from here (a jump host, a VPN)?",
        "no answer": "is it on, and can it be reached from here (a jump host, a VPN)?",
        "onfiguration": "check the setting ssh_config",
        "config file": "check the setting ssh_config",
    }
    way = next((way for sign, way in ways.items() if sign in said), "")
    return f"{begun}; {way}" if way else begun


def _address(route: Route) -> str:
    return route.host.rpartition("@")[2]
