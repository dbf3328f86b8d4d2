"""`launchkit doodad install`: a clone at the pinned commit, whole or not there at all."""

from __future__ import annotations

import os
import shutil
import socket
import time
from pathlib import Path

import pytest
from doodad_trees import Machine, git, launcher, namesake

from launchkit import cli
from launchkit.doodad import engine, install
from launchkit.doodad.install import InstallError


@pytest.fixture
def clone(checkout: Path, tmp_path: Path) -> Path:
    """A clone to install from."""
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", "--no-local", str(checkout), str(clone))
    return clone


def left(machine: Machine) -> list[str]:
    """Return what there is in launchkit's part of the data directory."""
    folder = machine.installed.parent
    return sorted(os.listdir(folder)) if folder.exists() else []


@pytest.mark.doodad
@pytest.mark.parametrize("form", ["path", "relative", "url"])
def test_it_is_installed_from_a_clone(clone: Path, machine: Machine, form: str) -> None:
    machine.monkeypatch.chdir(clone.parent)
    source = {"path": str(clone), "relative": "clone", "url": clone.as_uri()}[form]
    done = install.install(source)
    assert done == (machine.installed, "", True)
    assert git(machine.installed, "rev-parse", "HEAD").strip() == engine.PINNED
    assert git(machine.installed, "status", "--porcelain") == ""
    assert git(machine.installed, "remote") == ""
    assert engine.find() == machine.installed
    assert left(machine) == ["doodad"]


@pytest.mark.doodad
def test_what_is_installed_works(clone: Path, machine: Machine) -> None:
    install.install(str(clone))
    shutil.rmtree(clone)
    engine.check()
    assert engine.load().root == machine.installed


@pytest.mark.doodad
def test_one_that_is_there_and_right_stays_as_it_is(clone: Path, machine: Machine) -> None:
    install.install(str(clone))
    before = machine.installed.stat().st_ino
    engine.load()  # which leaves compiled files behind
    # Nothing is cloned: the source need not even be there.
    assert install.install("/no/such/clone") == (machine.installed, "", False)
    assert machine.installed.stat().st_ino == before


def _lose_a_file(root: Path) -> None:
    (root / "doodad" / "mount.py").unlink()


def _lose_a_bit(root: Path) -> None:
    (root / "doodad" / "darchive" / "makeself.sh").chmod(0o644)


