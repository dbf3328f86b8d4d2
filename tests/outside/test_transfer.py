"""What goes to a host and comes home, with rsync and with tar, over a real sshd."""

from __future__ import annotations

import os
import secrets
import shlex
import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ssh_testbed import ROUTE, home, relay

from launchkit import job as jobs
from launchkit.job import Job, JobState
from launchkit.outside import asks, exchange
from launchkit.outside.host_exchange import HostExchange
from launchkit.outside.remote import Remote
from launchkit.outside.ssh import Connection
from launchkit.outside.ssh_route import ConnectionLost
from launchkit.outside.transfer import Transfer
from launchkit.sweep import Sweep

pytestmark = pytest.mark.ssh

HOSTILE = [
    "a b",
    "-rf",
    "--delete",
    "new\nline",
    "tab\there",
    "$(touch x)",
    "`id`",
    "quote'\"",
    "back\\slash",
    "ü😀",
    "*?[a]",
    "#hash",
    ";rm",
    "a'b",
    "%s",
    "~",
    os.fsdecode(b"latin\xfc"),
]


class There:
    """A sweep with two jobs that are a host's to write, and both sides of it."""

    def __init__(self, directory: Path, connection: Connection, *, rsync: bool) -> None:
        self.sweep = Sweep.create(
            directory / "around" / "a sweep's; $name", mode="ssh", settings={}, command=[]
        )
        self.jobs = [
            Job(0, ("x=0",), self.sweep.directory / "0"),
            Job(1, ("x=1",), self.sweep.directory.parent / "beside 1"),
        ]
        self.sweep.add(self.jobs)
        self.connection = connection
        self.remote = Remote(f"./.cache/lk test/{secrets.token_hex(4)}", self.sweep.directory.name)
        self.staging = self.sweep.own / "coming"
        self.transfer = Transfer(
            connection, self.remote, self.sweep.directory.parent, self.staging, rsync=rsync
        )
        self.exchange = HostExchange(self.sweep, connection, self.remote, self.transfer)
        (self.sweep.own / "archive.dar").write_text("#!/bin/sh\nmkdir -p unpacking\n")
        self.connection.run(self.remote.make())

    @property
    def base(self) -> Path:
        return home() / self.remote.base

    def begin(self) -> None:
        self.exchange.hand_over(self.jobs, known=())

    def act(self, program: str) -> None:
        """Run Python there, in the sweep's directory."""
        where = f"{self.remote.base}/{self.remote.name}"
        script = f"cd && cd -- {shlex.quote(where)} && exec /usr/bin/python3 -"
        self.connection.run(script, f"import os, json, time\n{program}".encode())

    def tell(self, num: int, state: str) -> None:
        """Let a job be in a state, and its host tell so if it has ended."""
        job = self.jobs[num]
        place = os.path.relpath(job.own, self.sweep.directory)
        value = {"state": state, "attempt": 1, "started": 1.0, "exit_code": 0}
        self.act(
            f"os.makedirs({place!r}, exist_ok=True)\n"
            f"open({place!r} + '/state.json', 'w').write(json.dumps({value!r}))"
        )
        if JobState(state).final:
            line = {"num": num, **value}
            self.act(f"open('.launchkit/asks/0.ended', 'a').write(json.dumps({line!r}) + '\\n')")

    def look(self):
        return self.exchange.look([0])

    def here(self, name: str, num: int = 0) -> Path:
        return self.jobs[num].directory / name


@pytest.fixture(scope="module")
def connection():
    made = Connection(ROUTE)
    yield made
    made.close()


@pytest.fixture(params=["rsync", "tar"])
def there(request, tmp_path, connection):
    made = There(tmp_path, connection, rsync=request.param == "rsync")
    made.connection.run(f"mkdir -p -- {shlex.quote(made.remote.base)}")
    pretend_that_a_host_runs(made)
    made.begin()
    yield made
    made.connection.run("cd && rm -rf '.cache/lk test'")


def pretend_that_a_host_runs(made: There) -> None:
    """Let the master of the connection's shell on the other side stand for a host."""
    made.act(
        "pid = 1\n"
        "start = open('/proc/1/stat').read().rpartition(') ')[2].split()[19]\n"
        "boot = open('/proc/sys/kernel/random/boot_id').read().strip()\n"
        "open('.launchkit/remote/0.pid', 'w').write(f'{pid} {start} {boot}\\n')"
    )


