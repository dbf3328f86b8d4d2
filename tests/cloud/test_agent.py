"""The agent of a machine: what its pack writes comes into the bucket, whatever happens."""

from __future__ import annotations

import ast
import gzip
import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from agent_machine import BASE, NAME, PACK, AgentMachine, aws_program, wait_for
from faulty_proxy import FaultyProxy
from s3_here import S3World, s3_bucket, s3_proxy, use

from launchkit.cloud import startup
from launchkit.outside.listing import Look

pytestmark = pytest.mark.skipif(aws_program() is None, reason="there is no program 'aws'")


NO_METADATA = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:9"}
"""There is no metadata service, which shows at once."""


@pytest.fixture(scope="module")
def proxy() -> Iterator[FaultyProxy]:
    with s3_proxy() as running:
        yield running


@contextmanager
def s3_bucket_of(monkeypatch: pytest.MonkeyPatch, proxy: FaultyProxy) -> Iterator[S3World]:
    use(monkeypatch, proxy)
    with s3_bucket(proxy) as there:
        yield there


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, proxy: FaultyProxy) -> Iterator[S3World]:
    with s3_bucket_of(monkeypatch, proxy) as there:
        yield there


@pytest.fixture
def machine(world: S3World, tmp_path: Path) -> Iterator[AgentMachine]:
    there = AgentMachine(tmp_path / "i-0123", world)
    there.environment.update(NO_METADATA)
    yield there
    there.end()


ODD = [
    "a b", " ", "-r", "--recursive", "*", "[a]", "a?b", "it's", 'a"b', "a\\b", "$(x)",
    "ü", "日本", "a%20b", "a+b", "a&b", "a#1", "~", "x" * 250, ".hidden", "a\tb", "a;b",
    "{}", "a:b", "@", "=", "a,b",
]  # fmt: skip


@pytest.fixture(scope="module")
def ended(
    proxy: FaultyProxy, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[AgentMachine, Look]]:
    """A machine whose pack has run to its end, and its last look."""
    with pytest.MonkeyPatch.context() as monkeypatch, s3_bucket_of(monkeypatch, proxy) as world:
        there = AgentMachine(tmp_path_factory.mktemp("ended") / "i-0123", world)
        there.environment = {**NO_METADATA, "SOME_TOKEN": "planted-secret"}
        there.environment["AWS_SECRET_ACCESS_KEY"] = "planted-secret-key"
        write_odd_names(there.root / NAME / "odd")
        world.play("slow", 3)
        look = there.run(
            "cat 0/.launchkit/state.json; cat .launchkit/shared/0 >0/got\n"
            "echo beside >../beside; ln -s got 0/link; mkdir 0/empty\n"
            'echo "$1 $LAUNCHKIT_TAG $LAUNCHKIT_ON_SIGNAL" >0/told\n'
            "exit 5"
        )
        yield there, look


def write_odd_names(folder: Path) -> None:
    for number, name in enumerate(ODD):
        inner = folder / f"d{name}"[:250]
        inner.mkdir(parents=True)
        (folder / name).write_text(f"{number}")
        (inner / name).write_text(f"in {number}")
    for left_out in (b"\xff", b"a\nb"):
        (folder / os.fsdecode(left_out)).write_text("left out")


def test_a_pack_runs_and_its_files_come(ended: tuple[AgentMachine, Look]) -> None:
    machine, look = ended
    pack = look.packs[PACK]
    assert (pack.alive, pack.code, pack.told) == (False, 5, b"")
    files = machine.files()
    assert files[f"{NAME}/0/got"] == b"shared"
    assert files["beside"] == b"beside\n"
    assert files[f"{NAME}/0/link"] == b"got"
    assert files[f"{NAME}/0/told"] == b"3 i-0123 preempted\n"
    assert files[f"{NAME}/.launchkit/carriers/3.log"] == b'{"state": "submitted"}'
    kinds = {os.fsdecode(entry.name): entry.kind for entry in look.entries}
    assert kinds[f"{NAME}/0/link"] == "l"
    assert kinds[f"{NAME}/0/empty"] == "d"
    # What is seen is there, and the other way round.
    assert set(files) == {name for name, kind in kinds.items() if kind != "d"}
    assert "pack 3 has ended with code 5" in machine.get(f".machines/{PACK}/log").decode()
    assert (machine.root / "synced").exists()


def test_odd_names_survive(ended: tuple[AgentMachine, Look]) -> None:
    machine, _ = ended
    files = machine.files()
    for number, name in enumerate(ODD):
        assert files[f"{NAME}/odd/{name}"].decode() == f"{number}"
        assert files[f"{NAME}/odd/" + f"d{name}"[:250] + f"/{name}"].decode() == f"in {number}"
    assert b"left out" not in files.values()
    assert machine.log.count("does not come home") == 2