def _spoil_an_object(root: Path) -> None:
    for pack in root.glob(".git/objects/pack/*.pack"):
        pack.chmod(0o600)
        data = bytearray(pack.read_bytes())
        data[len(data) // 2] ^= 0xFF
        pack.write_bytes(data)


def _go_elsewhere(root: Path) -> None:
    git(root, "checkout", "--quiet", "HEAD~1")


def _become_empty(root: Path) -> None:
    shutil.rmtree(root)
    root.mkdir()


def _become_a_file(root: Path) -> None:
    shutil.rmtree(root)
    root.write_text("")


def _become_a_dangling_link(root: Path) -> None:
    shutil.rmtree(root)
    root.symlink_to("nowhere")


@pytest.mark.doodad
@pytest.mark.parametrize(
    "damage",
    [
        *(_lose_a_file, _lose_a_bit, _spoil_an_object, _go_elsewhere),
        *(_become_empty, _become_a_file, _become_a_dangling_link),
    ],
)
def test_one_that_is_damaged_is_replaced(clone: Path, machine: Machine, damage: object) -> None:
    install.install(str(clone))
    assert callable(damage)
    damage(machine.installed)
    done = install.install(str(clone))
    assert done.new and done.before
    assert install.problem(machine.installed) == ""
    assert left(machine) == ["doodad"]


@pytest.mark.doodad
def test_a_damaged_one_is_kept_where_no_other_can_be_had(clone: Path, machine: Machine) -> None:
    install.install(str(clone))
    (machine.installed / "mine").write_text("precious")
    with pytest.raises(InstallError, match="does not exist"):
        install.install("/no/such/clone")
    assert (machine.installed / "mine").read_text() == "precious"
    assert left(machine) == ["doodad"]


@pytest.mark.doodad
def test_an_installer_that_was_slower_than_another_is_content(
    clone: Path, machine: Machine
) -> None:
    install.install(str(clone))
    take_name = install._take_name
    slower = machine.base / "slower"
    git(machine.base, "clone", "--quiet", str(clone), str(slower))

    # The other one's appears between the two steps of taking the name.
    def race(path: Path, target: Path) -> Path:
        if path == slower:
            shutil.copytree(clone, machine.installed)
            git(machine.installed, "checkout", "--quiet", engine.PINNED)
        os.rename(path, target)
        return target

    machine.monkeypatch.setattr(Path, "rename", race)
    take_name(slower, machine.installed, machine.base / "old")
    assert install.problem(machine.installed) == ""


@pytest.mark.doodad
def test_a_name_that_cannot_be_taken_leaves_what_was_there(clone: Path, machine: Machine) -> None:
    machine.installed.mkdir(parents=True)
    (machine.installed / "mine").write_text("precious")
    with pytest.raises(FileNotFoundError):
        install._take_name(machine.base / "vanished", machine.installed, machine.base / "old")
    assert (machine.installed / "mine").read_text() == "precious"


@pytest.mark.doodad
def test_a_clone_that_is_spoilt_is_refused(clone: Path, machine: Machine) -> None:
    _spoil_an_object(clone)
    with pytest.raises(InstallError):
        install.install(str(clone))
    assert left(machine) == []


def test_another_project_has_not_the_commit(machine: Machine) -> None:
    other = namesake(machine.base / "other")
    git(other, "init", "--quiet")
    git(other, "add", ".")
    git(other, "commit", "--quiet", "--message", "all")
    with pytest.raises(InstallError, match=f"{other} has no commit 0be5a3f"):
        install.install(str(other))
    assert left(machine) == []


@pytest.mark.parametrize("source", ["", "--upload-pack=touch x", "-c"])
def test_a_source_is_no_option(machine: Machine, source: str) -> None:
    with pytest.raises(InstallError, match="neither a URL nor a directory"):
        install.install(source)


def test_a_password_is_not_shown(machine: Machine) -> None:
    # Nothing listens on port 1.
    with pytest.raises(InstallError) as refusal:
        install.install("https://me:s3cret@127.0.0.1:1/doodad")
    assert "s3cret" not in str(refusal.value)
    assert "127.0.0.1" in str(refusal.value)


def test_without_git_that_is_said(machine: Machine) -> None:
    machine.monkeypatch.setenv("PATH", str(machine.base))
    with pytest.raises(InstallError, match=r"git cannot be started: .*; install git"):
        install.install("/no/such/clone")
    assert left(machine) == []


def test_a_server_that_says_nothing_costs_a_limited_time(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(install, "CLONE_S", 1.0)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        began = time.monotonic()
        with pytest.raises(InstallError, match=r"not there within 1 s.*--from"):
            install.install(f"http://127.0.0.1:{silent.getsockname()[1]}/doodad")
        # It was ended with all it had started: git's own child held the connection.
        silent.settimeout(10)
        connection, _ = silent.accept()
        with connection:
            connection.settimeout(10)
            while connection.recv(4096):
                pass
    assert time.monotonic() - began < 15
    assert left(machine) == []


def test_a_place_that_cannot_be_written_is_named(machine: Machine) -> None:
    machine.data.write_text("a file")
    with pytest.raises(InstallError, match=f"cannot install into {machine.installed}"):
        install.install("/no/such/clone")


def test_without_a_home_there_is_no_place(machine: Machine) -> None:
    machine.monkeypatch.setattr(engine, "installed", lambda: None)
    with pytest.raises(InstallError, match="XDG_DATA_HOME"):
        install.install("/no/such/clone")


def test_what_a_killed_installer_left_is_removed(machine: Machine) -> None:
    parent = machine.installed.parent
    stale, fresh = parent / ".doodad-install-stale", parent / ".doodad-install-fresh"
    for folder in (stale, fresh):
        folder.mkdir(parents=True)
    os.utime(stale, (0, 0))
    with pytest.raises(InstallError):
        install.install("/no/such/clone")
    assert left(machine) == [fresh.name]


@pytest.mark.doodad
def test_the_command_installs_once_and_shows_what_is_there(
    clone: Path, machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["doodad"]) == 1
    assert "not found: launchkit doodad install" in capsys.readouterr().out
    assert cli.main(["doodad", "install", "--from", str(clone)]) == 0
    assert capsys.readouterr().out.startswith(f"installed: {machine.installed}\n")
    assert cli.main(["doodad", "install"]) == 0
    assert capsys.readouterr().out.startswith(f"there already: {machine.installed}\n")
    assert cli.main(["doodad", "show"]) == 0
    shown = f"{machine.installed}, installed, commit {engine.PINNED[:7]}, the pinned one\n"
    assert capsys.readouterr().out == shown
    _lose_a_file(machine.installed)
    assert cli.main(["doodad", "install", "--from", str(clone)]) == 0
    assert f"replaced what was in {machine.installed}" in capsys.readouterr().out


def test_the_command_fails_truly(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["doodad", "install", "--from", "/no/such/clone"]) == 1
    assert "launchkit: cannot clone /no/such/clone: " in capsys.readouterr().err
    with pytest.raises(SystemExit) as stop:
        cli.main(["doodad", "--from", "/no/such/clone"])
    assert stop.value.code == 2
    machine.names(launcher(machine.base / "named" / "doodad").parent)
    assert cli.main(["doodad"]) == 0
    machine.names("/no/such/checkout")
    assert cli.main(["doodad"]) == 1
    assert "LAUNCHKIT_DOODAD is '/no/such/checkout'" in capsys.readouterr().out