class TestComingHome:
    def test_files_folders_links_and_empty_ones_come_as_they_are(self, there):
        there.act(
            "os.makedirs('0/deep/er'); os.makedirs('0/empty')\n"
            "open('0/deep/er/data', 'wb').write(bytes(range(256)) * 999)\n"
            "open('0/nothing', 'w').close()\n"
            "open('0/run.sh', 'w').write('#!/bin/sh'); os.chmod('0/run.sh', 0o755)\n"
            "open('0/secret', 'w').write('s'); os.chmod('0/secret', 0o600)\n"
            "os.symlink('deep/er/data', '0/link'); os.symlink('/not/there', '0/dangling')\n"
            "os.link('0/run.sh', '0/hard')\n"
            "os.mkfifo('0/fifo')\n"
            "os.utime('0/run.sh', (10**9, 10**9))\n"
            "os.makedirs('../beside 1'); open('../beside 1/x', 'w').write('1')\n"
            "open('beside the jobs', 'w').write('y')"
        )
        there.look()
        assert there.here("deep/er/data").read_bytes() == bytes(range(256)) * 999
        assert there.here("empty").is_dir()
        assert there.here("nothing").read_bytes() == b""
        assert there.here("run.sh").stat().st_mode & 0o777 == 0o755
        assert there.here("run.sh").stat().st_mtime == 10**9
        assert there.here("secret").stat().st_mode & 0o777 == 0o600
        assert there.here("link").readlink() == Path("deep/er/data")
        assert there.here("dangling").readlink() == Path("/not/there")
        assert there.here("hard").read_text() == "#!/bin/sh"
        assert not os.path.lexists(there.here("fifo"))
        assert there.here("x", 1).read_text() == "1"
        assert (there.sweep.directory / "beside the jobs").read_text() == "y"
        assert there.here("secret").stat().st_uid == os.getuid()
        assert list(there.staging.iterdir()) == []

    def test_hostile_names_come_byte_for_byte(self, there):
        there.act(
            f"for name in {HOSTILE!r}:\n"
            "    os.makedirs('0/d/' + name); open('0/d/' + name + '/' + name, 'w').write('in')\n"
        )
        there.look()
        assert sorted(path.name for path in there.here("d").iterdir()) == sorted(HOSTILE)
        for name in HOSTILE:
            assert (there.here("d") / name / name).read_text() == "in"

    def test_what_was_deleted_there_stays_here(self, there):
        there.act("os.makedirs('0'); open('0/a', 'w').write('a')")
        there.look()
        there.act("os.unlink('0/a'); os.rmdir('0')")
        there.look()
        assert there.here("a").read_text() == "a"

    def test_changes_of_one_size_in_one_moment_are_seen(self, there):
        there.act("os.makedirs('0'); open('0/a', 'w').write('0')")
        for turn in "123":
            there.look()
            there.act(
                f"t = os.stat('0/a').st_mtime_ns; f = open('0/a', 'r+'); f.write({turn!r})\n"
                "f.close(); os.utime('0/a', ns=(t, t))"
            )
        there.look()
        assert there.here("a").read_text() == "3"

    def test_what_is_renamed_with_its_folder_is_seen_however_old_it_is(self, there):
        there.act(
            "os.makedirs('0/new.tmp'); open('0/new.tmp/old', 'w').write('old')\n"
            "os.utime('0/new.tmp/old', (10**9, 10**9))"
        )
        there.look()
        there.act("os.rename('0/new.tmp', '0/new')")
        there.look()
        assert there.here("new/old").read_text() == "old"

    def test_what_does_not_change_is_not_fetched_again(self, there, monkeypatch):
        there.act("os.makedirs('0'); open('0/a', 'w').write('a'); os.utime('0/a', (10**9, 10**9))")
        there.look()
        wanted = []
        monkeypatch.setattr(there.transfer, "take", lambda entries: wanted.extend(entries) or "")
        deadline = time.monotonic() + 15.0
        while time.monotonic() < deadline:
            wanted.clear()
            there.look()
            if not wanted:
                break
            time.sleep(0.5)
        assert wanted == []

    def test_an_appended_log_is_never_seen_in_part(self, there):
        there.act("os.makedirs('0'); open('0/log', 'wb').write(b'x' * 3_000_000)")
        there.look()
        seen, done = set(), threading.Event()

        def watch():
            while not done.is_set():
                seen.add(there.here("log").stat().st_size)

        watcher = threading.Thread(target=watch)
        watcher.start()
        there.act("open('0/log', 'ab').write(b'y' * 2_000_000)")
        there.look()
        time.sleep(0.1)
        done.set()
        watcher.join()
        assert seen == {3_000_000, 5_000_000}

    def test_a_file_that_cannot_be_read_costs_no_other(self, there):
        there.act(
            "os.makedirs('0'); open('0/a', 'w').write('a'); open('0/z', 'w').write('z')\n"
            "open('0/shut', 'w').write('s'); os.chmod('0/shut', 0)"
        )
        there.look()
        assert there.exchange.problem
        assert (there.here("a").read_text(), there.here("z").read_text()) == ("a", "z")
        there.tell(0, "completed")
        for _ in range(exchange.TRIES):
            _, ended = there.look()
        assert ended[0].state is JobState.COMPLETED
        assert jobs.read(there.jobs[0].directory).state is JobState.COMPLETED

    def test_a_full_disk_here_is_said_and_nothing_is_taken_for_fetched(
        self, there, tmp_path, monkeypatch
    ):
        there.act("os.makedirs('0'); open('0/a', 'wb').write(b'a' * 100_000)")

        def full(*arguments, **more):
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(there.transfer, "_take_rsync", full)
            patch.setattr(there.transfer, "_take_tar", full)
            with pytest.raises(OSError, match="No space left"):
                there.look()
        there.look()
        assert there.here("a").stat().st_size == 100_000