def test_no_value_of_the_environment_is_uploaded(ended: tuple[AgentMachine, Look]) -> None:
    machine, _ = ended
    listed = machine.s3.list_objects_v2(Bucket=machine.world.bucket, Prefix=BASE)["Contents"]
    assert len(listed) > 4
    for each in listed:
        data = machine.get(each["Key"][len(BASE) + 1 :])
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
        assert b"planted" not in data, each["Key"]


def test_objects_are_encrypted(ended: tuple[AgentMachine, Look]) -> None:
    machine, _ = ended
    puts = [
        seen for seen in machine.world.proxy.seen
        if seen.method == "PUT" and f"{machine.world.bucket}/{BASE}/my%20sweep/" in seen.path
    ]  # fmt: skip
    assert len(puts) > 4
    assert all(seen.headers["x-amz-server-side-encryption"] == "AES256" for seen in puts)


def test_a_file_that_the_bucket_never_takes_is_left_out(machine: AgentMachine) -> None:
    machine.world.proxy.play("denied", 1000, method="PUT", path="0/hated$")
    look = machine.run("echo 1 >0/hated; echo 2 >0/hated-less; exit 4")
    assert machine.files()[f"{NAME}/0/hated-less"] == b"2\n"
    names = {entry.name for entry in look.entries}
    assert f"{NAME}/0/hated".encode() not in names
    assert look.packs[PACK].code == 4
    assert "hated' does not come home: it cannot be uploaded" in machine.log


def test_who_hears_that_a_job_ended_finds_its_files(machine: AgentMachine) -> None:
    """The rows of job N are whole in the bucket once a look tells that it has ended."""
    machine.runs(
        "for job in 1 2 3 4 5 6 7 8; do mkdir -p $job; sleep 0.4\n"
        "for row in 1 2 3; do echo $row >>$job/rows; done\n"
        'echo "{\\"num\\": $job}" >>.launchkit/asks/$1.ended; done; sleep 0.5'
    )
    machine.start()
    heard = set()
    for look in machine.looks():
        for line in look.packs[PACK].told.splitlines():
            num = json.loads(line)["num"]
            assert machine.get(f"{NAME}/{num}/rows") == b"1\n2\n3\n"
            assert f"{NAME}/{num}/rows".encode() in {entry.name for entry in look.entries}
            heard.add(num)
    assert machine.join() == 0
    assert len(machine.look().packs[PACK].told.splitlines()) == 8
    assert heard, "no look was seen before the end"


def test_what_grows_comes_as_it_grows_and_nothing_twice(
    machine: AgentMachine, proxy: FaultyProxy
) -> None:
    wait = "until [ -e ../$row ]; do sleep 0.1; done"
    machine.runs(
        "head -c 100000 /dev/zero >0/once; mv 0/once 0/model\n"
        f"for row in 1 2 3; do echo $row >>0/progress.csv; {wait}; done"
    )
    begin = len(proxy.seen)
    machine.start()
    whole = b""
    for row in range(1, 4):
        whole += b"%d\n" % row
        wait_for(lambda: machine.files().get(f"{NAME}/0/progress.csv") == whole)  # noqa: B023 - called at once
        assert machine.look().packs[PACK].alive
        (machine.root / f"{row}").touch()
    assert machine.join() == 0
    assert machine.files()[f"{NAME}/0/progress.csv"] == whole
    puts = [seen.path for seen in proxy.seen[begin:] if seen.method == "PUT"]
    assert sum("model" in path for path in puts) == 1


def test_what_is_asked_gets_to_the_pack(machine: AgentMachine) -> None:
    machine.runs("until grep -q end .launchkit/asks/$1.jsonl 2>/dev/null; do sleep 0.1; done")
    machine.start()
    wait_for(lambda: machine.has(f".machines/{PACK}/look"))
    machine.put(f".machines/{PACK}/asks.jsonl", b'{"cancel": [1]}\n')
    asked = machine.own / "asks" / f"{PACK}.jsonl"
    wait_for(asked.exists)
    assert asked.read_bytes() == b'{"cancel": [1]}\n'
    machine.put(f".machines/{PACK}/asks.jsonl", b'{"cancel": [1]}\n{"end": true}\n')
    assert machine.join() == 0
    assert not machine.look().packs[PACK].alive


def test_the_launchers_sign_of_life_is_passed_on(machine: AgentMachine) -> None:
    machine.put(".home/lease", b'{"time": 1}')
    machine.run("until [ -e .launchkit/asks/$1.lease ]; do sleep 0.1; done")
    assert machine.look().packs[PACK].code == 0


STOPS = "trap 'echo stopped >0/stopped; exit 75' TERM; echo >0/begun; while :; do sleep 0.05; done"


