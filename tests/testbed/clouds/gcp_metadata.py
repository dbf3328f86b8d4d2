"""The metadata service of a simulated Google machine: metadata.google.internal."""

from __future__ import annotations

import hashlib
import json
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import gcp_catalog as catalog
from gcp_accounts import Accounts
from gcp_world import Instance

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment  # of Python 3.11 and later

_ROOT = "/computeMetadata/v1"
_STATUS = {200: "200 OK", 301: "301 Moved Permanently", 403: "403 Forbidden", 404: "404 Not Found"}
_WAIT_MOST_S = 3600.0


class Metadata:
    """The WSGI application of one machine."""

    def __init__(self, instance: Instance, accounts: Accounts) -> None:
        self._instance = instance
        self._accounts = accounts
        self._changed = threading.Condition()

    def changed(self) -> None:
        """Tell those who wait for a change to look again."""
        with self._changed:
            self._changed.notify_all()

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        path = str(environ.get("PATH_INFO", "/"))
        query = dict(urllib.parse.parse_qsl(str(environ.get("QUERY_STRING", ""))))
        headers = [("Metadata-Flavor", "Google"), ("Server", "Metadata Server for VM")]
        if environ.get("HTTP_METADATA_FLAVOR") != "Google" and path.startswith(_ROOT):
            text = "Missing required header: Metadata-Flavor"
            status, body, kind = 403, text.encode(), "text/html"
        elif "HTTP_X_FORWARDED_FOR" in environ:
            status, body, kind = 403, b"Forbidden", "text/html"
        elif not path.startswith(_ROOT):
            known = path in ("/", "/computeMetadata", "/computeMetadata/")
            status, body, kind = (200, b"computeMetadata/\n", "text/plain") if known else (
                404, b"not found", "text/html")  # fmt: skip
        else:
            status, body, kind = self._answer(path[len(_ROOT) :], query)
            headers.append(("ETag", _etag(body)))
        headers += [("Content-Type", kind), ("Content-Length", str(len(body)))]
        start(_STATUS[status], headers)
        return [body]

    def _answer(self, path: str, query: dict[str, str]) -> tuple[int, bytes, str]:
        if query.get("wait_for_change", "").lower() != "true":
            return self._look(path, query)
        first = self._look(path, query)
        known = query.get("last_etag") or _etag(first[1])
        limit = time.monotonic() + float(query.get("timeout_sec") or _WAIT_MOST_S)
        with self._changed:
            while True:
                now = self._look(path, query)
                left = limit - time.monotonic()
                if _etag(now[1]) != known or left <= 0:
                    return now
                self._changed.wait(left)

    def _look(self, path: str, query: dict[str, str]) -> tuple[int, bytes, str]:
        value: Any = self._tree(query)
        for name in path.strip("/").split("/") if path.strip("/") else ():
            if not isinstance(value, dict) or name not in value:
                return 404, b"<h1>404. That's an error.</h1>", "text/html; charset=UTF-8"
            value = value[name]
        value = value() if callable(value) else value
        if isinstance(value, dict) and query.get("recursive", "").lower() == "true":
            return 200, json.dumps(_plain(value)).encode(), "application/json"
        if isinstance(value, dict) and "access_token" in value:
            return 200, json.dumps(value).encode(), "application/json"
        if isinstance(value, dict):
            lines = [f"{k}/" if isinstance(v, dict) else k for k, v in value.items()]
            return 200, "".join(f"{line}\n" for line in lines).encode(), "application/text"
        if isinstance(value, list):
            if query.get("alt") == "json" or not all(isinstance(item, str) for item in value):
                return 200, json.dumps(value).encode(), "application/json"
            return 200, "\n".join(value).encode(), "application/text"
        if query.get("alt") == "json":
            return 200, json.dumps(value).encode(), "application/json"
        return 200, str(value).encode(), "application/text"

    def _tree(self, query: dict[str, str]) -> dict[str, Any]:
        """Return all there is; what is made when it is asked for is a function."""
        me = self._instance
        number = f"projects/{catalog.PROJECT_NUMBER}"
        scheduling = me.fields["scheduling"]
        image = me.fields["disks"][0].get("licenses", [])
        interface = {
            "ip": me.address,
            "network": f"{number}/networks/default",
            "access-configs": {"0": {"external-ip": "203.0.113.7", "type": "ONE_TO_ONE_NAT"}},
        }
        return {
            "instance": {
                "attributes": dict(me.metadata),
                "cpu-platform": "Intel Broadwell",
                "description": me.fields.get("description", ""),
                "hostname": f"{me.name}.{me.zone}.c.{me.project}.internal",
                "id": int(me.id),
                "image": str(image[0]) if image else "",
                "machine-type": f"{number}/machineTypes/{me.kind.name}",
                "maintenance-event": "NONE",
                "name": me.name,
                "network-interfaces": {"0": interface},
                "preempted": "TRUE" if me.preempted else "FALSE",
                "scheduling": {
                    "automatic-restart": str(scheduling["automaticRestart"]).upper(),
                    "on-host-maintenance": scheduling["onHostMaintenance"],
                    "preemptible": str(me.spot).upper(),
                },
                "service-accounts": self._service_accounts(query),
                "tags": list(me.fields["tags"].get("items", [])),
                "zone": f"{number}/zones/{me.zone}",
            },
            "project": {
                "attributes": {},
                "numeric-project-id": int(catalog.PROJECT_NUMBER),
                "project-id": me.project,
            },
            "universe": {"universe-domain": "googleapis.com", "universeDomain": "googleapis.com"},
        }

    def _service_accounts(self, query: dict[str, str]) -> dict[str, Any]:
        email = self._instance.email
        if not email:
            return {}
        token: Callable[[], dict[str, Any]] = lambda: self._accounts.token(  # noqa: E731 - a leaf
            email, self._instance.scopes
        )
        account = {
            "aliases": ["default"],
            "email": email,
            "scopes": self._instance.scopes,
            "token": token,
        }
        return {"default": account, email: account}


def _plain(value: Any) -> Any:
    """Return a directory as the service shows it at once: other names, and without secrets."""
    if not isinstance(value, dict):
        return value
    if set(value) == {str(i) for i in range(len(value))} and value:
        return [_plain(item) for item in value.values()]
    return {
        _camel(key) if key != "attributes" else key: (
            dict(item) if key == "attributes" else _plain(item)
        )
        for key, item in value.items()
        if not callable(item)
    }


def _camel(name: str) -> str:
    if "@" in name:
        return name
    first, *rest = name.split("-")
    return first + "".join(word.capitalize() for word in rest)


def _etag(body: bytes) -> str:
    return hashlib.md5(body, usedforsecurity=False).hexdigest()[:16]