class TestStates:
    def test_a_job_has_ended_here_only_with_all_its_files(self, there):
        there.act("os.makedirs('0'); open('0/a', 'w').write('early')")
        there.tell(0, "running")
        stands, ended = there.look()
        assert stands[0].alive
        assert ended == {}
        assert jobs.read(there.jobs[0].directory).state is JobState.RUNNING
        there.act("open('0/a', 'w').write('late!')")
        there.tell(0, "completed")
        _, ended = there.look()
        assert ended[0].state is JobState.COMPLETED
        assert jobs.read(there.jobs[0].directory).state is JobState.COMPLETED
        assert there.here("a").read_text() == "late!"

    def test_a_final_state_waits_until_the_host_has_told_the_end(self, there):
        there.tell(0, "running")
        there.look()
        there.act(
            "s = json.load(open('0/.launchkit/state.json')); s['state'] = 'completed'\n"
            "json.dump(s, open('0/.launchkit/state.json', 'w'))"
        )
        assert there.look()[1] == {}
        assert jobs.read(there.jobs[0].directory).state is JobState.RUNNING
        there.tell(0, "completed")
        assert there.look()[1].keys() == {0}
        assert jobs.read(there.jobs[0].directory).state is JobState.COMPLETED

    def test_an_end_is_told_once(self, there):
        there.tell(0, "failed")
        assert there.look()[1].keys() == {0}
        there.exchange.settle([0])
        there.tell(1, "completed")
        assert there.look()[1].keys() == {1}

    def test_what_is_there_of_a_job_that_has_ended_does_not_come_back(self, there):
        there.tell(0, "failed")
        there.look()
        there.exchange.settle([0])
        jobs.renew(there.jobs[0])
        there.look()
        assert jobs.read(there.jobs[0].directory).attempt == 2
        there.exchange.hand_over([there.jobs[0]], known=[0])
        there.look()
        assert jobs.read(there.jobs[0].directory).attempt == 2
        state = there.base / there.remote.name / "0" / ".launchkit" / "state.json"
        assert '"attempt": 2' in state.read_text()

    def test_a_host_that_is_gone_leaves_states_as_they_are_there(self, there):
        there.tell(0, "running")
        there.act("os.unlink('.launchkit/remote/0.pid')")
        stands, _ = there.look()
        assert (stands[0].alive, stands[0].code) == (False, None)
        there.act("open('.launchkit/remote/0.code', 'w').write('5\\n')")
        stands, _ = there.look()
        assert (stands[0].alive, stands[0].code) == (False, 5)


