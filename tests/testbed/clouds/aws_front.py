"""The simulated AWS on a port: requests, what goes wrong with them, and who asked what."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import socket
import struct
import threading
import time
import urllib.parse
from collections import Counter, deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aws_faults import Fault, Faults
from aws_requests import Request, Response
from aws_world import World

CONTROL = "/_testbed/"
_REMEMBERED = 200_000


class Log:
    """The requests that have been answered."""

    def __init__(self) -> None:
        self._entries: deque[dict[str, Any]] = deque(maxlen=_REMEMBERED)
        self._numbers = itertools.count(1)
        self._mark = 0
        self._lock = threading.Lock()

    def add(self, **entry: Any) -> None:
        """Note a request."""
        with self._lock:
            self._mark = next(self._numbers)
            self._entries.append({"n": self._mark, "time": time.time(), **entry})

    def clear(self) -> None:
        """Forget them; the numbers go on."""
        with self._lock:
            self._entries.clear()

    def told(self, since: int = 0, path: str = "", machine: str | None = None) -> dict[str, Any]:
        """Return the requests after a mark, and what they come to.

        Parameters
        ----------
        since
            The mark of an earlier call.
        path
            A pattern that is looked for in the path with its query.
        machine
            Only those of a machine; ``""`` for those of none.
        """
        with self._lock:
            entries, mark = list(self._entries), self._mark
        chosen = [
            entry
            for entry in entries
            if entry["n"] > since
            and re.search(path, entry["path"])
            and machine in (None, entry["machine"])
        ]
        return {
            "mark": mark,
            "requests": chosen,
            "counts": Counter(f"{each['service']}:{each['action']}" for each in chosen),
            "bytes_in": sum(each["bytes_in"] for each in chosen),
            "bytes_out": sum(each["bytes_out"] for each in chosen),
        }


class Front(ThreadingHTTPServer):
    """A server of the simulated AWS."""

    daemon_threads = True
    request_queue_size = 256
    allow_reuse_address = True

    def __init__(
        self,
        address: tuple[str, int],
        world: World,
        faults: Faults,
        log: Log,
        about: dict[str, Any],
    ) -> None:
        super().__init__(address, _Handler)
        self.world = world
        self.faults = faults
        self.log = log
        self.about = about

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
        if request.path.startswith(CONTROL):
            self._send(_control(self.server, request))
            return
        machine = self.server.world.machine_at(request.client)
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


def _control(front: Front, request: Request) -> Response:
    """Do what a test asks for."""
    try:
        body = json.loads(request.body or b"{}")
        words = request.path.removeprefix(CONTROL).strip("/").split("/")
        told = _obey(front, request.method, [urllib.parse.unquote(word) for word in words],
                     request.query, body)  # fmt: skip
        status = 200
    except LookupError as error:
        status, told = 404, {"error": str(error)}
    except (TypeError, ValueError) as error:
        status, told = 400, {"error": str(error)}
    return Response(status, [("Content-Type", "application/json")], json.dumps(told).encode())


def _obey(
    front: Front, method: str, words: list[str], query: dict[str, str], body: dict[str, Any]
) -> Any:
    world = front.world
    match method, words:
        case "GET", [""]:
            return front.about
        case "POST", ["faults"]:
            return front.faults.add(**body).told()
        case "GET", ["faults"]:
            return front.faults.told()
        case "DELETE", ["faults", *rest]:
            front.faults.clear(int(rest[0]) if rest else None)
            return {}
        case "POST", ["capacity"]:
            return dict(vars(world.capacity.add(**body)))
        case "GET", ["capacity"]:
            return world.capacity.told()
        case "DELETE", ["capacity"]:
            world.capacity.clear(query.get("script", ""))
            return {}
        case "GET", ["requests"]:
            since = int(query.get("since", "0"))
            return front.log.told(since, query.get("path", ""), query.get("machine"))
        case "DELETE", ["requests"]:
            front.log.clear()
            return {}
        case "POST", ["next"]:
            world.next(**body)
            return {}
        case "DELETE", ["next"]:
            world.forget_next()
            return {}
        case "POST", ["reset"]:
            front.faults.clear()
            world.reset()
            front.log.clear()
            return {}
        case "GET", ["machines"]:
            return world.machines()
        case "GET", ["machines", id]:
            return world.machine(id)
        case "POST", ["machines", id, "interrupt" | "die" | "hang" | "mend" as verb]:
            getattr(world, verb)(id, **body)
            return world.machine(id)
        case "POST", ["quotas" | "prices" | "spot_prices" as kind]:
            getattr(world.extras, kind).update(body)
            return {}
    raise LookupError(f"nothing is known of {method} {CONTROL}{'/'.join(words)}")
