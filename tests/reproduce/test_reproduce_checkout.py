"""`launchkit reproduce --checkout`: what ran is there again, byte for byte."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import user_repository
from user_repository import commit, disturb, everything, git, tree, wipe

from launchkit.code import code_snapshot
from launchkit.code.checkout import BESIDE, CheckoutError, prepare
from launchkit.code.code_snapshot import CodeSnapshot
from launchkit.sweep import Sweep

Reproduce = Callable[..., int]
ROOT = Path(__file__).parents[2]


def environment() -> dict[str, str]:
    path = os.pathsep.join((os.path.dirname(sys.executable), os.environ["PATH"]))
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}


def run_program(cwd: Path, *arguments: str) -> str:
    done = subprocess.run(
        arguments, cwd=cwd, env=environment(), capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def snapshot_of(directory: Path, base: Path, monkeypatch: pytest.MonkeyPatch) -> CodeSnapshot:
    sweep = Sweep.create(base / "sweep", mode="local", settings={}, command=["train.py"])
    monkeypatch.setattr(code_snapshot, "program_directory", lambda: directory)
    code_snapshot.save(sweep)
    return code_snapshot.load(sweep)


def result_in(output: str) -> object:
    return ast.literal_eval(re.search(r"RESULT (.*)", output)[1])


@pytest.fixture
def users(tmp_path: Path) -> Path:
    return user_repository.make(tmp_path / "base")


def test_a_sweep_of_uncommitted_code_runs_again_in_a_checkout(
    users: Path,
    tmp_path: Path,
    reproduce: Reproduce,
    capsys: pytest.CaptureFixture[str],
) -> None:
    disturb(users)
    before = tree(users)
    index = (users / ".git" / "index").read_bytes()
    run_program(
        users, sys.executable, "train.py", "-m", "hydra/launcher=launchkit_local",
        "hydra.sweep.dir=multirun/mine", "x=3,4", "name='a b'",
    )  # fmt: skip
    assert (users / ".git" / "index").read_bytes() == index
    shutil.move(users / "multirun" / "mine", tmp_path / "mine")
    wipe(users)
    assert tree(users) != before
    known = everything(users.parent)

    assert reproduce(tmp_path / "mine" / "1", "--checkout", tmp_path / "again") == 0
    assert tree(tmp_path / "again") == before
    assert everything(users.parent) == known
    assert git(tmp_path / "again", "remote", "get-url", "origin") == "https://example.org/users.git"
    assert BESIDE not in git(tmp_path / "again", "status", "--porcelain")

    expected = json.loads((tmp_path / "mine" / "1" / ".launchkit" / "result.json").read_text())
    assert expected[:3] == [40, "a b", 1]
    assert result_in(run_program(tmp_path, str(tmp_path / "again" / BESIDE / "run.sh"))) == expected
    shown = "\n".join(re.findall(r"^    (.+)$", capsys.readouterr().out, re.MULTILINE)[-2:])
    assert result_in(run_program(tmp_path, "sh", "-c", shown)) == expected


def test_it_comes_from_the_remote_where_the_repository_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin = user_repository.new_repository(tmp_path / "origin", train="1\n")
    git(tmp_path, "clone", "--quiet", str(origin), str(tmp_path / "users"))
    (tmp_path / "users" / "train.py").write_text("2\n")
    snapshot = snapshot_of(tmp_path / "users", tmp_path, monkeypatch)
    shutil.rmtree(tmp_path / "users")
    prepare(snapshot, tmp_path / "again", None)
    assert (tmp_path / "again" / "train.py").read_text() == "2\n"


def test_a_commit_that_was_amended_away_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = user_repository.new_repository(tmp_path / "users", train="1\n")
    snapshot = snapshot_of(users, tmp_path, monkeypatch)
    (users / "train.py").write_text("2\n")
    git(users, "commit", "--quiet", "--all", "--amend", "--message", "better")
    prepare(snapshot, tmp_path / "again", None)
    assert (tmp_path / "again" / "train.py").read_text() == "1\n"


def test_a_worktree_of_the_user_may_be_gone_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = user_repository.new_repository(tmp_path / "users", train="1\n")
    git(users, "worktree", "add", "--quiet", str(tmp_path / "linked"))
    (tmp_path / "linked" / "train.py").write_text("2\n")
    snapshot = snapshot_of(tmp_path / "linked", tmp_path, monkeypatch)
    assert snapshot.repositories[0].branch == "linked"
    git(users, "worktree", "remove", "--force", str(tmp_path / "linked"))
    known = everything(users)
    prepare(snapshot, tmp_path / "again", None)
    assert (tmp_path / "again" / "train.py").read_text() == "2\n"
    assert everything(users) == known


def test_before_the_first_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    users = tmp_path / "users"
    users.mkdir()
    git(users, "init", "--quiet")
    (users / "staged.py").write_text("1\n")
    (users / "binary.dat").write_bytes(bytes(range(256)))
    git(users, "add", ".")
    (users / "staged.py").write_text("2\n")
    (users / "untracked.py").write_text("3\n")
    prepare(snapshot_of(users, tmp_path, monkeypatch), tmp_path / "again", None)
    assert tree(tmp_path / "again") == tree(users)


def test_a_conflict_comes_back_as_it_stood_in_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = user_repository.new_repository(tmp_path / "users", train="1\n")
    git(users, "checkout", "--quiet", "-b", "other")
    (users / "train.py").write_text("2\n")
    commit(users)
    git(users, "checkout", "--quiet", "trunk")
    (users / "train.py").write_text("3\n")
    commit(users)
    with pytest.raises(subprocess.CalledProcessError):
        git(users, "merge", "other")
    prepare(snapshot_of(users, tmp_path, monkeypatch), tmp_path / "again", None)
    assert tree(tmp_path / "again") == tree(users)
    assert "<<<<<<<" in (tmp_path / "again" / "train.py").read_text()


CONFIGURED = {
    "apply.whitespace": "fix",
    "apply.ignoreWhitespace": "change",
    "diff.context": "0",
    "diff.noprefix": "true",
    "diff.submodule": "log",
    "diff.renames": "copies",
    "status.showUntrackedFiles": "no",
    "status.relativePaths": "true",
    "core.quotePath": "false",
    "color.ui": "always",
}


def test_whatever_the_user_has_configured(
    users: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disturb(users)
    (users / "staged.txt").write_text("trailing \t \n" * 3)
    for key, value in CONFIGURED.items():
        git(users, "config", "--global", key, value)
    snapshot = snapshot_of(users / "conf", tmp_path, monkeypatch)
    prepare(snapshot, tmp_path / "again", None)
    assert tree(tmp_path / "again") == tree(users)


def test_an_empty_directory_will_do_and_any_other_is_left_alone(
    users: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = snapshot_of(users, tmp_path, monkeypatch)
    (tmp_path / "empty").mkdir()
    prepare(snapshot, tmp_path / "empty", None)
    assert tree(tmp_path / "empty") == tree(users)
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "file").touch()
    for taken in (tmp_path / "used", tmp_path / "used" / "file"):
        with pytest.raises(ValueError, match="is there already"):
            prepare(snapshot, taken, None)
    assert [path.name for path in (tmp_path / "used").iterdir()] == ["file"]


def lose_the_commit(users: Path, snapshot: CodeSnapshot) -> None:
    shutil.rmtree(users)


def damage_the_diff(users: Path, snapshot: CodeSnapshot) -> None:
    patch = snapshot.folder / "diff.patch"
    patch.write_bytes(patch.read_bytes().replace(b"\n-1", b"\n-7"))


def cut_the_diff(users: Path, snapshot: CodeSnapshot) -> None:
    patch = snapshot.folder / "diff.patch"
    patch.write_bytes(patch.read_bytes()[:-1])


def cut_the_archive(users: Path, snapshot: CodeSnapshot) -> None:
    with (snapshot.folder / "untracked.tar").open("r+b") as archive:
        archive.truncate(512)


def empty_the_archive(users: Path, snapshot: CodeSnapshot) -> None:
    (snapshot.folder / "untracked.tar").write_bytes(bytes(10240))


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lose_the_commit, "commit [0-9a-f]{40} of .*users cannot be found: .* is not there"),
        (damage_the_diff, "do not apply to [0-9a-f]{40}: .*train.py"),
        (cut_the_diff, "diff.patch is damaged"),
        (cut_the_archive, "archive of the untracked files is damaged"),
        (empty_the_archive, "untracked.tar is damaged: 1 of its files are missing"),
    ],
)
def test_what_cannot_be_brought_back_leaves_nothing_behind(
    harm: Callable[[Path, CodeSnapshot], None],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    reproduce: Reproduce,
    capsys: pytest.CaptureFixture[str],
) -> None:
    users = user_repository.new_repository(tmp_path / "users", train="1\n")
    (users / "train.py").write_text("2\n")
    (users / "untracked.py").write_text("3\n")
    snapshot = snapshot_of(users, tmp_path, monkeypatch)
    harm(users, snapshot)
    (tmp_path / "place").mkdir()
    with pytest.raises(CheckoutError, match=said):
        prepare(snapshot, tmp_path / "place" / "again", None)
    assert list((tmp_path / "place").iterdir()) == []


def test_the_command_says_so_with_exit_code_1(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    reproduce: Reproduce,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from launchkit.job import Job

    users = user_repository.new_repository(tmp_path / "users", train="1\n")
    snapshot_of(users, tmp_path, monkeypatch)
    sweep = Sweep.open(tmp_path / "sweep")
    sweep.add([Job(0, ("x=1",), sweep.directory / "0")])
    shutil.rmtree(users)
    assert reproduce(sweep.directory, "--checkout", tmp_path / "again") == 1
    assert re.fullmatch(r"launchkit: commit .* cannot be found: .*\n", capsys.readouterr().err)
    assert not (tmp_path / "again").exists()


def test_what_was_not_recorded_is_not_made_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "plain").mkdir()
    snapshot = snapshot_of(tmp_path / "plain", tmp_path, monkeypatch)
    with pytest.raises(CheckoutError, match="lies in no git repository"):
        prepare(snapshot, tmp_path / "again", None)
    assert not (tmp_path / "again").exists()
