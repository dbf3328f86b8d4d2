"""The network of the simulated clouds: a bridge, and a namespace for each machine."""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import socket
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path

BRIDGE = "lkclouds"
HOME = "10.213.0.1"
"""The address of this machine, for itself and for the machines."""
METADATA = "169.254.169.254"

_NAMESPACES = Path("/run/netns")
_PREFIX = "lkm"
_CLONE_NEWNET = 0x40000000
_ADDRESS = "02:6c:6b:00:00:01"
_LISTENING = "0A"
_making = threading.Lock()


@dataclass(frozen=True)
class Network:
    """A machine's connection.

    Parameters
    ----------
    name
        Of the namespace, and of the wire's end here.
    address
        The machine's address.
    """

    name: str
    address: str

    @property
    def path(self) -> Path:
        """The namespace."""
        return _NAMESPACES / self.name

    @property
    def link_address(self) -> str:
        """The address of the wire's end there: this machine may still know it of a former one."""
        high, low = socket.inet_aton(self.address)[2:]
        return f"02:6c:6b:01:{high:02x}:{low:02x}"

    def cut(self) -> None:
        """Cut the wire."""
        _ip(f"link set {self.name} down")

    def mend(self) -> None:
        """Mend the wire."""
        _ip(f"link set {self.name} up")

    def listen(self, address: str, port: int) -> socket.socket:
        """Return a socket that listens inside."""
        made: list[socket.socket | OSError] = []
        # What is changed is the calling thread's namespace only, and this one ends.
        thread = threading.Thread(target=lambda: made.append(self._listen(address, port)))
        thread.start()
        thread.join()
        if not made or isinstance(made[0], OSError):
            raise OSError(f"nothing can listen in {self.name}: {made or 'no socket'}")
        return made[0]

    def _listen(self, address: str, port: int) -> socket.socket | OSError:
        libc = ctypes.CDLL(None, use_errno=True)
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            if libc.setns(descriptor, _CLONE_NEWNET) != 0:
                return OSError(ctypes.get_errno(), "setns")
            return socket.create_server((address, port), backlog=128)
        except OSError as error:
            return error
        finally:
            os.close(descriptor)

    def remove(self) -> None:
        """Remove it."""
        remove(self.name)


def remove(name: str) -> None:
    """Remove a network or a link by its name, there or not."""
    for command in (f"link del {name}", f"netns del {name}"):
        with contextlib.suppress(subprocess.CalledProcessError):
            _ip(command)


def make_bridge() -> None:
    """Make what all machines are connected to, if it is not there."""
    with contextlib.suppress(subprocess.CalledProcessError):
        _ip(f"link add {BRIDGE} type bridge")
    # Else it takes the lowest address of its wires: a new machine would cut off all others, until
    # they ask again who has its address.
    _ip(f"link set {BRIDGE} address {_ADDRESS}")
    _ip(f"addr replace {HOME}/16 dev {BRIDGE}", f"link set {BRIDGE} up")


def remove_bridge() -> None:
    """Remove the bridge, unless somebody still listens there."""
    number = int.from_bytes(socket.inet_aton(HOME), "little")
    ours = f"{number:08X}:"
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        address, state = line.split()[1], line.split()[3]
        if address.startswith(ours) and state == _LISTENING:
            return
    remove(BRIDGE)


def connect() -> Network:
    """Make a namespace that is connected; the address is its own among those of all clouds."""
    with _making:
        network = _reserve()
    name = network.name
    try:
        _ip(
            f"link add {name} type veth peer name eth0 address {network.link_address} netns {name}",
            f"link set {name} master {BRIDGE} up",
        )
        _ip(
            "link set lo up",
            f"addr add {METADATA}/32 dev lo",
            "link set eth0 up",
            f"addr add {network.address}/16 dev eth0",
            # Nothing but the clouds can be reached, and that is told at once.
            "route add unreachable default",
            inside=name,
        )
    except subprocess.CalledProcessError as error:
        network.remove()
        raise OSError(f"no network: {error.stderr.strip()}") from error
    return network


def _reserve() -> Network:
    # Another daemon does so, too: only one of them can make a namespace of a name.
    for number in itertools.chain(range(_last[0] + 1, 50_000), range(2, _last[0] + 1)):
        name = f"{_PREFIX}{number}"
        if (_NAMESPACES / name).exists():
            continue
        try:
            _ip(f"netns add {name}")
        except subprocess.CalledProcessError:
            if not (_NAMESPACES / name).exists():
                raise
            continue
        _last[0] = number
        return Network(name, f"10.213.{1 + number // 250}.{number % 250 + 2}")
    raise OSError("all addresses are taken")


_last = [1]


def _ip(*commands: str, inside: str = "") -> None:
    subprocess.run(
        ["ip", *(["-n", inside] if inside else []), "-batch", "-"],
        input="\n".join(commands),
        text=True,
        capture_output=True,
        check=True,
        timeout=20,
    )
