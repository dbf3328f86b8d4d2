"""A sweep's record of the code: the state of the user's repository."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess

import pytest
from engine_helpers import run_python

from launchkit import code_snapshot
from launchkit.code_snapshot import git_state
from launchkit.git_files import GitInfo, write_git_infos
from launchkit.sweep import Sweep

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")

SAVE = """
import sys
from launchkit import code_snapshot
from launchkit.sweep import Sweep
code_snapshot.save(Sweep.open(sys.argv[1]))
"""


@pytest.fixture(autouse=True)
def _own_git_config(monkeypatch, tmp_path):
    config = tmp_path / "gitconfig"
    config.write_text("[user]\n name = A\n email = a@example.org\n[init]\n defaultBranch = trunk\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))


def git(directory, *arguments):
    done = subprocess.run(
        ["git", "-C", directory, *arguments], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path):
    directory = tmp_path / "users"
    directory.mkdir()
    git(directory, "init", "-q")
    (directory / "train.py").write_text("print('one')\n")
    (directory / ".gitignore").write_text("ignored*\n")
    git(directory, "add", ".")
    git(directory, "commit", "-q", "-m", "first")
    return directory


@pytest.fixture
def sweep(tmp_path):
    return Sweep.create(tmp_path / "sweep", mode="local", settings={}, command=[])


def test_a_clean_repository(repository):
    (repository / "ignored.txt").touch()
    state, diff = git_state(repository)
    assert (state.directory, state.commit, state.branch) == (
        (str(repository), git(repository, "rev-parse", "HEAD"), "trunk")
    )
    assert (state.dirty, state.untracked, diff) == (False, (), "")


def test_a_directory_within_the_repository_will_do(repository):
    (repository / "deep" / "er").mkdir(parents=True)
    (repository / "new.py").touch()
    state, _ = git_state(repository / "deep" / "er")
    assert state.directory == str(repository)
    assert state.untracked == ("new.py",)


CHANGES = {
    "train.py": b"print('two')\n",
    "latin.txt": "h\xe9\n".encode("latin-1"),
    "binary.dat": bytes(range(256)),
    "dos.txt": b"a\r\nb\r\n",
    "unended.txt": b"no newline at the end",
    "übung.py": "ü\n".encode(),
}


@pytest.mark.parametrize("staged", [True, False])
def test_the_diff_gives_back_the_working_tree(repository, sweep, tmp_path, monkeypatch, staged):
    for name in CHANGES:
        (repository / name).write_bytes(b"before\n")
    git(repository, "add", ".")
    git(repository, "commit", "-q", "-m", "second")
    git(repository, "config", "color.ui", "always")
    git(repository, "config", "diff.noprefix", "true")
    git(repository, "config", "diff.external", "/bin/false")
    for name, content in CHANGES.items():
        (repository / name).write_bytes(content)
    if staged:
        git(repository, "add", ".")
    monkeypatch.setattr(code_snapshot, "program_directory", lambda: repository)
    code_snapshot.save(sweep)
    record = json.loads((sweep.own / "code" / "git.json").read_text())
    assert record["dirty"] is True
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", str(repository), str(clone))
    git(clone, "checkout", "-q", record["commit"])
    git(clone, "apply", str(sweep.own / "code" / "diff.patch"))
    assert {name: (clone / name).read_bytes() for name in CHANGES} == CHANGES


def test_rlkits_patch_applies_too(repository, tmp_path):
    (repository / "train.py").write_bytes(b"h\xe9\n")
    _, diff = git_state(repository)
    write_git_infos(tmp_path, [GitInfo(str(repository), diff, "", "abc", "trunk")])
    git(repository, "checkout", "-q", "train.py")
    (patch,) = tmp_path.glob("*.patch")
    git(repository, "apply", str(patch))
    assert (repository / "train.py").read_bytes() == b"h\xe9\n"
    assert (tmp_path / "git_infos.txt").read_text().splitlines()[:3] == [
        f"directory: {repository}",
        "git hash: abc",
        "git branch name: trunk",
    ]


def test_untracked_files_are_listed_whatever_their_names(repository):
    names = {"a b.py", "new\nline", "ü", "deep/file"}
    (repository / "deep").mkdir()
    for name in names:
        (repository / name).touch()
    with open(os.fsencode(repository) + b"/\xff", "wb"):
        pass
    state, diff = git_state(repository)
    assert set(state.untracked) == names | {"\udcff"}
    assert (state.dirty, diff) == (False, "")


def test_a_detached_head_has_no_branch(repository):
    git(repository, "checkout", "-q", "--detach")
    state, _ = git_state(repository)
    assert (state.commit, state.branch) == (git(repository, "rev-parse", "HEAD"), None)


def test_before_the_first_commit_the_diff_is_all_that_is_staged(tmp_path):
    git(tmp_path, "init", "-q", "new")
    (tmp_path / "new" / "staged.py").write_text("1\n")
    git(tmp_path / "new", "add", ".")
    (tmp_path / "new" / "other.py").touch()
    state, diff = git_state(tmp_path / "new")
    assert (state.commit, state.branch, state.dirty) == (None, "trunk", True)
    assert state.untracked == ("other.py",)
    assert "+++ b/staged.py" in diff


def test_without_a_repository_there_is_none(tmp_path, sweep, monkeypatch):
    assert git_state(tmp_path) is None
    monkeypatch.setattr(code_snapshot, "program_directory", lambda: tmp_path)
    code_snapshot.save(sweep)
    assert json.loads((sweep.own / "code" / "git.json").read_text()) is None


def test_without_git_there_is_none(repository, tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    assert git_state(repository) is None


def test_it_is_the_repository_of_the_users_program(repository, sweep, tmp_path):
    program = repository / "train.py"
    program.write_text(SAVE)
    (tmp_path / "elsewhere").mkdir()
    run_python(
        "import runpy, sys; sys.modules['__main__'].__file__ = sys.argv[2]\n" + SAVE,
        sweep.directory,
        program,
        cwd=tmp_path / "elsewhere",
    )
    record = json.loads((sweep.own / "code" / "git.json").read_text())
    assert record["directory"] == str(repository)
    assert record["commit"] == git(repository, "rev-parse", "HEAD")
    assert SAVE.splitlines()[1] in (sweep.own / "code" / "diff.patch").read_text()


def test_without_a_program_it_is_the_current_directorys(repository, sweep):
    run_python(SAVE, sweep.directory, cwd=repository)
    record = json.loads((sweep.own / "code" / "git.json").read_text())
    assert record["directory"] == str(repository)


def test_it_is_taken_once_a_sweep_and_is_for_the_owner(repository, sweep, monkeypatch):
    monkeypatch.setattr(code_snapshot, "program_directory", lambda: repository)
    (repository / "train.py").write_text("password\n")
    code_snapshot.save(sweep)
    files = sorted((sweep.own / "code").iterdir())
    assert [path.name for path in files] == ["diff.patch", "git.json"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    before = files[0].read_bytes()
    (repository / "train.py").write_text("later\n")
    code_snapshot.save(sweep)
    assert files[0].read_bytes() == before
