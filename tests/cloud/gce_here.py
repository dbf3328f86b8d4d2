"""Google's compute API in this process: the testbed's own server, whose machines are but names."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[1] / "testbed" / "clouds"))

import gcp_catalog
import gcp_keys
from gcp_accounts import Accounts
from gcp_compute import Compute
from gcp_control import Control
from gcp_faults import Fault, Kind
from gcp_iam import Iam
from gcp_lives import Lives
from gcp_objects import Objects
from gcp_storage import Storage
from gcp_web import Answer, Request, Server, Site
from gcp_world import Instance, Operation, Shortage, World

from launchkit.cloud.boot import Boot
from launchkit.cloud.gce import Gce
from launchkit.cloud.gce_bodies import account_of
from launchkit.cloud.gcp_settings import GcpSettings
from launchkit.cloud.providers import Order

PROJECT = gcp_catalog.PROJECT
BUCKET = "the-bucket"
ZONE = "us-central1-a"
SWEEP = "20261122-160000-abcdef"
TOKEN = "0123456789abcdef-0"  # the token of a request, no secret
BOOT = Boot(
    store=f"gs://{BUCKET}",
    region="",
    base=f"launchkit/{SWEEP}",
    name="10-00-00",
    archive="launchkit/.archives/x.dar",
    sha256="0" * 64,
    batch=f"launchkit/{SWEEP}/.home/batches/0.tar.gz",
    first_pack=0,
    image="python:3.11-slim",
    uses_gpu=False,
    lifetime_min=60,
    sync_interval_s=15.0,
    unreachable_min=30.0,
)


class GoogleHere:
    """What tests do behind Google's API."""

    def __init__(self) -> None:
        self.world = World()
        self.accounts = Accounts()
        self.objects = Objects()
        self.lives = Lives(self.world, self.accounts)
        self.site = Site([], self.accounts.gate)
        self.bodies: list[Any] = []
        self.before: Callable[[Request], Answer | None] = lambda _request: None
        self.site.rooms += [
            self._look_on,
            Control(self.site, self.objects, self.world, self.accounts, self.lives).room,
            Storage(self.objects).room,
            Compute(self.world, self.accounts, self.lives).room,
            self.accounts.room,
            *Iam(self.accounts).rooms,
        ]

    def _look_on(self, request: Request) -> Answer | None:
        if request.method == "POST" and request.path.endswith("/instances"):
            self.bodies.append(request.json)
        return self.before(request)

    def reset(self) -> None:
        self.site.faults.clear()
        self.world.clear()
        self.world.shortage = Shortage(delay_s=0.01)
        self.accounts.clear()
        self.objects.clear()
        self.site.log.clear()
        self.bodies.clear()
        self.before = lambda _request: None
        self.accounts.add(account_of(PROJECT))

    def shorten(self, **shortage: Any) -> None:
        self.world.shortage = Shortage(**{"delay_s": 0.01, **shortage})

    def play(
        self, kind: str, count: int = 1, path: str = ".*", method: str = ".*", **more: Any
    ) -> None:
        self.site.faults.add(Fault(Kind(kind), path=path, method=method, count=count, **more))

    def calls(self, action: str) -> int:
        asked = self.site.log.since(0)["requests"]
        return sum(each.get("action", "").endswith(action) for each in asked)

    def instance(self, name: str) -> Instance:
        return next(each for each in self.world.instances.values() if each.name == name)

    def operate(self, kind: str, instance: Instance, message: str = "", user: str = "") -> None:
        """Note that something was done to an instance."""
        operation = Operation(
            kind, PROJECT, instance.zone, instance.link, instance.id, message=message
        )
        operation.user = user or operation.user
        self.world.note(operation).end()

    def vanish(self, name: str) -> None:
        """Let an instance be gone, as one that was deleted."""
        instance = self.instance(name)
        del self.world.instances[instance.zone, instance.name]


@contextmanager
def google_server(directory: Path) -> Iterator[tuple[GoogleHere, Server]]:
    """Run the server, and write a key that it takes."""
    here = GoogleHere()
    server = Server(here.site, ("127.0.0.1", 0, None)).start()
    gcp_keys.make(directory, server.ports[0], ["localhost"], ["127.0.0.1"])
    try:
        yield here, server
    finally:
        server.stop()


def use(monkeypatch: pytest.MonkeyPatch, server: Server, directory: Path) -> None:
    """Let Google's clients talk to it, and know nothing of this machine's own settings."""
    address = f"http://127.0.0.1:{server.ports[0]}"
    for api in ("COMPUTE", "IAM", "CLOUDRESOURCEMANAGER", "SERVICEUSAGE"):
        monkeypatch.setenv(f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{api}", address)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", address)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(directory / gcp_keys.CREDENTIALS))
    monkeypatch.delenv("GOOGLE_CLOUD_PROJECT", raising=False)


def settings(**changed: Any) -> GcpSettings:
    """Return the settings of a test."""
    usual: dict[str, Any] = {
        "image": "python:3.11-slim",
        "gcp_project": PROJECT,
        "gcp_bucket": BUCKET,
        "zone": ZONE,
    }
    return GcpSettings(**{**usual, **changed})


def gce(patience_s: float = 3.0, **changed: Any) -> Gce:
    """Return Compute Engine, asked directly."""
    return Gce(settings(**changed), patience_s=patience_s)


def order(many: int = 1, **changed: Any) -> Order:
    """Return an order."""
    return Order(**{"token": TOKEN, "boot": BOOT, "many": many, "sweep": SWEEP, **changed})
