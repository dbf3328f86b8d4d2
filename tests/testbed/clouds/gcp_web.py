"""An HTTP server of the simulated Google Cloud: it passes requests on to rooms, logs what was
asked, and plays faults on the way."""

from __future__ import annotations

import json
import re
import socket
import ssl
import struct
import threading
import time
import traceback
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from gcp_faults import Fault, Faults, Kind
from gcp_log import Log, Record

_QUIET_S = 75.0
"""Seconds after which a connection that says nothing is closed."""


@dataclass
class Request:
    """What was asked. `origin` is where the server was reached, such as ``http://host:port``."""

    method: str
    path: str
    query: dict[str, str]
    headers: Mapping[str, str]
    body: bytes = b""
    origin: str = ""
    caller: str = ""
    action: str = ""
    """What the room takes it for, such as ``storage.objects.get``; for the log."""
    queries: dict[str, list[str]] = field(default_factory=dict)
    """All values of query parameters that may be repeated."""

    @property
    def json(self) -> dict[str, Any]:
        """The body's JSON object; empty if there is no body."""
        if not self.body:
            return {}
        try:
            value = json.loads(self.body)
        except ValueError as error:
            raise bad_request(f"Parse Error: {error}", "parseError") from None
        if not isinstance(value, dict):
            raise bad_request("Parse Error: the body must be an object", "parseError")
        return value

    @classmethod
    def of(
        cls, method: str, target: str, headers: Mapping[str, str], body: bytes, origin: str = ""
    ) -> Request:
        """Take a request target apart; the path stays as it came: names may hold ``%2F``."""
        # In a batch, and to a proxy, requests come with the server's own name.
        path, _, query = re.sub(r"^https?://[^/]*", "", target).partition("?")
        queries = urllib.parse.parse_qs(query, keep_blank_values=True)
        return cls(
            method,
            path,
            {name: values[-1] for name, values in queries.items()},
            headers,
            body,
            origin,
            queries=queries,
        )


@dataclass
class Answer:
    """What is answered."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, value: Any, status: int = 200, **headers: str) -> Answer:
        """Answer with JSON."""
        body = json.dumps(value).encode()
        return cls(status, body, {"Content-Type": "application/json; charset=UTF-8", **headers})


class Problem(Exception):
    """A request is answered by an error, as Google words it."""

    def __init__(self, status: int, message: str, reason: str, word: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.reason = reason
        self.word = word

    def answer(self) -> Answer:
        """Word it in JSON."""
        error: dict[str, Any] = {
            "code": self.status,
            "message": self.message,
            "errors": [{"message": self.message, "domain": "global", "reason": self.reason}],
        }
        if self.word:
            error["status"] = self.word
        return Answer.of({"error": error}, self.status)


def bad_request(message: str, reason: str = "invalid") -> Problem:
    """Return the error for a request that makes no sense."""
    return Problem(400, message, reason, "INVALID_ARGUMENT")


def not_found(message: str) -> Problem:
    """Return the error for something that is not there."""
    return Problem(404, message, "notFound", "NOT_FOUND")


Room = Callable[[Request], "Answer | None"]
"""Answers the requests that are its own; None for all others."""
Gate = Callable[[Request], str]
"""Says who calls; raises `Problem` to whom is not let in."""


class Site:
    """The rooms behind a server, with the log and the faults."""

    def __init__(self, rooms: list[Room], gate: Gate | None = None) -> None:
        self.rooms = rooms
        self.gate = gate or (lambda _request: "")
        self.faults = Faults()
        self.log = Log()
        self.machine_at: Callable[[str], str] = lambda _address: ""
        """Tells which machine has an address."""

    def answer(self, request: Request) -> Answer:
        """Answer a request, without faults and log."""
        try:
            request.caller = self.gate(request)
            for room in self.rooms:
                found = room(request)
                if found is not None:
                    return found
        except Problem as problem:
            return problem.answer()
        except Exception:
            traceback.print_exc()
            return Problem(500, "the testbed itself is broken: see its log", "testbed").answer()
        return not_found(f"there is no {request.method} {request.path} here").answer()


class Server:
    """A site that listens at addresses: ``(host, port, certificate or None)``."""

    def __init__(self, site: Site, *addresses: tuple[str, int, Path | None]) -> None:
        self.site = site
        self._servers = [_listen(site, *address) for address in addresses]

    @property
    def ports(self) -> list[int]:
        """The ports, in the order of the addresses."""
        return [server.server_address[1] for server in self._servers]

    def start(self) -> Server:
        """Answer from now on, in threads."""
        for server in self._servers:
            threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()
        return self

    def stop(self) -> None:
        """Answer no more."""
        self.site.faults.clear()
        for server in self._servers:
            server.shutdown()
            server.server_close()


class _Threads(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256
    scheme = "http"
    context: ssl.SSLContext | None = None

    def finish_request(self, request: Any, client_address: Any) -> None:
        # Here rather than when it is accepted: a client that is slow with its handshake would
        # make all others wait.
        if self.context is not None:
            request.settimeout(10)
            request = self.context.wrap_socket(request, server_side=True)
        super().finish_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients go away in the middle of things: that is their right."""


