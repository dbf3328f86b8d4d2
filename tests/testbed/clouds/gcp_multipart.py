"""Bodies of several parts: multipart uploads, and batches of requests."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass

from gcp_web import Answer, Request, Site, bad_request


@dataclass(frozen=True)
class Part:
    """A part; the names of its headers are lower case."""

    headers: dict[str, str]
    body: bytes


def parts(content_type: str, body: bytes) -> list[Part]:
    """Take a body apart.

    Clients end lines with CR LF or with LF alone, and put the boundary into quotes of both kinds
    or none; the content of a part may be anything.
    """
    found = re.search(r"""boundary=("[^"]+"|'[^']+'|[^;\s]+)""", content_type)
    if found is None:
        raise bad_request(f"Content-Type {content_type!r} names no boundary")
    boundary = re.escape(found[1].strip("\"'").encode())
    pieces = re.split(rb"(?:\A|\r?\n)--" + boundary + rb"(?:[ \t]*\r?\n|--)", body)
    return [_part(piece) for piece in pieces[1:-1]]


def _part(piece: bytes) -> Part:
    head, _, body = re.split(rb"(\r?\n\r?\n|\A\r?\n)", piece, maxsplit=1)
    return Part(_headers(head), body)


def _headers(head: bytes) -> dict[str, str]:
    headers = {}
    for line in head.decode("utf-8", "replace").splitlines():
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return headers


class Batches:
    """Requests that come many in one, for a site."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def room(self, request: Request) -> Answer | None:
        """Answer a batch if it is one."""
        if request.method != "POST" or not request.path.startswith("/batch"):
            return None
        request.action = "batch"
        boundary = f"batch_{uuid.uuid4().hex}"
        body = b""
        for part in parts(request.headers.get("Content-Type", ""), request.body):
            answer = self._site.answer(_inner(part, request))
            body += f"--{boundary}\r\nContent-Type: application/http\r\n".encode()
            if "content-id" in part.headers:
                name = part.headers["content-id"].strip("<>")
                body += f"Content-ID: <response-{name}>\r\n".encode()
            body += f"\r\nHTTP/1.1 {answer.status} -\r\n".encode()
            for name, value in {**answer.headers, "Content-Length": len(answer.body)}.items():
                body += f"{name}: {value}\r\n".encode()
            body += b"\r\n" + answer.body + b"\r\n"
        body += f"--{boundary}--\r\n".encode()
        return Answer(200, body, {"Content-Type": f"multipart/mixed; boundary={boundary}"})


def _inner(part: Part, outer: Request) -> Request:
    head, _, body = re.split(rb"(\r?\n\r?\n|\Z)", part.body, maxsplit=1)
    first, _, rest = head.partition(b"\n")
    words = first.decode().split()
    if len(words) < 2:
        raise bad_request(f"{first!r} is no request")
    headers = _Headers({"authorization": outer.headers.get("Authorization", "")})
    headers.update(_headers(rest))
    length = headers.get("Content-Length")
    body = body[: int(length)] if length else body
    return Request.of(words[0], words[1], headers, body, outer.origin)


class _Headers(dict[str, str]):
    """Headers whose names may be asked for in any case."""

    def get(self, name: str, default: str = "") -> str:  # type: ignore[override]  # text only
        return super().get(name.lower(), default)
