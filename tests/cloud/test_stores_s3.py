"""Buckets of S3."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from faulty_proxy import FaultyProxy
from s3_here import REGION, S3World, s3_bucket, s3_proxy, use
from store_contract import BIG, PATIENCE_S, StoreContract

from launchkit.cloud.s3 import S3Store
from launchkit.cloud.stores import Refused, Store


@pytest.fixture(scope="module")
def proxy() -> Iterator[FaultyProxy]:
    with s3_proxy() as proxy:
        yield proxy


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch, proxy: FaultyProxy) -> None:
    use(monkeypatch, proxy)


@pytest.fixture
def world(settings: None, proxy: FaultyProxy) -> Iterator[S3World]:
    with s3_bucket(proxy) as world:
        yield world


@pytest.fixture
def store(world: S3World) -> Store:
    return S3Store(world.bucket, region=REGION, patience_s=PATIENCE_S)


class TestS3(StoreContract):
    scheme = "s3"

    def open(self, bucket: str) -> Store:
        return S3Store(bucket, region=REGION, patience_s=PATIENCE_S)


@pytest.mark.parametrize("size", [10, BIG])
def test_objects_are_encrypted(store: Store, world: S3World, tmp_path: Path, size: int) -> None:
    (tmp_path / "f").write_bytes(bytes(size))
    store.put("a", tmp_path / "f")
    sent = [headers.get("x-amz-server-side-encryption") for headers in world.requests()]
    assert "AES256" in sent
    found = boto3.client("s3", region_name=REGION).head_object(Bucket=world.bucket, Key="a")
    assert found["ServerSideEncryption"] == "AES256"


def test_a_file_of_some_size_goes_in_parts(store: Store, world: S3World, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(bytes(BIG))
    store.put("a", tmp_path / "f")
    sizes = [int(headers.get("content-length", 0)) for headers in world.requests()]
    assert max(sizes) < BIG / 2


def test_what_came_garbled_is_fetched_anew(store: Store, world: S3World, tmp_path: Path) -> None:
    store.put("a", b"x" * 1000)
    world.play("garbled")
    store.fetch("a", tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == b"x" * 1000


@pytest.mark.parametrize("act", ["put", "get", "list"])
def test_a_bucket_in_another_region_is_found(store: Store, world: S3World, act: str) -> None:
    store.put("a", b"x")
    world.play("moved")
    if act == "put":
        store.put("a", b"x")
    elif act == "get":
        assert store.get("a")[0] == b"x"
    else:
        assert [each.key for each in store.list("")] == ["a"]
    assert "eu-west-1/s3" in world.requests()[-1]["authorization"]


def test_a_region_need_not_be_named(world: S3World) -> None:
    store = S3Store(world.bucket, patience_s=PATIENCE_S)
    store.check("launchkit")


def test_the_check_asks_for_a_bucket_of_ones_own(store: Store, world: S3World) -> None:
    store.check("launchkit")
    asked = [headers.get("x-amz-expected-bucket-owner") for headers in world.requests()]
    assert "123456789012" in asked


def test_who_may_not_ask_who_it_is_is_not_kept_from_anything(
    store: Store, world: S3World, proxy: FaultyProxy
) -> None:
    proxy.play("denied", path="^/$")
    store.check("launchkit")
    asked = [headers.get("x-amz-expected-bucket-owner") for headers in world.requests()]
    assert set(asked) == {None}


def test_no_credentials_are_told_with_the_way_out(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with pytest.raises(Refused, match=r"s3://the-bucket-.*log in with `aws configure`"):
        store.check("launchkit")


def test_a_profile_that_is_none_is_told(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(Refused, match="nobody"):
        store.check("launchkit")


@pytest.mark.parametrize(
    ("kind", "said"), [("unknown", "log in anew"), ("skewed", "clock"), ("timeout", None)]
)
def test_other_answers(store: Store, world: S3World, kind: str, said: str | None) -> None:
    world.play(kind)
    if said is None:
        store.put("a", b"x")
    else:
        with pytest.raises(Refused, match=said):
            store.put("a", b"x")


def test_without_boto3_the_command_that_installs_it_is_named() -> None:
    code = (
        "import sys; sys.modules['boto3'] = None\n"
        "from launchkit.cloud.stores import Refused, open_store\n"
        "try: open_store('s3', 'bucket')\n"
        "except Refused as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'hydra-launchkit[ec2]'" in done.stdout
