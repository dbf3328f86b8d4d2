"""The scripts that a host is sent by ssh: as they were read, and in any shell."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from golden_files import check_golden

from launchkit.outside import remote
from launchkit.outside.listing import Look
from launchkit.outside.remote import NOT_THERE_CODE, Remote

PLAIN = Remote("./.cache/launchkit/20260101-120000-abcdef-12345678", "a sweep's")
SCRIPTS = {
    "ssh_make.sh": PLAIN.make(),
    "ssh_receive.sh": PLAIN.receive(["a sweep's/3/.launchkit"]),
    "ssh_unpack.sh": PLAIN.unpack("archive.dar"),
    "ssh_start.sh": PLAIN.start(0, "20260101-120000-abcdef"),
    "ssh_look.sh": PLAIN.look({0: 0, 4: 120}),
    "ssh_send.sh": PLAIN.send(),
    "ssh_kill.sh": PLAIN.kill("20260101-120000-abcdef"),
    "ssh_kill_containers.sh": PLAIN.kill("20260101-120000-abcdef", containers=True),
    "ssh_remove.sh": PLAIN.remove(),
    "ssh_probe.sh": remote.probe(".cache/launchkit", "echo python", ("gzip", "rsync")),
}
SHELLS = [
    [found, *more]
    for shell, *more in (["dash"], ["bash", "--posix"], ["busybox", "sh"])
    if (found := shutil.which(shell))
]
EACH_SHELL = pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: Path(shell[0]).name)


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_script_is_the_one_that_was_read(name):
    check_golden(name, SCRIPTS[name])


@pytest.mark.parametrize("name", SCRIPTS)
@EACH_SHELL
def test_the_script_is_good_syntax(name, shell):
    done = subprocess.run(
        [*shell, "-n"], input=SCRIPTS[name], text=True, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def run(shell, script, home: Path, **more) -> subprocess.CompletedProcess:
    return subprocess.run(
        [*shell, "-c", script],
        capture_output=True,
        check=False,
        env={**os.environ, "HOME": str(home), "LC_ALL": "C.UTF-8"},
        **more,
    )


@EACH_SHELL
class TestInAnyShell:
    def test_a_directory_is_made_looked_at_and_removed(self, shell, tmp_path):
        assert run(shell, PLAIN.make(), tmp_path).returncode == 0
        base = tmp_path / PLAIN.base
        assert base.stat().st_mode & 0o777 == 0o700
        (base / PLAIN.name / "0").mkdir()
        (base / PLAIN.name / "0" / "new\nline").write_text("12345")
        own = base / PLAIN.name / ".launchkit"
        (own / "secret").write_text("of the sweep")
        (own / "carriers" / "0.log").write_text("said")
        (own / "asks" / "0.ended").write_text("first\nsecond\n")
        done = run(shell, PLAIN.look({0: 6}), tmp_path)
        look = Look.parse(done.stdout)
        assert (look.packs[0].alive, look.packs[0].code) == (False, None)
        assert look.packs[0].told == b"second\n"
        sizes = {entry.name.decode(): entry.size for entry in look.entries if entry.kind == "f"}
        assert sizes == {
            f"{PLAIN.name}/0/new\nline": 5,
            f"{PLAIN.name}/.launchkit/carriers/0.log": 4,
        }
        assert list((base / remote.INCOMING).iterdir()) == []
        assert run(shell, PLAIN.remove(), tmp_path).returncode == 0
        assert not base.exists()

    def test_what_is_not_there_has_a_code_of_its_own(self, shell, tmp_path):
        for script in (PLAIN.look({}), PLAIN.send(), PLAIN.kill("id"), PLAIN.receive()):
            assert run(shell, script, tmp_path, input=b"").returncode == NOT_THERE_CODE

    def test_code_is_unpacked_once_and_not_to_be_written_to(self, shell, tmp_path):
        run(shell, PLAIN.make(), tmp_path)
        own = tmp_path / PLAIN.base / PLAIN.name / ".launchkit"
        archive = own / "archive.dar"
        archive.write_text(
            "mkdir -p unpacking/deps; echo code >unpacking/deps/code; echo >>times\n"
        )
        for _ in range(2):
            done = run(shell, PLAIN.unpack("archive.dar"), tmp_path)
            assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
        assert (own / "times").read_text() == "\n"
        for path in (own / "unpacked/deps", own / "unpacked/deps/code"):
            assert not path.stat().st_mode & 0o222
        assert run(shell, PLAIN.make(), tmp_path).returncode == 0
        assert not (own / "unpacked").exists()

    def test_an_archive_that_cannot_be_unpacked_is_said_with_the_room(self, shell, tmp_path):
        run(shell, PLAIN.make(), tmp_path)
        own = tmp_path / PLAIN.base / PLAIN.name / ".launchkit"
        (own / "archive.dar").write_text("mkdir unpacking; echo half >unpacking/x; exit 1\n")
        done = run(shell, PLAIN.unpack("archive.dar"), tmp_path)
        assert done.returncode == 1
        assert b"the archive cannot be unpacked; free there, in kB: " in done.stderr
        assert not (own / "unpacked").exists()

    def test_a_host_is_started_once_and_its_exit_code_is_kept(self, shell, tmp_path):
        run(shell, PLAIN.make(), tmp_path)
        own = tmp_path / PLAIN.base / PLAIN.name / ".launchkit"
        (own / "unpacked").mkdir()
        script = own / "unpacked" / "final_script.sh"
        script.write_text(
            'echo "$1 $LAUNCHKIT_TAG ${LC_ALL:-}" >>ran; sleep 0.3; echo said >&2; exit 7\n'
        )
        for _ in range(2):
            assert run(shell, PLAIN.start(3, "id"), tmp_path).returncode == 0
            pack = Look.parse(run(shell, PLAIN.look({3: 0}), tmp_path).stdout).packs[3]
            assert pack.alive
        assert (own / "asks" / "3.lease").exists()
        while pack.alive:
            pack = Look.parse(run(shell, PLAIN.look({3: 0}), tmp_path).stdout).packs[3]
        assert pack.code == 7
        status = own.stat()
        assert (own / "ran").read_text() == f"3 id.{status.st_dev:x}.{status.st_ino:x} C.UTF-8\n"
        assert (own / "carriers" / "3.log").read_text() == "said\n"

    def test_whatever_a_host_has_started_is_ended(self, shell, tmp_path):
        run(shell, PLAIN.make(), tmp_path)
        own = tmp_path / PLAIN.base / PLAIN.name / ".launchkit"
        (own / "unpacked").mkdir()
        (own / "unpacked" / "final_script.sh").write_text(
            "setsid sleep 1000 & echo $! >pid; sleep 1000\n"
        )
        run(shell, PLAIN.start(0, "id"), tmp_path)
        while not (own / "pid").exists() or not (own / "pid").read_text():
            pass
        done = run(shell, PLAIN.kill("id"), tmp_path)
        assert (done.returncode, done.stderr) == (0, b"")
        pid = int((own / "pid").read_text())
        stat = Path(f"/proc/{pid}/stat")
        assert not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] in "ZX"
        pack = Look.parse(run(shell, PLAIN.look({0: 0}), tmp_path).stdout).packs[0]
        assert not pack.alive
