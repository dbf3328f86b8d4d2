"""The metadata service of an EC2 instance, version 2: nothing without a token."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterable
from typing import Any

Answer = tuple[int, str]
_LONGEST_TOKEN_S = 21600


class InstanceMetadata:
    """A WSGI application: what an instance is told.

    Parameters
    ----------
    facts
        Returns what is there now, by the path below ``/latest/``; a directory is what other
        paths begin with.
    """

    def __init__(self, facts: Callable[[], dict[str, str]]) -> None:
        self._facts = facts
        self._tokens: dict[str, float] = {}

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Answer a request."""
        status, text = self._answer(environ)
        words = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden"}
        body = text.encode()
        headers = [
            ("Content-Type", "text/plain"),
            ("Content-Length", str(len(body))),
            ("Server", "EC2ws"),
        ]
        if status == 200 and environ["REQUEST_METHOD"] == "PUT":
            lifetime = environ["HTTP_X_AWS_EC2_METADATA_TOKEN_TTL_SECONDS"]
            headers.append(("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", lifetime))
        start_response(f"{status} {words.get(status, 'Not Found')}", headers)
        return [body]

    def _answer(self, environ: dict[str, Any]) -> Answer:
        path = environ["PATH_INFO"]
        if environ["REQUEST_METHOD"] == "PUT" and path == "/latest/api/token":
            return self._make_token(environ)
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return 405, ""
        token = environ.get("HTTP_X_AWS_EC2_METADATA_TOKEN", "")
        if self._tokens.get(token, 0) < time.monotonic():
            return 401, ""
        return self._look_up(path.removeprefix("/latest/"))

    def _make_token(self, environ: dict[str, Any]) -> Answer:
        if "HTTP_X_FORWARDED_FOR" in environ:
            return 403, ""
        lifetime = environ.get("HTTP_X_AWS_EC2_METADATA_TOKEN_TTL_SECONDS", "")
        if not lifetime.isdecimal() or not 1 <= int(lifetime) <= _LONGEST_TOKEN_S:
            return 400, ""
        token = secrets.token_urlsafe(40)
        self._tokens[token] = time.monotonic() + int(lifetime)
        return 200, token

    def _look_up(self, path: str) -> Answer:
        facts = self._facts()
        if path.rstrip("/") in facts:
            return 200, facts[path.rstrip("/")]
        folder = f"{path.rstrip('/')}/"
        entries: dict[str, None] = {}
        for known in facts:
            if known.startswith(folder):
                name, slash, _ = known.removeprefix(folder).partition("/")
                entries[name + slash] = None
        return (200, "\n".join(entries)) if entries else (404, "")


def identity_document(instance: Any) -> str:
    """Return what an instance can show of itself."""
    return json.dumps(
        {
            "accountId": instance.owner_id,
            "architecture": instance.architecture,
            "availabilityZone": instance.availability_zone,
            "imageId": instance.image_id,
            "instanceId": instance.id,
            "instanceType": instance.instance_type,
            "pendingTime": instance.launch_time.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "privateIp": instance.private_ip,
            "region": instance.region_name,
            "version": "2017-09-30",
        },
        indent=2,
    )
