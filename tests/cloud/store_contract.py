"""What every store promises: tests to subclass."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from launchkit.cloud.stores import Expired, NotThere, Refused, Store, StoreError, Unreachable

BIG = 18 * 2**20
"""More than goes in one part."""
PATIENCE_S = 2.0
PASSING = ["slow", "internal", "reset", "lost", "hang"]
READS: dict[str, Callable[[Store, Path], object]] = {
    "get": lambda store, _: store.get("there")[0],
    "fetch": lambda store, path: store.fetch("there", path) and path.read_bytes(),
    "list": lambda store, _: [each.key for each in store.list("th")],
}
WRITES: dict[str, Callable[[Store, Path], object]] = {
    "put": lambda store, _: store.put("there", b"content"),
    "delete": lambda store, _: store.delete(["there"]),
}
CONTENT = b"content" * 50_000


class StoreContract:
    """Subclasses give the fixtures `store`, `world`, and the method `open`.

    `store` is an empty bucket, asked with `PATIENCE_S`; `world` has ``play(kind, count)``, which
    plays a fault for so many requests, ``requests()``, the headers of those that there were, and
    ``fill(keys)``, which makes objects.
    """

    scheme: str

    def open(self, bucket: str) -> Store:
        raise NotImplementedError

    # What is written is read

    @pytest.mark.parametrize("content", [b"", b"x", os.urandom(100_000)], ids=len)
    def test_what_is_put_is_got(self, store: Store, content: bytes) -> None:
        etag = store.put("a/b", content)
        assert store.get("a/b") == (content, etag)

    @pytest.mark.parametrize("size", [0, 1000, BIG])
    def test_a_file_goes_there_and_comes_back(
        self, store: Store, tmp_path: Path, size: int
    ) -> None:
        source, copy = tmp_path / "source", tmp_path / "copy"
        source.write_bytes(os.urandom(size))
        etag = store.put("big", source)
        assert store.fetch("big", copy) == etag
        assert copy.read_bytes() == source.read_bytes()
        assert [(each.key, each.size, each.etag) for each in store.list("")] == [
            ("big", size, etag)
        ]

    def test_the_etag_changes_with_the_content(self, store: Store) -> None:
        first, second = store.put("a", b"1"), store.put("a", b"2")
        assert first != second
        assert store.get("a") == (b"2", second)

    def test_what_has_not_changed_is_not_fetched(self, store: Store, tmp_path: Path) -> None:
        etag = store.put("a", b"1")
        assert store.fetch("a", tmp_path / "f", unless=etag) is None
        assert not (tmp_path / "f").exists()
        new = store.put("a", b"2")
        assert store.fetch("a", tmp_path / "f", unless=etag) == new
        assert (tmp_path / "f").read_bytes() == b"2"

    def test_a_file_that_was_there_is_replaced(self, store: Store, tmp_path: Path) -> None:
        (tmp_path / "f").write_bytes(b"what was here before, and was longer")
        store.put("a", b"new")
        store.fetch("a", tmp_path / "f")
        assert (tmp_path / "f").read_bytes() == b"new"

    @pytest.mark.parametrize(
        "key", ["a b", "ü/日本", "a+b&c=d?e#f", "100%/%20", "-x", "a'b\"c", "x=1,y=2/[0]", "a//b"]
    )
    def test_a_key_may_be_any_text(self, store: Store, tmp_path: Path, key: str) -> None:
        store.put(key, key.encode())
        assert [each.key for each in store.list("")] == [key]
        assert store.get(key)[0] == key.encode()
        assert store.fetch(key, tmp_path / "f")
        store.delete([key])
        assert [*store.list("")] == []

    def test_what_is_not_there_is_told(self, store: Store, tmp_path: Path) -> None:
        with pytest.raises(NotThere, match=f"{self.scheme}://.*/nothing/here"):
            store.get("nothing/here")
        with pytest.raises(NotThere):
            store.fetch("nothing/here", tmp_path / "f")
        assert not (tmp_path / "f").exists()

    def test_a_file_that_cannot_be_written_is_told(self, store: Store, tmp_path: Path) -> None:
        store.put("a", b"1")
        with pytest.raises(FileNotFoundError):
            store.fetch("a", tmp_path / "no" / "f")

    # Listings

    def test_a_listing_is_of_what_begins_so(self, store: Store) -> None:
        before = time.time()
        for key in ("p/a", "p/b/c", "pq", "r"):
            store.put(key, b"12")
        found = {each.key: each for each in store.list("p/")}
        assert set(found) == {"p/a", "p/b/c"}
        assert found["p/a"].size == 2
        assert before - 5 < found["p/a"].changed < time.time() + 5

    def test_a_listing_is_cut_at_the_delimiter(self, store: Store) -> None:
        for key in ("p/a", "p/b/c", "p/b/d", "p/e/f"):
            store.put(key, b"12")
        found = {each.key: each.etag for each in store.list("p/", delimiter="/")}
        assert set(found) == {"p/a", "p/b/", "p/e/"}
        assert [key for key, etag in found.items() if not etag] == ["p/b/", "p/e/"]

    def test_a_listing_of_many_is_whole(self, store: Store, world) -> None:
        keys = [f"many/{num:05}" for num in range(2100)]
        world.fill(keys)
        assert [each.key for each in store.list("many/")] == keys

    def test_removing_what_is_there_or_not(self, store: Store, world) -> None:
        keys = [f"many/{num:05}" for num in range(1005)]
        world.fill([*keys, "other"])
        store.delete(key for key in [*keys, "never there"])
        assert [each.key for each in store.list("")] == ["other"]
        store.delete([])

    # Faults

    @pytest.mark.parametrize("kind", [*PASSING, "truncated"])
    @pytest.mark.parametrize("act", READS)
    def test_a_fault_that_passes_is_not_seen_by_who_reads(
        self, store: Store, world, tmp_path: Path, act: str, kind: str
    ) -> None:
        store.put("there", CONTENT)
        world.play(kind)
        found = READS[act](store, tmp_path / "f")
        assert found in (CONTENT, ["there"])
        assert world.played()

    @pytest.mark.parametrize("kind", PASSING)
    @pytest.mark.parametrize("act", WRITES)
    def test_a_fault_that_passes_is_not_seen_by_who_writes(
        self, store: Store, world, tmp_path: Path, act: str, kind: str
    ) -> None:
        store.put("there", b"before")
        world.play(kind)
        WRITES[act](store, tmp_path / "f")
        assert world.played()
        left = {each.key: each.size for each in store.list("")}
        assert left == ({"there": len(b"content")} if act == "put" else {})

    @pytest.mark.parametrize("kind", ["slow", "reset"])
    def test_a_file_goes_there_in_parts_whatever_happens_to_one(
        self, store: Store, world, tmp_path: Path, kind: str
    ) -> None:
        path = tmp_path / "f"
        path.write_bytes(os.urandom(BIG))
        world.play(kind, 1, after=2)
        store.put("big", path)
        assert world.played()
        store.fetch("big", tmp_path / "g")
        assert (tmp_path / "g").read_bytes() == path.read_bytes()

    def test_what_breaks_off_is_gone_on_with(self, store: Store, world, tmp_path: Path) -> None:
        content = os.urandom(2 * 2**20)
        store.put("a", content)
        world.play("truncated", 3)
        store.fetch("a", tmp_path / "f")
        assert (tmp_path / "f").read_bytes() == content
        ranges = [headers.get("range") for headers in world.requests()]
        assert f"bytes={len(content) // 2}-" in ranges

    def test_what_is_written_anew_on_its_way_comes_whole(
        self, store: Store, world, tmp_path: Path
    ) -> None:
        old, new = os.urandom(2 * 2**20), os.urandom(2 * 2**20)
        store.put("a", old)
        world.play("truncated")
        world.then(lambda: store.put("a", new))
        store.fetch("a", tmp_path / "f")
        assert (tmp_path / "f").read_bytes() == new

    @pytest.mark.parametrize("kind", ["slow", "hang", "truncated"])
    def test_an_outage_that_lasts_is_told_in_time(
        self, store: Store, world, tmp_path: Path, kind: str
    ) -> None:
        store.put("there", b"x")
        world.play(kind, 1000)
        before = time.monotonic()
        with pytest.raises(Unreachable, match=rf"{self.scheme}://.*there"):
            store.get("there")
        assert PATIENCE_S / 2 < time.monotonic() - before < 5 * PATIENCE_S
        world.heal()
        assert store.get("there")[0] == b"x"

    @pytest.mark.parametrize("act", [*READS, *WRITES])
    def test_credentials_that_have_expired_are_told_at_once(
        self, store: Store, world, tmp_path: Path, act: str
    ) -> None:
        store.put("there", CONTENT)
        world.play("expired", 1000)
        before = time.monotonic()
        with pytest.raises(Expired, match=r"log in anew"):
            (READS | WRITES)[act](store, tmp_path / "f")
        assert time.monotonic() - before < PATIENCE_S
        world.heal()
        assert store.get("there")[0] == CONTENT

    @pytest.mark.parametrize("act", [*READS, *WRITES])
    def test_who_is_not_let_in_is_told_at_once(
        self, store: Store, world, tmp_path: Path, act: str
    ) -> None:
        store.put("there", CONTENT)
        world.play("denied", 1000)
        with pytest.raises(Refused, match=r"may not do it in bucket .* prints the least") as error:
            (READS | WRITES)[act](store, tmp_path / "f")
        assert not isinstance(error.value, Expired)

    def test_many_threads_ask_at_once(self, store: Store, world) -> None:
        world.play("slow", 10)
        begin = threading.Barrier(8)

        def work(num: int) -> bool:
            begin.wait()
            for turn in range(5):
                store.put(f"{num}/{turn}", b"%d" % turn)
            return all(store.get(f"{num}/{turn}")[0] == b"%d" % turn for turn in range(5))

        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(work, range(8)))
        assert len([*store.list("")]) == 40

    # Checks

    def test_a_good_bucket_passes_and_keeps_nothing_of_the_check(self, store: Store) -> None:
        store.check("launchkit")
        assert [*store.list("")] == []

    def test_a_bucket_that_is_not_there_is_refused_by_name(
        self, store: Store, tmp_path: Path
    ) -> None:
        missing = self.open("no-such-bucket-here")
        for act in (
            lambda: missing.check("launchkit"),
            lambda: missing.put("a", b""),
            lambda: [*missing.list("")],
            lambda: missing.get("a"),
            lambda: missing.fetch("a", tmp_path / "f"),
        ):
            with pytest.raises(Refused, match=r"no-such-bucket-here.* setup --bucket no-such"):
                act()

    def test_the_check_tells_of_a_bucket_that_cannot_be_written(self, store: Store, world) -> None:
        world.play("denied", 1000, writes=True)
        with pytest.raises(Refused, match="may not do it in bucket"):
            store.check("launchkit")

    def test_a_check_of_what_cannot_be_reached_says_so(self, store: Store, world) -> None:
        world.play("reset", 1000)
        with pytest.raises(StoreError) as error:
            store.check("launchkit")
        assert isinstance(error.value, Unreachable)

    def test_a_public_bucket_is_warned_of(
        self, store: Store, world, caplog: pytest.LogCaptureFixture
    ) -> None:
        def warnings() -> list[str]:
            return [each.message for each in caplog.records if each.levelname == "WARNING"]

        store.check("launchkit")
        assert ["public access" in text for text in warnings()] == [True]
        caplog.clear()
        world.close_to_the_public()
        store.check("launchkit")
        assert warnings() == []
