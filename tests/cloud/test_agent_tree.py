"""What a machine's agent finds of a sweep's files, and what of it it uploads."""

from __future__ import annotations

import errno
import os
import subprocess
import time
from pathlib import Path

import pytest

from launchkit.cloud import agent_tree
from launchkit.cloud.agent_tree import Tree
from launchkit.outside.listing import Entry

NAME = "sweep"
LONG_AGO = time.time() - 3600
FIND = ["find", ".", "-mindepth", "1", "-printf", "%y %i %s %T@ %C@ %m %p\\0"]


class Place:
    """A machine's directory, and what is uploaded of it."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        (self.root / NAME / ".launchkit").mkdir(parents=True)
        self.staging = folder / "staging"
        self.tree = Tree(str(self.root), NAME, "launchkit/id")

    def write(self, name: str, text: str, *, old: bool = False) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        if old:
            self.age(path)
        return path

    def age(self, path: Path) -> None:
        os.utime(path, (LONG_AGO, LONG_AGO))

    def stage(self, *, last: bool = False, small: bool = False) -> dict[str, str]:
        agent_tree.empty(str(self.staging))
        entries = self.tree.scan()
        self.tree.stage(entries, str(self.staging), last=last, small=small)
        found = [path for path in self.staging.rglob("*") if path.is_file()]
        return {path.relative_to(self.staging).as_posix(): path.read_text() for path in found}

    def upload(self, **how: bool) -> dict[str, str]:
        staged = self.stage(**how)
        self.tree.note()
        return staged

    def shown(self) -> dict[str, Entry]:
        lines = self.tree.lines(self.tree.scan())
        return {os.fsdecode(e.name): e for e in map(Entry.parse, lines)}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setattr(agent_tree, "BIG", 1000)
    return Place(tmp_path)


def test_a_look_says_what_find_says(place: Place) -> None:
    place.write(f"{NAME}/0/a b", "text").chmod(0o640)
    place.write(f"{NAME}/0/é", "", old=True)
    (place.root / NAME / "0" / "link").symlink_to("a b")
    (place.root / "beside").mkdir(mode=0o700)
    place.upload()
    found = subprocess.run(FIND, cwd=place.root, capture_output=True, check=True).stdout
    entries = [Entry.parse(line) for line in found.split(b"\0")[:-1]]
    expected = {os.fsdecode(e.name): e for e in entries if not e.name.endswith(b".launchkit")}
    assert place.shown() == expected


def test_of_the_sweeps_own_files_only_what_is_said_comes(place: Place) -> None:
    for name in ("sweep.json", "asks/1.jsonl", "asks/1.ended", "unpacked/run.sh", "carriers/x"):
        place.write(f"{NAME}/.launchkit/{name}", "not this")
    place.write(f"{NAME}/.launchkit/carriers/1.log", "log")
    place.write(f"{NAME}/.launchkit/asks/1.refused", "refused")
    place.write(f"{NAME}/0/.launchkit/state.json", "state")
    place.write(f"{NAME}/0/.launchkit/.state.json.0123456789ab.tmp", "half a state")
    for name in ("machine.json", "agent.pid", "synced", ".agent/log", ".home/x", ".machines/x"):
        place.write(name, "the agent's")
    place.write("beside/machine.json", "theirs")
    assert place.upload() == {
        f"{NAME}/.launchkit/carriers/1.log": "log",
        f"{NAME}/.launchkit/asks/1.refused": "refused",
        f"{NAME}/0/.launchkit/state.json": "state",
        "beside/machine.json": "theirs",
    }


def test_what_has_not_changed_is_not_uploaded_again(place: Place) -> None:
    new, old = place.write("new", "1"), place.write("old", "1", old=True)
    assert place.upload().keys() == {"new", "old"}
    assert place.upload() == {}
    status = new.stat()
    new.write_text("2")
    os.utime(new, ns=(status.st_atime_ns, status.st_mtime_ns))  # as if within one tick of a clock
    assert place.upload() == {"new": "2"}
    old.write_text("more")
    assert place.upload() == {"old": "more"}


def test_what_could_not_be_uploaded_is_staged_again(place: Place) -> None:
    place.write("a", "1", old=True)
    assert place.stage() == {"a": "1"}
    assert "a" not in place.shown()
    assert place.upload() == {"a": "1"}
    assert "a" in place.shown()


def test_a_file_is_shown_as_it_was_when_it_was_uploaded(place: Place) -> None:
    """Or a launcher would take the old content for the new, and never ask again."""
    path = place.write("a", "old", old=True)
    place.upload()
    seen = place.shown()["a"]
    path.write_text("new content")
    place.stage()  # it fails
    assert place.shown()["a"] == seen
    place.upload()
    assert place.shown()["a"].size == len("new content")


def test_a_file_that_grows_while_it_is_copied_is_uploaded_once_more(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = place.write("rows", "1\n")
    copy = agent_tree._copy

    def grow(source: bytes, target: bytes) -> bytes:
        digest = copy(source, target)
        with path.open("a") as stream:
            stream.write("2\n")
        monkeypatch.setattr(agent_tree, "_copy", copy)
        return digest

    monkeypatch.setattr(agent_tree, "_copy", grow)
    assert place.upload() == {"rows": "1\n"}
    assert place.upload() == {"rows": "1\n2\n"}


def test_a_large_file_at_rest_is_not_copied(place: Place) -> None:
    path = place.write("model", "x" * 5000)
    past = time.time_ns() - 10**10
    os.utime(path, ns=(past, past))
    entries = [e._replace(touched=past) for e in place.tree.scan()]
    agent_tree.empty(str(place.staging))
    place.tree.stage(entries, str(place.staging), last=False, small=False)
    assert (place.staging / "model").stat().st_ino == path.stat().st_ino


def test_a_large_file_that_goes_on_changing_comes_now_and_then(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.write("model", "x" * 5000)
    assert place.upload() == {}
    monkeypatch.setattr(agent_tree, "BIG_AGAIN_S", 0.0)
    assert place.upload().keys() == {"model"}
    monkeypatch.setattr(agent_tree, "BIG_AGAIN_S", 300.0)
    place.write("model", "y" * 5000)
    assert place.upload() == {}
    assert place.upload(last=True)["model"] == "y" * 5000


def test_in_haste_the_small_come_first(place: Place) -> None:
    place.write("model", "x" * 5000)
    place.write("state", "s")
    assert place.upload(last=True, small=True).keys() == {"state"}
    assert place.upload(last=True).keys() == {"model"}


def test_on_a_full_disk_files_are_linked(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: bytes, target: bytes) -> bytes:
        Path(os.fsdecode(target)).write_text("a part")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(agent_tree, "_copy", full)
    path = place.write("rows", "all of it")
    assert place.stage() == {"rows": "all of it"}
    assert (place.staging / "rows").stat().st_ino == path.stat().st_ino


@pytest.mark.parametrize("code", [errno.ENOENT, errno.ELOOP, errno.ESTALE, errno.EACCES])
def test_what_vanishes_meanwhile_is_no_error(
    place: Place, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    place.write("here", "1")
    place.write("gone", "1")
    copy = agent_tree._copy

    def vanish(source: bytes, target: bytes) -> bytes:
        if source.endswith(b"gone"):
            Path(os.fsdecode(target)).write_text("a part")
            raise OSError(code, os.strerror(code))
        return copy(source, target)

    monkeypatch.setattr(agent_tree, "_copy", vanish)
    assert place.upload() == {"here": "1"}


def test_a_link_is_never_followed(place: Place) -> None:
    outside = place.root.parent / "secret"
    outside.write_text("secret")
    (place.root / "link").symlink_to(outside)
    (place.root / "folder").symlink_to(place.root.parent, target_is_directory=True)
    os.mkfifo(place.root / "pipe")
    assert place.upload() == {"link": str(outside), "folder": str(place.root.parent)}
    assert {name: entry.kind for name, entry in place.shown().items() if "pipe" not in name} == {
        "link": "l", "folder": "l", NAME: "d",
    }  # fmt: skip
    assert "pipe" not in place.shown()


@pytest.mark.parametrize(
    ("name", "comes"),
    [
        (b"a#1", True), (b"#a", True), (b"a\nb", False), (b"\xff", False),
        (b"x" * 255, True), (b"/".join([b"x" * 250] * 5), False),
    ],
)  # fmt: skip
def test_names_that_cannot_be_uploaded_are_left_out(
    tmp_path: Path, name: bytes, comes: bool, caplog: pytest.LogCaptureFixture
) -> None:
    place = Place(tmp_path)
    place.write(os.fsdecode(name), "text")
    for _ in range(3):
        assert (os.fsdecode(name) in place.stage()) is comes
    assert len(caplog.messages) == (not comes)
