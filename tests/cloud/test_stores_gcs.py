"""Buckets of Google's."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from gcs_here import GcsWorld, gcs_bucket, gcs_server, use
from google.auth.exceptions import RefreshError, TransportError
from store_contract import BIG, PATIENCE_S, StoreContract

from launchkit.cloud import gcs_errors
from launchkit.cloud.gcs import GcsStore
from launchkit.cloud.stores import Expired, Refused, Store


@pytest.fixture(scope="module")
def here() -> Iterator[tuple]:
    with gcs_server() as here:
        yield here


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch, here: tuple) -> None:
    use(monkeypatch, here[1])


@pytest.fixture
def world(settings: None, here: tuple) -> Iterator[GcsWorld]:
    with gcs_bucket(*here) as world:
        yield world


@pytest.fixture
def store(world: GcsWorld) -> Store:
    return GcsStore(world.bucket, patience_s=PATIENCE_S)


class TestGcs(StoreContract):
    scheme = "gs"

    def open(self, bucket: str) -> Store:
        return GcsStore(bucket, patience_s=PATIENCE_S)


def test_a_file_of_some_size_goes_in_parts(store: Store, world: GcsWorld, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(bytes(BIG))
    store.put("a", tmp_path / "f")
    sizes = [int(headers.get("content-length", 0)) for headers in world.requests()]
    assert 0 < max(sizes) < BIG / 2


def test_who_asks_too_often_is_told_so_by_403_and_asks_again(store: Store, world: GcsWorld) -> None:
    world.play("often", 2)
    store.put("a", b"x")
    assert store.get("a")[0] == b"x"


def test_no_credentials_are_told_with_the_way_out(
    store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("STORAGE_EMULATOR_HOST")
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    with pytest.raises(Refused, match="log in with `gcloud auth application-default login`"):
        store.check("launchkit")


def test_a_login_that_was_taken_back_is_one_that_has_expired() -> None:
    error = RefreshError("invalid_grant: Token has been expired or revoked.")
    assert not gcs_errors.is_passing(error)
    meaning = gcs_errors.meaning(error, "bucket", "key")
    assert isinstance(meaning, Expired)
    assert "gs://bucket/key" in str(meaning)
    assert "gcloud auth application-default login" in str(meaning)


def test_a_login_that_cannot_be_renewed_now_is_tried_again() -> None:
    assert gcs_errors.is_passing(TransportError("no route to host"))
    assert gcs_errors.is_passing(RefreshError("internal_failure", retryable=True))


def test_without_googles_client_the_command_that_installs_it_is_named() -> None:
    code = (
        "import sys; sys.modules['google.cloud.storage'] = None\n"
        "from launchkit.cloud.stores import Refused, open_store\n"
        "try: open_store('gs', 'bucket')\n"
        "except Refused as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'hydra-launchkit[gcp]'" in done.stdout
