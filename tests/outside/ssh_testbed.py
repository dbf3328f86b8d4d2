"""The testbed's sshd for tests: ways to it, one of which can be cut, and what it leaves."""

from __future__ import annotations

import contextlib
import pwd
import select
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import testbed

from launchkit.outside.ssh_route import Route

CONFIG = str(testbed.SSH_CONFIG)
ROUTE = Route(testbed.SSH_HOST, CONFIG)


def home() -> Path:
    """Return the home directory of the testbed's account, which is on this machine."""
    return Path(pwd.getpwnam(testbed.TEST_USER).pw_dir)


def port() -> int:
    """Return the port that the testbed's sshd listens on."""
    return int((testbed.STATE / "ssh" / "port").read_text())


class Relay:
    """A way to the testbed's sshd that can be cut, and be there again.

    Attributes
    ----------
    args
        Arguments with which ssh takes it.
    """

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._up = True
        self._closed = False
        self.connections = 0
        self.args = [f"-oPort={self._server.getsockname()[1]}"]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """End all connections, and let nobody in any more."""
        self._up = False
        for pair in self._pairs:
            for end in pair:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
        self._pairs.clear()

    def mend(self) -> None:
        """Let connections through again."""
        self._up = True

    def close(self) -> None:
        """Be there no more."""
        self._closed = True
        self.cut()
        self._server.close()

    def _accept(self) -> None:
        while not self._closed:
            try:
                if not select.select([self._server], [], [], 0.1)[0]:
                    continue
                near, _ = self._server.accept()
            except (OSError, ValueError):
                return
            if not self._up:
                near.close()
                continue
            self.connections += 1
            far = socket.create_connection(("127.0.0.1", port()))
            self._pairs.append((near, far))
            for pair in ((near, far), (far, near)):
                threading.Thread(target=_copy, args=pair, daemon=True).start()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    for end in (source, target):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def relay() -> Iterator[Relay]:
    """Make a way to the sshd for the time of a block."""
    made = Relay()
    try:
        yield made
    finally:
        made.close()