class TestGoingThere:
    def test_what_a_job_had_written_is_there_when_it_goes_on(self, tmp_path, connection, request):
        for rsync in (True, False):
            made = There(tmp_path / str(rsync), connection, rsync=rsync)
            for name in HOSTILE:
                path = made.here(f"d/{name}/{name}")
                path.parent.mkdir(parents=True)
                path.write_text("in")
            made.here("big").write_bytes(os.urandom(2_000_000))
            made.here("link").symlink_to("big")
            made.here("empty").touch()
            os.link(made.here("big"), made.here("hard"))
            made.begin()
            own = made.base / made.remote.name / "0"
            for name in HOSTILE:
                assert (own / "d" / name / name).read_text() == "in"
            assert (own / "big").read_bytes() == made.here("big").read_bytes()
            assert (own / "hard").read_bytes() == made.here("big").read_bytes()
            assert (own / "link").readlink() == Path("big")
            assert (own / "empty").stat().st_size == 0
            assert own.stat().st_uid == home().stat().st_uid
            assert list((made.base / ".incoming").iterdir()) == []
        connection.run("cd && rm -rf '.cache/lk test'")

    def test_what_went_there_does_not_come_back_as_news(self, there, monkeypatch):
        there.here("a").parent.mkdir(exist_ok=True)
        there.here("a").write_text("a")
        there.exchange.hand_over(there.jobs, known=())
        monkeypatch.setattr(there.transfer, "take", lambda entries: taken.extend(entries) or "")
        taken: list = []
        there.look()
        assert [entry.name for entry in taken if entry.kind != "d"] == []

    def test_what_is_asked_comes_after_what_it_is_about_and_only_if_new(self, there, monkeypatch):
        (there.sweep.own / "payload.pkl").write_bytes(b"p")
        put = []
        original = there.transfer.put
        monkeypatch.setattr(
            there.transfer, "put", lambda names, wiped=(): put.append(names) or original(names)
        )
        asks.ask(there.sweep, 0, asks.Ask(run=(1,)))
        there.exchange.send_shared([0])
        first, second = [[name.rpartition(b"/")[2].decode() for name in names] for names in put]
        assert sorted(first) == ["jobs.jsonl", "payload.pkl", "sweep.json"]
        assert second == ["0.jsonl"]
        put.clear()
        there.exchange.send_shared([0])
        assert put == []
        asks.ask(there.sweep, 0, asks.Ask(cancel=(1,)))
        there.exchange.send_shared([0])
        assert len(put) == 1
        far = there.base / there.remote.name / ".launchkit" / "asks" / "0.jsonl"
        assert far.read_text() == asks.path_of(there.sweep, 0).read_text()

    @settings(
        max_examples=15,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    @given(st.data())
    def test_any_names_go_there_and_come_back(self, there, data):
        letters = st.characters(exclude_characters="/\0", exclude_categories=["Cs"])
        names = data.draw(
            st.sets(st.text(letters, min_size=1, max_size=20), min_size=1, max_size=5)
        )
        names = {name for name in names if name not in (".", "..") and len(name.encode()) < 100}
        shutil.rmtree(there.here(""), ignore_errors=True)
        there.here("").mkdir()
        for name in names:
            there.here(name).write_bytes(name.encode())
        there.connection.run(there.remote.wipe([f"{there.remote.name}/0"]))
        there.exchange.forget()
        there.exchange.hand_over([there.jobs[0]], known=())
        shutil.rmtree(there.here(""))
        there.exchange.forget()
        there.look()
        assert {path.name: path.read_bytes() for path in there.here("").iterdir()} == (
            {name: name.encode() for name in names}
        )


class TestInterruptions:
    @pytest.mark.parametrize("rsync", [True, False], ids=["rsync", "tar"])
    def test_a_transfer_that_is_cut_leaves_no_half_a_file(self, tmp_path, rsync):
        with relay() as way:
            made_connection = Connection(replace(ROUTE, args=tuple(way.args)))
            made = There(tmp_path, made_connection, rsync=rsync)
            try:
                pretend_that_a_host_runs(made)
                made.begin()
                made.act(
                    "os.makedirs('0')\n"
                    "for i in range(8): open(f'0/{i}', 'wb').write(os.urandom(30_000_000))"
                )
                threading.Timer(0.7, way.cut).start()
                with pytest.raises(ConnectionLost):
                    while True:
                        made.look()
                        made.exchange.forget()
                sizes = {path.stat().st_size for path in made.here("").glob("*")}
                assert sizes <= {30_000_000}
                way.mend()
                made.look()
                far = made.base / made.remote.name / "0"
                for i in range(8):
                    assert made.here(str(i)).read_bytes() == (far / str(i)).read_bytes()
            finally:
                way.mend()
                made_connection.run("cd && rm -rf '.cache/lk test'")
                made_connection.close()

    @pytest.mark.parametrize("rsync", [True, False], ids=["rsync", "tar"])
    def test_a_way_there_that_is_cut_leaves_no_half_a_file_either(self, tmp_path, rsync):
        with relay() as way:
            made_connection = Connection(replace(ROUTE, args=tuple(way.args)))
            made = There(tmp_path, made_connection, rsync=rsync)
            try:
                for i in range(4):
                    made.here(str(i)).parent.mkdir(exist_ok=True)
                    made.here(str(i)).write_bytes(os.urandom(60_000_000))
                threading.Timer(0.5, way.cut).start()
                with pytest.raises(ConnectionLost):
                    while True:
                        made.begin()
                        made.connection.run(made.remote.wipe([f"{made.remote.name}/0"]))
                own = made.base / made.remote.name / "0"
                sizes = {path.stat().st_size for path in own.glob("*")} if own.exists() else set()
                assert sizes <= {60_000_000}
                way.mend()
                made.begin()
                for i in range(4):
                    assert made.here(str(i)).read_bytes() == (own / str(i)).read_bytes()
            finally:
                way.mend()
                made_connection.run("cd && rm -rf '.cache/lk test'")
                made_connection.close()
