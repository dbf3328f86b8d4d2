"""How a machine of Google's talks to its bucket: whatever happens, all of it or none is there."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from gcs_here import GcsWorld, gcs_bucket, gcs_server
from gcs_here import use as use_storage

from launchkit.cloud import agent_storage
from launchkit.cloud.agent_storage import Storage
from launchkit.cloud.agent_tool import ToolError
from launchkit.cloud.stores import open_store

BASE = "launchkit/20261122-160000-abcdef"
ODD = (
    "a b", "a#1", "#a", "*", "[a]", "a?b", "$(x)", "it's", 'a"b', "a\\b", "ü", "日本", "a%20b",
    "a+b", "a&b=c", ".hidden", "-r", "~", "a\tb", "x" * 200,
)  # fmt: skip


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[GcsWorld]:
    with gcs_server() as (served, server), gcs_bucket(served, server) as there:
        use_storage(monkeypatch, server)
        monkeypatch.setattr(agent_storage, "SERVICE", f"http://127.0.0.1:{server.ports[0]}/")
        monkeypatch.setattr(agent_storage, "token", lambda: "a-token")
        monkeypatch.setattr(agent_storage, "SILENCE_S", 2.0)
        monkeypatch.setattr(agent_storage, "PAUSE_S", 0.05)
        yield there


@pytest.fixture
def storage(world: GcsWorld) -> Storage:
    return Storage(f"gs://{world.bucket}")


def bucket(world: GcsWorld) -> dict[str, bytes]:
    """Return what is in the bucket, as a launcher sees it."""
    store = open_store("gs", world.bucket, project="launchkit-test")
    return {each.key: store.get(each.key)[0] for each in store.list("")}


def fill(folder: Path, files: dict[str, bytes]) -> int:
    """Write files, and return how many bytes they are."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return sum(map(len, files.values()))


def test_what_is_sent_is_there_under_its_name(
    world: GcsWorld, storage: Storage, tmp_path: Path
) -> None:
    files = {f"sweep/{name}/{name}": f"in {name}".encode() for name in ODD}
    files["sweep/empty"] = b""
    files["sweep/large"] = os.urandom(3 * agent_storage.BLOCK + 7)
    storage.send(tmp_path, BASE, fill(tmp_path, files))
    assert bucket(world) == {f"{BASE}/{name}": data for name, data in files.items()}


def test_what_is_fetched_is_what_was_sent(
    world: GcsWorld, storage: Storage, tmp_path: Path
) -> None:
    files = {name: f"in {name}".encode() for name in ODD}
    files["deep/er"] = b""
    storage.send(tmp_path / "out", BASE, fill(tmp_path / "out", files))
    world.fill([f"{BASE}x/not-this", f"{BASE}/folder/"])
    storage.get_all(BASE, tmp_path / "in")
    found = {
        path.relative_to(tmp_path / "in").as_posix(): path.read_bytes()
        for path in (tmp_path / "in").rglob("*")
        if path.is_file()
    }
    assert found == files


def test_lists_are_read_to_the_end(world: GcsWorld, storage: Storage, tmp_path: Path) -> None:
    world.fill([f"{BASE}/{number}" for number in range(1005)])
    storage.get_all(BASE, tmp_path)
    assert len(list(tmp_path.iterdir())) == 1005


def test_an_object_is_fetched_again_only_if_it_has_changed(
    world: GcsWorld, storage: Storage, tmp_path: Path
) -> None:
    store = open_store("gs", world.bucket, project="launchkit-test")
    path = tmp_path / "asks.jsonl"
    assert not storage.get(f"{BASE}/asks", path, again=True)
    assert not path.exists()
    store.put(f"{BASE}/asks", b"one")
    assert storage.get(f"{BASE}/asks", path, again=True)
    path.write_bytes(b"as it was left")
    assert not storage.get(f"{BASE}/asks", path, again=True)
    assert path.read_bytes() == b"as it was left"
    store.put(f"{BASE}/asks", b"two")
    assert storage.get(f"{BASE}/asks", path, again=True)
    assert path.read_bytes() == b"two"
    assert storage.get(f"{BASE}/asks", path)
    assert os.listdir(tmp_path) == ["asks.jsonl"]


KINDS = ("slow", "internal", "expired", "reset", "truncated", "lost")


@pytest.mark.parametrize("kind", KINDS)
def test_what_passes_is_tried_again(
    world: GcsWorld, storage: Storage, tmp_path: Path, kind: str
) -> None:
    world.play(kind, 2)
    storage.send(tmp_path / "out", BASE, fill(tmp_path / "out", {"a": b"x" * 1000}))
    assert world.played()
    world.play(kind, 2)
    assert storage.get(f"{BASE}/a", tmp_path / "a")
    assert world.played()
    assert (tmp_path / "a").read_bytes() == b"x" * 1000
    assert bucket(world) == {f"{BASE}/a": b"x" * 1000}


@pytest.mark.parametrize("kind", KINDS)
def test_what_does_not_pass_is_said_and_blames_no_file(
    world: GcsWorld, storage: Storage, tmp_path: Path, kind: str
) -> None:
    world.play(kind, 1000)
    size = fill(tmp_path, {"hated": b"x"})
    with pytest.raises(ToolError) as caught:
        storage.send(tmp_path, BASE, size)
    # What is named is left out in the end.
    assert "hated" not in str(caught.value)


def test_what_is_refused_is_named(world: GcsWorld, storage: Storage, tmp_path: Path) -> None:
    world.play("denied", 1000)
    with pytest.raises(ToolError, match=rf"{BASE}/hated: 403 "):
        storage.send(tmp_path, BASE, fill(tmp_path, {"hated": b"x"}))


def test_a_machine_that_leaves_waits_for_nothing_that_it_fetches(
    world: GcsWorld, storage: Storage, tmp_path: Path
) -> None:
    world.fill([f"{BASE}/a"])
    world.play("hang", 1000)
    threading.Timer(0.3, setattr, (storage, "leaving", True)).start()
    began = time.monotonic()
    with pytest.raises(ToolError, match="does not come to an end"):
        storage.get(f"{BASE}/a", tmp_path / "a")
    assert time.monotonic() - began < 10
    world.heal()
    storage.send(tmp_path / "out", BASE, fill(tmp_path / "out", {"last": b"words"}))
    assert bucket(world)[f"{BASE}/last"] == b"words"


def test_an_upload_that_hangs_is_tried_once_more_in_the_time_that_is_left(
    world: GcsWorld, storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent_storage, "SILENCE_S", 30.0)
    world.play("hang", 1)
    storage.leaving, storage.until = True, time.monotonic() + 8.0
    storage.send(tmp_path, BASE, fill(tmp_path, {"last": b"words"}))
    assert bucket(world) == {f"{BASE}/last": b"words"}


def test_its_time_over_it_gives_up(world: GcsWorld, storage: Storage, tmp_path: Path) -> None:
    world.play("hang", 1000)
    storage.until = time.monotonic() + 1.0
    with pytest.raises(ToolError, match="does not come to an end"):
        storage.send(tmp_path, BASE, fill(tmp_path, {"a": b"1", "b": b"2"}))
    assert time.monotonic() < storage.until + 1.0