def test_told_to_end_it_stops_the_jobs_and_uploads_the_last_of_them(machine: AgentMachine) -> None:
    machine.runs(STOPS)
    machine.start()
    wait_for((machine.root / NAME / "0" / "begun").exists)
    machine.tell()
    assert machine.join() == 0
    assert machine.files()[f"{NAME}/0/stopped"] == b"stopped\n"
    assert machine.look().packs[PACK].code == 75


def test_its_time_over_it_ends_before_the_timer_does(world: S3World, tmp_path: Path) -> None:
    machine = AgentMachine(tmp_path / "i-1", world, ends=time.time() + 8)
    machine.environment.update(NO_METADATA)
    machine.runs(STOPS)
    machine.start()
    try:
        assert machine.join() == 0
        assert machine.look().packs[PACK].code == 75
        assert "max_lifetime_min" in machine.log
    finally:
        machine.end()


@pytest.mark.parametrize("kind", ["slow", "reset"])
def test_a_bucket_that_fails_for_a_while_costs_nothing(machine: AgentMachine, kind: str) -> None:
    machine.runs("echo 1 >0/rows; sleep 3; echo 2 >>0/rows; echo 3 >0/more")
    machine.start()
    wait_for(lambda: machine.has(f"{NAME}/0/rows"))
    machine.world.play(kind, 12, writes=True)
    assert machine.join() == 0
    assert machine.world.played()
    files = machine.files()
    assert (files[f"{NAME}/0/rows"], files[f"{NAME}/0/more"]) == (b"1\n2\n", b"3\n")
    assert machine.look().packs[PACK].code == 0


def test_without_its_bucket_for_long_it_ends(world: S3World, tmp_path: Path) -> None:
    machine = AgentMachine(tmp_path / "i-1", world, unreachable_min=0.05)
    machine.environment.update(NO_METADATA)
    machine.runs(STOPS)
    machine.start()
    try:
        wait_for((machine.root / NAME / "0" / "begun").exists)
        world.play("internal", 10_000)
        assert machine.join() == 0
        assert (machine.root / NAME / "0" / "stopped").exists()
    finally:
        machine.end()


def test_an_image_that_cannot_be_had_is_a_refusal(
    world: S3World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = AgentMachine(tmp_path / "i-1", world, image="no.such.registry/no/such:image")
    monkeypatch.setenv("PATH", os.environ["PATH"])
    docker = tmp_path / "bin" / "docker"
    docker.parent.mkdir()
    docker.write_text("#!/bin/sh\n[ $1 = ps ] || { echo 'Error: manifest unknown' >&2; exit 1; }\n")
    docker.chmod(0o755)
    machine.environment.update(NO_METADATA)
    look = machine.run(":")
    refused = json.loads(machine.files()[f"{NAME}/.launchkit/asks/{PACK}.refused"])
    assert refused["error"] == "MachineFailed"
    assert "no.such.registry/no/such:image" in refused["message"]
    assert "manifest unknown" in refused["message"]
    assert look.packs[PACK].code == 70
    assert f"{NAME}/.launchkit/asks/{PACK}.refused".encode() in {e.name for e in look.entries}


@pytest.mark.parametrize("name", startup.agent_files())
def test_any_python_from_3_6_on_understands_it(name: str) -> None:
    path = startup.agent_files()[name]
    ast.parse(path.read_text(), feature_version=(3, 6))


class Metadata:
    """The metadata service of EC2, as far as a spot notice goes."""

    def __init__(self) -> None:
        self.taken = threading.Event()
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                self.answer(200, "a-token")

            def do_GET(self) -> None:
                if self.headers["X-aws-ec2-metadata-token"] != "a-token":
                    self.answer(401, "")
                elif service.taken.is_set() and self.path.endswith("spot/instance-action"):
                    self.answer(200, '{"action": "terminate"}')
                else:
                    self.answer(404, "")

            def answer(self, status: int, text: str) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def test_a_machine_that_is_taken_back_uploads_the_last_of_its_jobs(machine: AgentMachine) -> None:
    metadata = Metadata()
    address = f"http://127.0.0.1:{metadata.server.server_port}"
    machine.environment["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = address
    machine.runs(STOPS)
    machine.start()
    try:
        wait_for((machine.root / NAME / "0" / "begun").exists)
        metadata.taken.set()
        assert machine.join() == 0
    finally:
        metadata.server.shutdown()
        metadata.server.server_close()
    assert machine.files()[f"{NAME}/0/stopped"] == b"stopped\n"
    assert machine.look().packs[PACK].code == 75
    assert "the machine is taken back" in machine.log


def test_what_goes_wrong_in_itself_keeps_no_machine_running(machine: AgentMachine) -> None:
    machine.runs(f"rm -rf ../.agent/said; echo no folder >../.agent/said; {STOPS}")
    machine.start()
    assert machine.join() == 0
    assert (machine.root / NAME / "0" / "stopped").exists()
    assert "the machine ends early" in machine.log
