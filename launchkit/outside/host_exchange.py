"""The exchange about a sweep with a host that is reached by ssh."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from launchkit.outside import asks
from launchkit.outside.exchange import Exchange, below
from launchkit.outside.listing import Look
from launchkit.outside.remote import Remote
from launchkit.outside.shared_files import Sent, shared
from launchkit.outside.ssh import Connection
from launchkit.outside.transfer import Transfer
from launchkit.sweep import Sweep


class HostExchange(Exchange):
    """The exchange about a sweep with a host, which has a directory for it.

    Parameters
    ----------
    sweep
        The sweep.
    connection
        The connection to the host.
    remote
        The sweep's directory there.
    transfer
        The way of its files.
    """

    def __init__(
        self, sweep: Sweep, connection: Connection, remote: Remote, transfer: Transfer
    ) -> None:
        super().__init__(sweep, transfer)
        self._connection = connection
        self._remote = remote
        self._sent = Sent()

    def deliver(self, archive: str) -> None:
        """Make the sweep's directory there, and bring and unpack its archive."""
        self._connection.run(self._remote.make())
        self._transfer.put([self._name(self._sweep.own / archive)])
        self._connection.run(self._remote.unpack(archive))

    def send_shared(self, packs: Iterable[int]) -> None:
        """Bring there what has changed of the sweep's own files, and what is asked of hosts."""
        asked = [path for pack in packs for path in below(asks.path_of(self._sweep, pack))]
        # What is asked may be to run what comes with the rest.
        for paths in (shared(self._sweep), asked):
            changed = self._sent.changed(paths)
            if changed:
                self._transfer.put([self._name(path) for path in changed])
                self._sent.note(changed)

    def ask(self, known: Mapping[int, int]) -> Look:
        """Ask the host."""
        return Look.parse(self._connection.run(self._remote.look(known)))

    def kill(self, *, containers: bool) -> None:
        """End all that runs there of the sweep."""
        self._connection.run(self._remote.kill(self._sweep.id, containers=containers))

    def remove(self, *, there: bool) -> None:
        """Remove what was under way here, and the sweep's directory there if that is wanted."""
        if there:
            self._connection.run(self._remote.remove())
        self._transfer.clear()

    def forget(self) -> None:
        """Take note that nothing is there any more."""
        super().forget()
        self._sent.forget()
