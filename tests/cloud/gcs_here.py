"""Google's storage in this process: the testbed's own server, which plays faults."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "testbed" / "clouds"))

from gcp_faults import Fault, Kind
from gcp_storage import Storage
from gcp_web import Answer, Request, Server, Site

STATUSES = {
    "slow": (429, "rateLimitExceeded"),
    "internal": (503, "backendError"),
    "denied": (403, "forbidden"),
    "often": (403, "userRateLimitExceeded"),
}
NUMBERS = itertools.count()


class GcsWorld:
    """What tests do with Google's storage behind a store's back."""

    def __init__(self, storage: Storage, site: Site, bucket: str) -> None:
        self._storage = storage
        self._site = site
        self.bucket = bucket
        self._seen: list[dict[str, str]] = []
        self._then: Callable[[], object] | None = None
        self._unthen = site.rooms[0]
        site.rooms[0] = self._room

    def _room(self, request: Request) -> Answer | None:
        self._seen.append({name.lower(): value for name, value in request.headers.items()})
        answer = self._unthen(request)
        if self._then is not None and request.query.get("alt") == "media":
            then, self._then = self._then, None
            then()
        return answer

    def play(self, kind: str, count: int = 1, *, after: int = 0, writes: bool = False) -> None:
        status, reason = STATUSES.get(kind, (0, ""))
        fault = Fault(
            Kind("status" if status else kind),
            method="POST|PUT|DELETE" if writes else ".*",
            count=count,
            status=status,
            reason=reason,
            seconds=20,
            skip=after,
        )
        self._site.faults.add(fault)

    def then(self, act: Callable[[], object]) -> None:
        self._then = act

    def played(self) -> bool:
        return not len(self._site.faults)

    def heal(self) -> None:
        self._site.faults.clear()

    def requests(self) -> list[dict[str, str]]:
        return self._seen

    def fill(self, keys: list[str]) -> None:
        for key in keys:
            self._storage.objects.put(self.bucket, key, b"x", {}, {})

    def close_to_the_public(self) -> None:
        bucket = self._storage.objects.bucket(self.bucket)
        bucket.fields["iamConfiguration"] = {"publicAccessPrevention": "enforced"}

    def close(self) -> None:
        self.heal()
        self._site.rooms[0] = self._unthen


@contextmanager
def gcs_server() -> Iterator[tuple[Storage, Server]]:
    """Run the server."""
    storage = Storage()
    server = Server(Site([storage.room]), ("127.0.0.1", 0, None)).start()
    try:
        yield storage, server
    finally:
        server.stop()


def use(monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    """Let Google's client talk to it, and know nothing of this machine's own settings."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{server.ports[0]}")
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_PROJECT"):
        monkeypatch.delenv(name, raising=False)


@contextmanager
def gcs_bucket(storage: Storage, server: Server) -> Iterator[GcsWorld]:
    """Make a bucket of a test's own."""
    bucket = f"the-bucket-{next(NUMBERS)}"
    storage.objects.make_bucket({"name": bucket})
    world = GcsWorld(storage, server.site, bucket)
    try:
        yield world
    finally:
        world.close()
