"""Connections to a real sshd: what goes over them, how they end, and who is refused."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
import testbed
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ssh_testbed import CONFIG, ROUTE, relay

from launchkit.outside import remote, ssh_host
from launchkit.outside.listing import Look
from launchkit.outside.remote import Remote
from launchkit.outside.ssh import CommandFailed, Connection
from launchkit.outside.ssh_route import ConnectionLost, Route, explain
from launchkit.outside.ssh_settings import SshSettings

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.ssh


@pytest.fixture
def connection():
    made = Connection(ROUTE)
    yield made
    made.close()


@pytest.fixture(scope="module")
def shared():
    made = Connection(ROUTE)
    yield made
    made.close()


def masters(made: Connection) -> list[int]:
    """Return the processes of ssh that hold a connection."""
    wanted = os.fsencode(f"ControlPath={made.folder}/s")
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = path.read_bytes().split(b"\0")
            if wanted in words and b"ControlMaster=yes" in words:
                found.append(int(path.parent.name))
    return found


def runs(pid: int) -> bool:
    """Tell whether a process runs; one whose end nobody has noted yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


class TestAConnection:
    def test_scripts_run_there_and_say_what_they_print(self, connection):
        assert connection.run("id -un") == f"{testbed.TEST_USER}\n".encode()

    def test_a_script_reads_what_it_is_given_to_the_last_byte(self, connection):
        data = bytes(range(256)) * 5000
        assert connection.run("cat", data) == data

    @settings(
        max_examples=25,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    @given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
    def test_no_text_in_a_script_reaches_a_shell_unquoted(self, shared, text):
        said = shared.run(f"printf %s {shlex.quote(text)}")
        assert said == text.encode()

    def test_the_commands_share_one_connection(self, connection):
        connection.run("true")
        (master,) = masters(connection)
        for _ in range(3):
            connection.run("true")
        assert masters(connection) == [master]

    @pytest.mark.parametrize("code", [1, 3, 97, 254])
    def test_a_command_that_fails_is_no_lost_connection(self, connection, code):
        with pytest.raises(CommandFailed, match="what was wrong") as caught:
            connection.run(f"echo first >&2; echo what was wrong >&2; exit {code}")
        assert caught.value.code == code
        assert connection.run("echo on") == b"on\n"

    def test_nothing_is_left_when_it_is_closed(self, connection):
        connection.run("true")
        folder, (master,) = connection.folder, masters(connection)
        connection.close()
        assert not folder.exists()
        assert not Path(f"/proc/{master}").exists()

    def test_nobody_else_may_use_it(self, connection):
        connection.run("true")
        assert connection.folder.stat().st_mode & 0o777 == 0o700
        assert len(str(connection.folder)) < 80

    def test_a_long_temporary_directory_does_not_matter(self, tmp_path, monkeypatch):
        folder = tmp_path / ("x" * 100)
        folder.mkdir()
        monkeypatch.setattr("tempfile.tempdir", str(folder))
        made = Connection(ROUTE)
        try:
            assert made.run("echo in") == b"in\n"
        finally:
            made.close()

    def test_it_ends_with_a_launcher_that_is_killed(self):
        program = (
            "import sys, time\n"
            "from launchkit.outside.ssh import Connection\n"
            "from launchkit.outside.ssh_route import Route\n"
            f"made = Connection(Route({ROUTE.host!r}, {CONFIG!r}))\n"
            "made.open()\nprint(made._master.pid, made.folder, flush=True)\ntime.sleep(1000)\n"
        )
        launcher = subprocess.Popen(
            [sys.executable, "-c", program],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert launcher.stdout is not None
        master, folder = launcher.stdout.readline().split()
        launcher.kill()
        launcher.communicate()
        deadline = time.monotonic() + 10.0
        while runs(int(master)) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not runs(int(master))
        shutil.rmtree(folder)  # which the warden removes for a sweep


class TestALostConnection:
    def test_it_is_made_anew_when_its_process_was_killed(self, connection):
        connection.run("true")
        (master,) = masters(connection)
        os.kill(master, signal.SIGKILL)
        for _ in range(3):
            with contextlib.suppress(ConnectionLost):
                assert connection.run("echo again") == b"again\n"
                break
        else:
            raise AssertionError("it was not made anew")
        assert masters(connection) != [master]

    def test_a_command_in_the_middle_is_told_from_one_that_failed(self):
        with relay() as way:
            made = Connection(replace(ROUTE, args=tuple(way.args)))
            try:
                made.open()
                threading.Timer(0.3, way.cut).start()
                begun = time.monotonic()
                with pytest.raises(ConnectionLost):
                    made.run("sleep 1000")
                assert time.monotonic() - begun < 20
                with pytest.raises(ConnectionLost):
                    made.run("echo no")
                way.mend()
                assert made.run("echo yes") == b"yes\n"
            finally:
                made.close()

    def test_no_answer_for_long_is_a_lost_connection(self, connection):
        with pytest.raises(ConnectionLost, match=r"no answer in 0\.5 s"):
            connection.run("sleep 1000", timeout=0.5)
        assert connection.run("echo again") == b"again\n"

    def test_an_answer_that_is_not_whole_is_one_too(self, connection):
        whole = connection.run(
            "{ echo now 7; echo pack 3 gone 0; echo files; printf 'end\\0'; } | gzip -1"
        )
        assert Look.parse(b"the login shell's say\n" + whole).now == 7
        for end in (0, 5, len(whole) // 2, len(whole) - 9):
            with pytest.raises(ConnectionLost):
                Look.parse(whole[:end])


def refusal(host: str, **more) -> str:
    made = Connection(Route(host, CONFIG, **more))
    try:
        with pytest.raises(ConnectionLost) as caught:
            made.run("true")
        return explain(made.route, caught.value)
    finally:
        made.close()


class TestWhoDoesNotLetUsIn:
    @pytest.mark.parametrize(
        ("host", "said", "way"),
        [
            (testbed.SSH_UNKNOWN_HOST, "Host key verification failed", "compare the key's"),
            (testbed.SSH_DENIED_HOST, "Permission denied", "a key in your agent"),
            (testbed.SSH_CLOSED_HOST, "Connection refused", "is sshd running there"),
            ("no-such-host.invalid", "Could not resolve hostname", "check the name"),
        ],
    )
    def test_the_host_the_reason_and_the_way_out_are_named(self, host, said, way):
        text = refusal(host)
        assert repr(host) in text
        assert said in text
        assert way in text

    def test_a_host_with_another_key_than_it_had(self, tmp_path):
        known, key = tmp_path / "known", tmp_path / "key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        words = Path(f"{key}.pub").read_text().split()
        known.write_text(f"launchkit-testbed {words[0]} {words[1]}\n")
        text = refusal(testbed.SSH_HOST, args=(f"-oUserKnownHostsFile={known}",))
        assert "the host has another key than it had" in text
        assert "ssh-keygen -R" in text

    def test_the_users_own_settings_are_not_made_weaker(self, tmp_path):
        options = Route("any", CONFIG).options()
        assert not any("StrictHostKeyChecking" in option for option in options)
        strict = refusal(testbed.SSH_UNKNOWN_HOST, args=("-oStrictHostKeyChecking=yes",))
        assert "unknown" in strict or "Host key verification failed" in strict
        known = tmp_path / "known"
        route = Route(
            testbed.SSH_UNKNOWN_HOST,
            CONFIG,
            ("-oStrictHostKeyChecking=accept-new", f"-oUserKnownHostsFile={known}"),
        )
        made = Connection(route)
        try:
            assert made.run("echo in") == b"in\n"
        finally:
            made.close()


class TestWhatThereIs:
    def test_a_jump_host_and_the_root_account_are_reached_alike(self):
        for host, user in (
            (testbed.SSH_JUMP_HOST, testbed.TEST_USER),
            (testbed.SSH_ROOT_HOST, "root"),
        ):
            made = Connection(Route(host, CONFIG))
            try:
                assert made.run("id -un").decode() == f"{user}\n"
            finally:
                made.close()

    def test_looking_around_says_what_there_is_and_leaves_nothing(self, connection):
        settings = SshSettings(host=ROUTE.host, ssh_config=CONFIG, remote_dir="a/b'c/d")
        there = ssh_host.look_around(connection, settings)
        assert {"gzip", "setsid", "find-printf", "tar-null", "rsync"} <= there.programs
        assert there.unwritable == ""
        assert there.room_kb > 1000
        assert there.python.startswith("{")
        ssh_host.check(there, settings, [], 0)
        assert connection.run("cd; ls -d a 2>/dev/null || echo none") == b"none\n"

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"remote_dir": "/proc/sweeps"}, "may not write to /proc"),
            ({"remote_dir": "/etc/sweeps"}, "may not write to /etc"),
            ({"python": "/no/python"}, "has no /no/python; set python"),
            ({"python": "/bin/false"}, "has no Python that runs"),
            ({"gpus": "auto"}, "has no NVIDIA GPU"),
            ({"gpus_per_job": 2}, "has no NVIDIA GPU"),
            ({"image": "no-such-image:at-all"}, "no-such-image:at-all"),
        ],
    )
    def test_what_a_host_lacks_is_named_with_its_value(self, connection, change, said):
        settings = SshSettings(host=ROUTE.host, ssh_config=CONFIG, **change)
        there = ssh_host.look_around(connection, settings)
        with pytest.raises(ValueError, match=said.replace("(", r"\(")):
            ssh_host.check(there, settings, [], 0)

    def test_no_room_is_seen_before_anything_goes_there(self, connection):
        settings = SshSettings(host=ROUTE.host, ssh_config=CONFIG)
        there = ssh_host.look_around(connection, settings)
        with pytest.raises(ValueError, match=r"has room for .* MB; the sweep needs"):
            ssh_host.check(there, settings, [], 10**16)

    def test_a_process_id_that_is_anothers_by_now_is_not_taken_for_the_hosts(self, connection):
        script = remote.ALIVE + (
            "boot=$(cat /proc/sys/kernel/random/boot_id); stat=$(cat /proc/$$/stat)\n"
            "pid=$$; set -- ${stat##*) }; start=${20}\n"
            'alive $pid $start $boot && echo "itself"\n'
            'alive $pid 1$start $boot || echo "another"\n'
            'alive $pid $start other || echo "before a reboot"\n'
            'alive 4194999 1 $boot || echo "gone"\n'
        )
        said = connection.run(script).decode().splitlines()
        assert said == ["itself", "another", "before a reboot", "gone"]

    def test_what_is_not_there_is_said_by_a_code_of_its_own(self, connection):
        with pytest.raises(CommandFailed) as caught:
            connection.run(Remote("./no/such", "sweep").look({}))
        assert caught.value.code == remote.NOT_THERE_CODE
