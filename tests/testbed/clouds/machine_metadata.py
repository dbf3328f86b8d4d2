"""A machine's metadata service, which only it can reach."""

from __future__ import annotations

import socketserver
import threading
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from machine_network import METADATA, Network

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication  # of Python 3.11 and later


class MetadataService:
    """A WSGI application that answers in a machine's network until it is closed."""

    def __init__(self, application: WSGIApplication, network: Network) -> None:
        self._server = _Server((METADATA, 80), _Handler, bind_and_activate=False)
        self._server.socket.close()
        self._server.socket = network.listen(METADATA, 80)
        self._server.server_name, self._server.server_port = METADATA, 80
        self._server.setup_environ()
        self._server.set_app(application)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name="metadata", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop it."""
        self._server.shutdown()
        self._server.server_close()


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """Who asked has gone away, as killed machines do."""


class _Handler(WSGIRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Nobody reads it."""
