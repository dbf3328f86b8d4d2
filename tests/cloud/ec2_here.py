"""EC2 in this process: the testbed's own simulation, with machines that run nothing."""

from __future__ import annotations

import itertools
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest

sys.path.append(str(Path(__file__).parents[1] / "testbed" / "clouds"))

from aws_control import Control
from aws_faults import Faults
from aws_front import Front
from aws_log import Log
from aws_world import World

from launchkit.cloud.boot import Boot
from launchkit.cloud.ec2 import Ec2
from launchkit.cloud.ec2_settings import Ec2Settings
from launchkit.cloud.providers import Order

REGION = "us-east-1"
ABROAD = "eu-west-1"
PATIENCE_S = 2.0
NUMBERS = itertools.count()


class Ec2World:
    """What tests do with EC2 behind a provider's back."""

    def __init__(self, front: Front) -> None:
        self._front = front
        self.extras = front.world.extras
        self.machines = front.world.machines
        self._mark = front.log.told()["mark"]
        self.sweep = f"20261122-160000-{next(NUMBERS):06x}"

    def play(self, kind: str, action: str, count: int | None = 1, **more: Any) -> None:
        """Let the next requests go wrong."""
        self._front.faults.add(kind=kind, action=action, count=count, **more)

    def limit(self, **fields: Any) -> None:
        """Let there be no more machines than these."""
        self._front.world.capacity.add(**fields)

    def leave(self) -> None:
        """Leave everything as it was, and no machine to other tests."""
        self.heal()
        for region in (REGION, ABROAD):
            ec2 = boto3.client("ec2", region_name=region)
            ids = [each["InstanceId"] for each in described(ec2)]
            if ids:
                ec2.terminate_instances(InstanceIds=ids)

    def heal(self) -> None:
        """Let all be well again."""
        self._front.faults.clear()
        self._front.world.capacity.clear()
        self.extras.reset()

    def count(self, action: str) -> int:
        """Return how often something was asked since the test began."""
        counts = self._front.log.told(self._mark)["counts"]
        return sum(many for name, many in counts.items() if name.endswith(f":{action}"))

    def order(self, many: int = 1, *zones: str, token: str = "", first_pack: int = 0) -> Order:
        """Return an order for machines."""
        boot = Boot(
            store="s3://the-bucket",
            region=REGION,
            base=f"launchkit/{self.sweep}",
            name="16-00-00",
            archive=f"launchkit/.archives/{'0' * 64}.dar",
            sha256="0" * 64,
            batch=f"launchkit/{self.sweep}/.home/batches/0.tar.gz",
            first_pack=first_pack,
            image="python:3.11",
            uses_gpu=False,
            lifetime_min=60,
            sync_interval_s=15.0,
            unreachable_min=30.0,
        )
        return Order(token or f"{self.sweep}-{next(NUMBERS)}", boot, many, self.sweep, zones)


def described(ec2: Any) -> list[Mapping[str, Any]]:
    """Return all machines that are not gone, as EC2 describes them."""
    found = ec2.describe_instances()["Reservations"]
    return [
        each
        for some in found
        for each in some["Instances"]
        if each["State"]["Name"] != "terminated"
    ]


def provider(buy: Callable[..., Any] | None = None, **settings: Any) -> Ec2:
    """Return a provider that loses its patience soon."""
    wanted = {"s3_bucket": "the-bucket", "region": REGION, **settings}
    return Ec2(Ec2Settings(**wanted), buy, patience_s=PATIENCE_S)


@contextmanager
def ec2_front(directory: Path) -> Iterator[Front]:
    """Run the simulation."""
    world = World(directory, "http://127.0.0.1:9", {})
    world.machines.next(boot=False)
    front = Front(("127.0.0.1", 0), Control(world, Faults(), Log(), {}))
    thread = threading.Thread(target=front.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield front
    finally:
        front.shutdown()
        thread.join()
        front.server_close()


def use(monkeypatch: pytest.MonkeyPatch, front: Front) -> None:
    """Let boto3 talk to it, and know nothing of this machine's own settings."""
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{front.server_address[1]}",
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "planted-secret-key",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_DEFAULT_REGION", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
