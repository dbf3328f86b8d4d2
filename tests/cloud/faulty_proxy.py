"""A proxy before a server of S3, which plays faults."""

from __future__ import annotations

import http.client
import re
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ERROR = "<?xml version='1.0'?><Error><Code>{}</Code><Message>{}</Message></Error>"
ANSWERS = {
    "slow": (503, "SlowDown", "Please reduce your request rate."),
    "internal": (500, "InternalError", "We encountered an internal error. Please try again."),
    "timeout": (400, "RequestTimeout", "Your socket connection was not read from in time."),
    "expired": (400, "ExpiredToken", "The provided token has expired."),
    "denied": (403, "AccessDenied", "Access Denied"),
    "unknown": (403, "InvalidAccessKeyId", "The AWS Access Key Id does not exist."),
    "skewed": (403, "RequestTimeTooSkewed", "The difference is too large."),
    "moved": (301, "PermanentRedirect", "The bucket must be addressed by its endpoint."),
}


@dataclass
class Fault:
    """What happens to some requests."""

    kind: str
    count: int
    method: str
    path: str


@dataclass(frozen=True)
class Seen:
    """A request."""

    method: str
    path: str
    headers: dict[str, str] = field(repr=False)


class FaultyProxy:
    """The proxy: all goes through, but for what was said to `play`."""

    def __init__(self, port: int) -> None:
        self.target = port
        self.faults: list[Fault] = []
        self.seen: list[Seen] = []
        self.then: Callable[[], object] | None = None
        """What is done once, after the next fault."""
        self.released = threading.Event()
        self.lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"proxy": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def play(self, kind: str, count: int = 1, *, method: str = ".*", path: str = "") -> None:
        self.faults.append(Fault(kind, count, method, path))

    def heal(self) -> None:
        """Play nothing any more."""
        with self.lock:
            self.faults.clear()
            self.then = None

    def take(self, seen: Seen) -> str:
        with self.lock:
            self.seen.append(seen)
            for fault in self.faults:
                meant = re.fullmatch(fault.method, seen.method) and re.search(fault.path, seen.path)
                if meant and fault.count:
                    fault.count -= 1
                    return fault.kind
        return ""

    def stop(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: FaultyProxy

    def _do(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        if headers.get("expect") == "100-continue":
            self.send_response_only(100)
            self.end_headers()
        body = self._body(headers)
        kind = self.proxy.take(Seen(self.command, self.path, headers))
        if kind in ANSWERS:
            status, code, message = ANSWERS[kind]
            self._answer(status, ERROR.format(code, message).encode(), kind)
        elif kind == "reset":
            self._reset()
        elif kind == "hang":
            self.proxy.released.wait(20)
            self._reset()
        else:
            self._forward(body, headers, kind)

    def __getattr__(self, name: str) -> Callable[[], None]:
        if name.startswith("do_"):
            return self._do
        raise AttributeError(name)

    def _body(self, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding") != "chunked":
            return self.rfile.read(int(headers.get("content-length", 0)))
        found = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            found += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return found

    def _forward(self, body: bytes, headers: dict[str, str], kind: str) -> None:
        there = http.client.HTTPConnection("127.0.0.1", self.proxy.target, timeout=30)
        kept = {k: v for k, v in headers.items() if k not in ("transfer-encoding", "expect")}
        there.request(self.command, self.path, body, {**kept, "content-length": str(len(body))})
        answer = there.getresponse()
        content = answer.read()
        there.close()
        if kind == "lost":
            self._reset()
            return
        self.send_response_only(answer.status)
        length = answer.headers.get("content-length") if self.command == "HEAD" else None
        for name, value in answer.headers.items():
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        self.send_header("Content-Length", length or str(len(content)))
        self.end_headers()
        if kind == "truncated":
            self.wfile.write(content[: len(content) // 2])
            self.close_connection = True
            self._go_on()
        elif kind == "garbled":
            self.wfile.write(content[:-1] + bytes([content[-1] ^ 255]))
        else:
            self.wfile.write(content)

    def _go_on(self) -> None:
        then, self.proxy.then = self.proxy.then, None
        if then is not None:
            then()

    def _answer(self, status: int, body: bytes, kind: str) -> None:
        self.send_response_only(status)
        if kind == "moved":
            self.send_header("x-amz-bucket-region", "eu-west-1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else body)

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def handle(self) -> None:
        try:
            super().handle()
        except (OSError, ValueError):
            self.close_connection = True  # the client has gone, or we have

    def log_message(self, *args: object) -> None:
        pass
