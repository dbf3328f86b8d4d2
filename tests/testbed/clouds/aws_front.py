"""The simulated AWS on a port."""

from __future__ import annotations

import contextlib
import socket
import struct
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aws_control import PREFIX, Control
from aws_faults import Fault
from aws_requests import Request, Response


class Front(ThreadingHTTPServer):
    """A server of the simulated AWS."""

    daemon_threads = True
    request_queue_size = 256
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], control: Control) -> None:
        super().__init__(address, _Handler)
        self.control = control
        self.world = control.world
        self.faults = control.faults
        self.log = control.log

    def handle_error(self, *_: Any) -> None:
        """A client that has gone away, as those of killed machines do."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # An answer is sent at once, in one piece.
    wbufsize = -1
    disable_nagle_algorithm = True
    server: Front

    def log_message(self, *_: Any) -> None:
        """The log is another."""

    def handle_expect_100(self) -> bool:
        """Say at once that the body is welcome."""
        welcome = super().handle_expect_100()
        self.wfile.flush()
        return welcome

    def _serve(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(
            self.command, self.path, headers, self._body(headers), self.client_address[0]
        )
        if request.path.startswith(PREFIX):
            self._send(self.server.control.answer(request))
            return
        machine = self.server.world.machines.at(request.client)
        fault = self.server.faults.take(request, machine)
        response = self._play(request, fault)
        # Before the answer: who has it, and asks what has been asked, must find it.
        self.server.log.add(
            method=request.method,
            path=request.target,
            service=request.service,
            action=request.action,
            machine=machine,
            bytes_in=len(request.body),
            bytes_out=len(response.body) if response else 0,
            status=response.status if response else 0,
            fault=fault.kind if fault else "",
        )
        if response is None:
            self._break_off()
        else:
            self._send(response, half=fault is not None and fault.kind == "truncate")

    def __getattr__(self, name: str) -> Any:
        # The server of the library looks for a method a verb.
        if name.startswith("do_"):
            return self._serve
        raise AttributeError(name)

    def _play(self, request: Request, fault: Fault | None) -> Response | None:
        """Return the answer that the fault leaves; None for none at all."""
        if fault is None:
            return self.server.world.answer(request)
        if fault.refusal is not None:
            more = {}
            if fault.kind == "wrong_region":
                more = {"x_amz_bucket_region": fault.region}
            return fault.refusal.answer(request, **more)
        if fault.kind in ("hang", "delay"):
            fault.cleared.wait(fault.pause_s)
        if fault.kind in ("hang", "reset"):
            return None
        response = self.server.world.answer(request)
        return None if fault.kind == "lose" else response

    def _body(self, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding", "").lower() != "chunked":
            return self.rfile.read(int(headers.get("content-length") or 0))
        body = bytearray()
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return bytes(body)

    def _send(self, response: Response, half: bool = False) -> None:
        body = response.body
        self.send_response_only(response.status)
        names = {name.lower() for name, _ in response.headers}
        for name, value in response.headers:
            self.send_header(name, value)
        if "content-length" not in names and response.status not in (204, 304):
            self.send_header("Content-Length", str(len(body)))
        if "date" not in names:
            self.send_header("Date", self.date_time_string())
        self.end_headers()
        if self.command == "HEAD" or response.status in (204, 304):
            body = b""
        if half:
            body = body[: len(body) // 2]
            self.close_connection = True
        self.wfile.write(body)
        self.wfile.flush()

    def _break_off(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            # Without waiting for anything: the other side sees a reset, not an end.
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.connection.close()
