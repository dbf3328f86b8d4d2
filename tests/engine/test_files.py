"""Bytes get to disk whole or not at all."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import threading
import time

import pytest
from engine_helpers import run_python, start_python, wait_until

from launchkit import files

LENGTH = 200_000

WRITER = """
import sys
from launchkit import files
print("ready", flush=True)
n = 0
while True:
    n += 1
    files.write_atomic(sys.argv[1], chr(97 + n % 26) * int(sys.argv[2]))
"""

RACER = """
import sys
from launchkit import files
print("ready", flush=True)
sys.stdin.readline()
print(files.write_new(sys.argv[1], sys.argv[2] * 1000))
"""


def test_a_reader_never_sees_a_part_while_writers_are_killed(tmp_path):
    path = tmp_path / "file"
    files.write_atomic(path, "a" * LENGTH)
    seen = set()
    for _ in range(5):
        writer = start_python(WRITER, path, LENGTH, stdout=subprocess.PIPE)
        writer.stdout.readline()
        before = path.read_text()
        wait_until(lambda: path.read_text() != before, "the writer's first file")  # noqa: B023
        reads, deadline = 0, time.monotonic() + 10
        while reads < 40 or (len(seen) < 3 and time.monotonic() < deadline):
            text = path.read_text()
            assert text == text[0] * LENGTH
            seen.add(text[0])
            reads += 1
        writer.kill()
        writer.communicate()
        text = path.read_text()
        assert text == text[0] * LENGTH
    assert len(seen) > 2, "the file did not change while it was read"


def test_an_error_in_the_block_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "file"
    files.write_atomic(path, "old")
    with pytest.raises(RuntimeError), files.atomic_writer(path) as stream:
        stream.write(b"half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "file"
    files.write_atomic(path, "old")
    program = """
import resource, signal, sys
from launchkit import files
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
try:
    files.write_atomic(sys.argv[1], "x" * 100_000)
except OSError as error:
    print(type(error).__name__, error.errno)
"""
    assert run_python(program, path).startswith("OSError 27")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_device_without_room_raises(tmp_path):
    with pytest.raises(OSError, match="No space left"):
        files.append_line("/dev/full", "line")
    with pytest.raises(OSError, match="No such file"):
        files.write_atomic(tmp_path / "nowhere" / "file", "x")


@pytest.mark.parametrize(("mode", "umask"), [(0o600, 0o022), (0o666, 0o022), (0o666, 0o077)])
def test_permissions_are_the_mode_without_the_umask(tmp_path, mode, umask):
    program = """
import os, sys
os.umask(int(sys.argv[3]))
from launchkit import files
files.write_atomic(sys.argv[1], "x", mode=int(sys.argv[2]))
"""
    run_python(program, tmp_path / "file", mode, umask)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == mode & ~umask


def test_a_line_torn_by_a_dead_writer_costs_only_itself(tmp_path):
    path = tmp_path / "lines.jsonl"
    files.append_line(path, json.dumps({"n": 1}))
    with path.open("a") as stream:
        stream.write('{"n": 2, "text": "to')
    assert list(files.read_json_lines(path)) == [{"n": 1}]
    files.append_line(path, json.dumps({"n": 3}))
    assert list(files.read_json_lines(path)) == [{"n": 1}, {"n": 3}]


def test_lines_that_are_not_utf_8_are_left_out(tmp_path):
    path = tmp_path / "lines.jsonl"
    path.write_bytes(b'\xff\xfe{"n"\n{"n": 2}\n')
    assert list(files.read_json_lines(path)) == [{"n": 2}]
    assert list(files.read_json_lines(tmp_path / "none.jsonl")) == []


def test_lines_of_many_writers_do_not_mix(tmp_path):
    path = tmp_path / "lines.jsonl"
    program = """
import json, sys
from launchkit import files
for n in range(100):
    files.append_line(sys.argv[1], json.dumps([sys.argv[2], n, "x" * 500]))
"""
    writers = [start_python(program, path, who) for who in "abc"]
    assert [writer.wait(timeout=20) for writer in writers] == [0, 0, 0]
    # A line may be empty: a writer that saw another one's half done has ended it.
    lines = [json.loads(line) for line in path.read_text().splitlines() if line]
    for who in "abc":
        assert [n for name, n, _ in lines if name == who] == list(range(100))


def test_of_two_that_write_a_new_file_one_wins(tmp_path):
    for attempt in range(3):
        path = tmp_path / f"claim{attempt}"
        racers = [
            start_python(RACER, path, who, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            for who in "ab"
        ]
        for racer in racers:
            assert racer.stdout.readline() == "ready\n"
        for racer in racers:
            racer.stdin.write("go\n")
            racer.stdin.flush()
        won = [racer.communicate(timeout=20)[0] == "True\n" for racer in racers]
        assert sorted(won) == [False, True]
        assert path.read_text() == "ab"[won.index(True)] * 1000
    assert len(os.listdir(tmp_path)) == 3


def test_a_file_that_is_there_is_not_written_anew(tmp_path):
    assert files.write_new(tmp_path / "file", "first")
    assert not files.write_new(tmp_path / "file", "second")
    assert (tmp_path / "file").read_text() == "first"
    assert os.listdir(tmp_path) == ["file"]


def test_text_that_utf_8_lacks_is_written_as_its_escape(tmp_path):
    files.write_json(tmp_path / "file.json", {"name": "caf\udce9 ü"})
    assert json.loads((tmp_path / "file.json").read_text("utf-8")) == {"name": "caf\udce9 ü"}
    files.append_line(tmp_path / "lines", json.dumps("\udc80", ensure_ascii=False))
    assert list(files.read_json_lines(tmp_path / "lines")) == ["\udc80"]


def test_a_new_file_is_made_by_one_of_the_threads_of_one_process(tmp_path):
    # Another machine may have a process of the same id as well.
    def make(path, num):
        barrier.wait()
        made.extend([num] if files.write_new(path, str(num)) else [])

    barrier, made = threading.Barrier(4), []
    for round_ in range(30):
        path = tmp_path / str(round_)
        threads = [threading.Thread(target=make, args=(path, num)) for num in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [int(path.read_text())] == made
        made.clear()
    assert len(list(tmp_path.iterdir())) == 30


def test_a_link_that_was_made_though_its_answer_got_lost_counts(tmp_path, monkeypatch):
    link = os.link

    def lost(*names):
        link(*names)
        link(*names)

    monkeypatch.setattr(os, "link", lost)
    assert files.write_new(tmp_path / "file", "first")
    assert not files.write_new(tmp_path / "file", "second")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["first"]
