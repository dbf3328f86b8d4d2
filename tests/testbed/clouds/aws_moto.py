"""Moto, which knows AWS, in this process; and how it is asked."""

from __future__ import annotations

import io
import os
import urllib.parse
from typing import Any

# An image or a type that does not exist must be refused, as EC2 does. Moto reads this at once.
os.environ.setdefault("MOTO_EC2_ENABLE_INSTANCE_TYPE_VALIDATION", "true")
os.environ.setdefault("MOTO_ENABLE_AMI_VALIDATION", "true")

from aws_requests import Request, Response
from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    create_backend_app,
)

ACCOUNT = DEFAULT_ACCOUNT_ID


class Moto:
    """All of moto's services."""

    def __init__(self) -> None:
        self._application = DomainDispatcherApplication(create_backend_app)

    def answer(self, request: Request) -> Response:
        """Pass a request on."""
        told: dict[str, Any] = {}

        def start_response(status: str, headers: list[tuple[str, str]], *_: Any) -> None:
            told.update(status=int(status.split()[0]), headers=headers)

        environ = _environ(request)
        chunks = self._application(environ, start_response)
        try:
            body = b"".join(chunks)
        finally:
            if hasattr(chunks, "close"):
                chunks.close()
        return Response(told["status"], told["headers"], body)

    def ask(self, service: str, action: str, region: str = "us-east-1", **fields: str) -> Response:
        """Ask a service that takes forms ourselves."""
        headers = {
            "host": f"{service}.{region}.amazonaws.com",
            "authorization": "AWS4-HMAC-SHA256"
            f" Credential=testbed/20200101/{region}/{service}/aws4_request, Signature=none",
            "content-type": "application/x-www-form-urlencoded",
        }
        body = urllib.parse.urlencode({"Action": action, **fields})
        return self.answer(Request("POST", "/", headers, body.encode()))

    def reset(self) -> None:
        """Forget everything."""
        self.answer(Request("POST", "/moto-api/reset", {"host": "localhost"}))

    def ec2(self, region: str) -> Any:
        """Return the EC2 of a region."""
        return get_backend("ec2")[ACCOUNT][region]

    def sts(self) -> Any:
        """Return the STS."""
        return get_backend("sts")[ACCOUNT]["aws"]

    def iam(self) -> Any:
        """Return the IAM."""
        return get_backend("iam")[ACCOUNT]["aws"]


def _environ(request: Request) -> dict[str, Any]:
    path, _, query = request.target.partition("?")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": urllib.parse.unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query,
        "REQUEST_URI": request.target,
        "RAW_URI": request.target,
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": request.client,
        "CONTENT_LENGTH": str(len(request.body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(request.body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in request.headers.items():
        if name in ("content-length", "transfer-encoding"):
            continue
        key = name.upper().replace("-", "_")
        environ[key if key == "CONTENT_TYPE" else f"HTTP_{key}"] = value
    return environ
