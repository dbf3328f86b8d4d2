"""S3 in this process: moto behind a proxy that plays faults."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import boto3
import pytest
from faulty_proxy import FaultyProxy
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends
from moto.server import ThreadedMotoServer

REGION = "us-east-1"
WRITING = "PUT|POST|DELETE"
NUMBERS = itertools.count()


class S3World:
    """What tests do with S3 behind a store's back."""

    def __init__(self, proxy: FaultyProxy, bucket: str) -> None:
        self.proxy = proxy
        self.bucket = bucket
        self._begin = len(proxy.seen)

    def play(self, kind: str, count: int = 1, *, after: int = 0, writes: bool = False) -> None:
        if after:
            self.proxy.play("", after, path=self.bucket)
        self.proxy.play(kind, count, method=WRITING if writes else ".*")

    def then(self, act: Callable[[], object]) -> None:
        self.proxy.then = act

    def played(self) -> bool:
        return all(not fault.count for fault in self.proxy.faults)

    def heal(self) -> None:
        self.proxy.heal()

    def requests(self) -> list[dict[str, str]]:
        return [seen.headers for seen in self.proxy.seen[self._begin :]]

    def fill(self, keys: list[str]) -> None:
        backend = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
        for key in keys:
            backend.put_object(self.bucket, key, b"x")

    def close_to_the_public(self) -> None:
        settings = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy")
        boto3.client("s3", region_name=REGION).put_public_access_block(
            Bucket=self.bucket,
            PublicAccessBlockConfiguration=dict.fromkeys(
                (*settings, "RestrictPublicBuckets"), True
            ),
        )


@contextmanager
def s3_proxy() -> Iterator[FaultyProxy]:
    """Run moto, and a proxy before it."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    proxy = FaultyProxy(server.get_host_and_port()[1])
    try:
        yield proxy
    finally:
        proxy.stop()
        server.stop()


def use(monkeypatch: pytest.MonkeyPatch, proxy: FaultyProxy) -> None:
    """Let boto3 talk to it, and know nothing of this machine's own settings."""
    for name, value in {
        "AWS_ENDPOINT_URL": proxy.url,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_DEFAULT_REGION", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)


@contextmanager
def s3_bucket(proxy: FaultyProxy) -> Iterator[S3World]:
    """Make a bucket of a test's own."""
    bucket = f"the-bucket-{next(NUMBERS)}"
    boto3.client("s3", region_name=REGION).create_bucket(Bucket=bucket)
    try:
        yield S3World(proxy, bucket)
    finally:
        proxy.heal()