def _listen(site: Site, host: str, port: int, certificate: Path | None) -> _Threads:
    handler = type("Handler", (_Handler,), {"site": site})
    server = _Threads((host, port), handler)
    if certificate is not None:
        server.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.context.load_cert_chain(certificate)
        server.scheme = "https"
    return server


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = _QUIET_S
    # Answers are written whole: waiting for more would cost 40 ms each.
    disable_nagle_algorithm = True
    site: Site
    server: _Threads

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except (OSError, EOFError):
            self.close_connection = True

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):
            return self._do
        raise AttributeError(name)

    def _do(self) -> None:
        began = time.time()
        body = b"".join(self._body())
        target = self.path
        origin = f"{self.server.scheme}://{self.headers.get('Host', 'localhost')}"
        request = Request.of(self.command, target, self.headers, body, origin)
        machine = self.site.machine_at(self.client_address[0])
        fault = self.site.faults.take(request.method, target, machine)
        record = Record(began, request.method, target, len(body), machine=machine)
        if fault is not None and fault.kind in (Kind.HANG, Kind.DELAY):
            fault.wait()
        answer = fault.answer() if fault is not None else None
        # The other faults keep a request from being done.
        if fault is None or fault.kind in (Kind.TRUNCATED, Kind.LOST, Kind.DELAY):
            answer = self.site.answer(request)
        record.fault = fault.kind.value if fault is not None else ""
        record.action, record.caller = request.action, request.caller
        record.agent = self.headers.get("User-Agent", "")
        lost = answer is None or (fault is not None and fault.kind is Kind.LOST)
        if isinstance(answer, tuple):
            answer = Answer(*answer)
        sent = b"" if answer is None or lost else self._sent(answer, fault)
        if answer is not None and not lost:
            record.status, record.bytes_out = answer.status, len(sent)
        record.seconds = time.time() - began
        # Before the client has the answer: it may count its calls at once.
        self.site.log.add(record)
        if answer is None or lost:
            self._reset()
        else:
            self._send(answer, sent)

    def _sent(self, answer: Answer, fault: Fault | None) -> bytes:
        """Return the part of an answer's body that is sent."""
        if self.command == "HEAD" or answer.status in (204, 304):
            return b""
        if fault is not None and fault.kind is Kind.TRUNCATED:
            self.close_connection = True
            return answer.body[: len(answer.body) // 2]
        return answer.body

    def _send(self, answer: Answer, sent: bytes) -> None:
        self.send_response(answer.status)
        for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(sent)
        self.wfile.flush()

    def _reset(self) -> None:
        """Close the connection so that the client is told it was reset."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def _body(self) -> Iterator[bytes]:
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            while size := int(self.rfile.readline().partition(b";")[0], 16):
                yield self._exactly(size)
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
        elif length := int(self.headers.get("Content-Length") or 0):
            yield self._exactly(length)

    def _exactly(self, size: int) -> bytes:
        data = self.rfile.read(size)
        if len(data) < size:
            raise EOFError("the client went away while it was sending")
        return data

    def send_response(self, code: int, message: str | None = None) -> None:
        """Leave out the names and versions that a Google server does not tell."""
        self.send_response_only(code, message)
        self.send_header("Date", self.date_time_string())
        self.send_header("Server", "UploadServer")

    def log_message(self, *args: Any) -> None:
        """Say nothing: the log is `Site.log`."""


def names(pattern: str) -> re.Pattern[str]:
    """Compile a path in which ``{x}`` stands for a segment and ``{x+}`` for all the rest."""
    pieces = re.split(r"\{(\w+)(\+?)\}", pattern)
    regex = re.escape(pieces[0])
    for i in range(1, len(pieces), 3):
        regex += f"(?P<{pieces[i]}>{'.+' if pieces[i + 1] else '[^/]+'})" + re.escape(pieces[i + 2])
    return re.compile(regex)


def segments(match: re.Match[str]) -> dict[str, str]:
    """Return what the braces stand for, decoded."""
    return {name: urllib.parse.unquote(value) for name, value in match.groupdict().items()}
