"""An archive on a disk that is full, which makeself itself does not notice at every step."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.doodad

MOUNTS = ("unshare", "--map-root-user", "--mount")
SMALL_DISK = 'mount -t tmpfs -o "size=$1" tmpfs "$2" && shift 2 && exec "$@"'

BUILD = """
import json, os, sys
from pathlib import Path
from launchkit.doodad import archive, engine
disk, code, target = map(Path, sys.argv[1:])
error = ""
try:
    archive.build(target, [archive.Code(code, "code0")], {"final_script.sh": ""})
except OSError as problem:
    error = str(problem)
print(json.dumps([error, os.listdir(disk)]))
"""
UNPACK = """
import json, os, sys
from pathlib import Path
from launchkit.doodad import archive
disk, packed = map(Path, sys.argv[1:])
error = ""
try:
    archive.unpack(packed, disk / "unpacked")
except OSError as problem:
    error = str(problem)
print(json.dumps([error, os.listdir(disk)]))
"""


@functools.cache
def refused() -> str:
    """Return why this machine lets nobody mount a disk of their own; empty where it does."""
    try:
        command = [*MOUNTS, "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError as error:
        return str(error)
    return done.stderr.strip() if done.returncode else ""


def on_small_disk(disk: Path, size: str, program: str, *arguments: Path, **variables: str) -> Any:
    """Run a program that has a small disk in one place, and return what it prints."""
    done = subprocess.run(
        [
            *(*MOUNTS, "sh", "-c", SMALL_DISK, "sh", size, str(disk)),
            *(sys.executable, "-c", program, str(disk), *map(str, arguments)),
        ],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    if refused():
        pytest.skip(f"no disk of our own: {refused()}")
    disk = tmp_path / "disk"
    disk.mkdir()
    return disk


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """Some 600 KB that cannot be compressed."""
    code = tmp_path / "code"
    code.mkdir()
    for number in range(12):
        (code / f"noise{number}").write_bytes(os.urandom(50_000))
    return code


@pytest.mark.parametrize(
    "size",
    [
        pytest.param("300k", id="for half the code"),
        pytest.param("900k", id="for half of what is packed"),
        pytest.param("1500k", id="for half the archive"),
    ],
)
def test_the_disk_of_the_work_directory(tmp_path: Path, disk: Path, code: Path, size: str) -> None:
    target = tmp_path / "a.dar"
    target.write_text("the one before")
    error, left = on_small_disk(disk, size, BUILD, code, target, TMPDIR=str(disk))
    assert "No space left on device" in error
    assert left == []
    assert target.read_text() == "the one before"
    assert sorted(os.listdir(tmp_path)) == ["a.dar", "code", "disk"]


def test_the_disk_of_the_sweep(tmp_path: Path, disk: Path, code: Path) -> None:
    (tmp_path / "tmp").mkdir()
    variables = {"TMPDIR": str(tmp_path / "tmp")}
    error, left = on_small_disk(disk, "300k", BUILD, code, disk / "a.dar", **variables)
    assert "No space left on device" in error
    assert left == []
    assert os.listdir(tmp_path / "tmp") == []


def test_enough_room_is_enough(disk: Path, code: Path) -> None:
    error, left = on_small_disk(disk, "4m", BUILD, code, disk / "a.dar", TMPDIR=str(disk))
    assert (error, left) == ("", ["a.dar"])


def test_the_disk_that_it_is_unpacked_on(tmp_path: Path, disk: Path, code: Path) -> None:
    archive = tmp_path / "a.dar"
    on_small_disk(disk, "4m", BUILD, code, archive)
    error, left = on_small_disk(disk, "300k", UNPACK, archive)
    assert f"{archive} cannot be unpacked into {disk}/unpacked: " in error
    assert "0 MB are free there" in error
    assert left == []
