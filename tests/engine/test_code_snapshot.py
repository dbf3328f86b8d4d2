"""A sweep's record of the code: the state of the user's repository, whatever state that is."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess

import pytest
from engine_helpers import is_alive, run_python, wait_until

from launchkit.code import code_snapshot
from launchkit.code import git as git_module
from launchkit.code.code_snapshot import CodeSnapshot, load, save
from launchkit.code.git_files import GitInfo, write_git_infos
from launchkit.code.program import Program
from launchkit.code.repository import WorkTree, work_trees
from launchkit.sweep import Sweep

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")

SAVE = """
import sys
from launchkit.code import code_snapshot
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


def only(directory) -> WorkTree:
    (tree,) = work_trees(directory)
    return tree


@pytest.fixture
def take(sweep, monkeypatch):
    """Take the snapshot of a program in a directory, and return it."""

    def taken(directory) -> CodeSnapshot:
        monkeypatch.setattr(code_snapshot, "program_directory", lambda: directory)
        save(sweep)
        return load(sweep)

    return taken


def test_a_clean_repository(repository):
    (repository / "ignored.txt").touch()
    tree = only(repository)
    assert (tree.directory, tree.commit, tree.branch) == (
        (repository, git(repository, "rev-parse", "HEAD"), "trunk")
    )
    assert (tree.dirty, tree.untracked, tree.diff, tree.problem) == (False, (), b"", None)


def test_a_directory_within_the_repository_will_do(repository):
    (repository / "deep" / "er").mkdir(parents=True)
    (repository / "new.py").touch()
    tree = only(repository / "deep" / "er")
    assert tree.directory == repository
    assert tree.untracked == ("new.py",)


CHANGES = {
    "train.py": b"print('two')\n",
    "latin.txt": "h\xe9\n".encode("latin-1"),
    "binary.dat": bytes(range(256)),
    "dos.txt": b"a\r\nb\r\n",
    "unended.txt": b"no newline at the end",
    "übung.py": "ü\n".encode(),
}


@pytest.mark.parametrize("staged", [True, False])
def test_the_diff_gives_back_the_working_tree(repository, take, tmp_path, staged):
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
    snapshot = take(repository)
    (record,) = snapshot.repositories
    assert record.dirty is True
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", str(repository), str(clone))
    git(clone, "checkout", "-q", record.commit)
    git(clone, "apply", str(snapshot.folder / record.diff))
    assert {name: (clone / name).read_bytes() for name in CHANGES} == CHANGES


def test_rlkits_patch_applies_too(repository, tmp_path):
    (repository / "train.py").write_bytes(b"h\xe9\n")
    diff = only(repository).diff.decode(errors="surrogateescape")
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
    tree = only(repository)
    assert set(tree.untracked) == names | {"\udcff"}
    assert (tree.dirty, tree.diff) == (False, b"")


def test_a_detached_head_has_no_branch(repository):
    git(repository, "checkout", "-q", "--detach")
    tree = only(repository)
    assert (tree.commit, tree.branch) == (git(repository, "rev-parse", "HEAD"), None)


def test_before_the_first_commit_the_diff_is_all_that_is_staged(tmp_path):
    git(tmp_path, "init", "-q", "new")
    (tmp_path / "new" / "staged.py").write_text("1\n")
    git(tmp_path / "new", "add", ".")
    (tmp_path / "new" / "other.py").touch()
    tree = only(tmp_path / "new")
    assert (tree.commit, tree.branch, tree.dirty) == (None, "trunk", True)
    assert (tree.untracked, tree.problem) == (("other.py",), None)
    assert b"+++ b/staged.py" in tree.diff


REMOTES = {
    "https://me:token@example.org/a.git": "https://example.org/a.git",
    "https://token@example.org/a.git?private_token=abc": "https://example.org/a.git",
    "ssh://git:word@example.org:22/a": "ssh://git@example.org:22/a",
    "git@example.org:lab/a.git": "git@example.org:lab/a.git",
}


@pytest.mark.parametrize("url", REMOTES)
def test_the_remote_is_recorded_without_credentials(repository, take, url):
    git(repository, "remote", "add", "origin", url)
    snapshot = take(repository)
    assert snapshot.repositories[0].remote == REMOTES[url]
    assert "token" not in (snapshot.folder / "git.json").read_text()


def test_the_remote_is_that_of_the_branch(repository):
    git(repository, "remote", "add", "another", "https://example.org/another")
    assert only(repository).remote == "https://example.org/another"
    git(repository, "remote", "add", "origin", "https://example.org/origin")
    assert only(repository).remote == "https://example.org/origin"
    git(repository, "config", "branch.trunk.remote", "another")
    assert only(repository).remote == "https://example.org/another"


def test_without_a_repository_it_says_so(tmp_path, take):
    (tmp_path / "plain").mkdir()
    snapshot = take(tmp_path / "plain")
    assert snapshot.problem.startswith("not a git repository")
    assert (snapshot.repositories, snapshot.untracked) == ((), ())
    assert snapshot.environment.python


def test_without_git_it_says_so(repository, take, tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    assert take(repository).problem == "git cannot be started: No such file or directory"


def test_a_repository_that_git_refuses_says_so(repository, take, monkeypatch):
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    assert take(repository).problem.startswith("detected dubious ownership in repository")


def test_a_bare_repository_says_so(tmp_path, take):
    git(tmp_path, "init", "-q", "--bare", "bare.git")
    assert take(tmp_path / "bare.git").problem == "this operation must be run in a work tree"


def test_a_damaged_repository_says_so(repository, take):
    (repository / ".git" / "index").write_bytes(b"damaged")
    (record,) = take(repository).repositories
    assert record.commit == git(repository, "rev-parse", "HEAD")
    assert (record.dirty, record.diff) == (None, None)
    assert record.problem.startswith("git status: ")


HANGS = """#!/bin/sh
case "$*" in *{word}*) sleep 60 & echo $! >> {pids}; wait;; esac
exec {git} "$@"
"""


@pytest.mark.parametrize("word", ["rev-parse", "status", "diff"])
def test_a_git_that_hangs_is_not_waited_for(repository, take, tmp_path, monkeypatch, word):
    (repository / "train.py").write_text("changed\n")
    pids = tmp_path / "pids"
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "git").write_text(
        HANGS.format(word=word, git=shutil.which("git"), pids=pids)
    )
    (tmp_path / "bin" / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setattr(git_module, "GIT_TIMEOUT_S", 1.0)
    snapshot = take(repository)
    problem = snapshot.problem or snapshot.repositories[0].problem
    assert problem.endswith("git did not answer within 1 s")
    sleepers = [int(pid) for pid in pids.read_text().split()]
    assert sleepers
    wait_until(lambda: not any(map(is_alive, sleepers)), "the end of what git has started")


def test_a_diff_too_large_to_keep_is_not_kept(repository, take, monkeypatch):
    monkeypatch.setattr(git_module, "MOST_BYTES", 5000)
    (repository / "train.py").write_bytes(os.urandom(20_000))
    (record,) = take(repository).repositories
    assert (record.dirty, record.diff) == (True, None)
    assert record.problem.startswith("git diff: git's answer is larger than")


def test_variables_that_a_hook_leaves_behind_do_not_mislead(repository, tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
    assert only(repository).branch == "trunk"


def test_looking_changes_nothing(repository, take):
    os.utime(repository / "train.py", (0, 0))
    index = repository / ".git" / "index"
    before = index.read_bytes()
    (repository / "other.py").touch()
    take(repository)
    assert index.read_bytes() == before


def add_submodule(repository, inner, path):
    git(repository, "-c", "protocol.file.allow=always", "submodule", "-q", "add", inner, path)
    git(repository, "commit", "-q", "-m", "with a submodule")


@pytest.fixture
def inner(tmp_path):
    inner = tmp_path / "inner"
    git(tmp_path, "init", "-q", "inner")
    (inner / "lib.py").write_text("1\n")
    git(inner, "add", ".")
    git(inner, "commit", "-q", "-m", "first")
    return inner


def test_submodules_are_repositories_of_their_own(repository, inner, take):
    add_submodule(repository, str(inner), "deps/lib")
    (repository / "deps" / "lib" / "lib.py").write_text("2\n")
    (repository / "deps" / "lib" / "new.py").touch()
    snapshot = take(repository)
    top, lib = snapshot.repositories
    assert (top.path, top.dirty) == (".", False)
    assert (lib.path, lib.dirty, lib.diff) == ("deps/lib", True, "diff.1.patch")
    assert lib.commit == git(inner, "rev-parse", "HEAD")
    assert lib.remote == str(inner)
    assert snapshot.untracked == ("deps/lib/new.py",)


def test_another_commit_in_a_submodule_is_a_change_that_git_apply_knows(repository, inner, take):
    add_submodule(repository, str(inner), "lib")
    git(repository / "lib", "commit", "-q", "--allow-empty", "-m", "ahead")
    git(repository, "config", "diff.submodule", "log")
    git(repository, "config", "diff.ignoreSubmodules", "all")
    snapshot = take(repository)
    commit = git(repository / "lib", "rev-parse", "HEAD")
    assert [record.dirty for record in snapshot.repositories] == [True, False]
    assert f"+Subproject commit {commit}\n" in (snapshot.folder / "diff.patch").read_text()


def test_a_submodule_that_is_not_checked_out_is_none(repository, inner, take):
    add_submodule(repository, str(inner), "lib")
    git(repository, "submodule", "-q", "deinit", "--all")
    assert [record.path for record in take(repository).repositories] == ["."]


def test_a_clone_in_the_working_tree_is_one_too(repository, inner, take):
    git(repository, "clone", "-q", str(inner), str(repository / "clone"))
    (repository / "clone" / "lib.py").write_text("2\n")
    records = take(repository).repositories
    assert [(record.path, record.dirty) for record in records] == [(".", False), ("clone", True)]


def test_a_broken_clone_is_left_out_and_a_broken_submodule_is_a_problem(repository, inner, take):
    add_submodule(repository, str(inner), "lib")
    git(repository, "clone", "-q", str(inner), str(repository / "clone"))
    for index in (repository / "clone/.git/index", repository / ".git/modules/lib/index"):
        index.write_bytes(b"damaged")
    snapshot = take(repository)
    assert [record.path for record in snapshot.repositories] == [".", "lib"]
    assert snapshot.repositories[1].problem.startswith("git status: ")
    (left_out,) = snapshot.left_out
    assert left_out.path == "clone/"
    assert left_out.reason.startswith("it is a repository: git status: ")


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
    snapshot = load(sweep)
    (record,) = snapshot.repositories
    assert record.directory == str(repository)
    assert record.commit == git(repository, "rev-parse", "HEAD")
    assert SAVE.splitlines()[1] in (snapshot.folder / "diff.patch").read_text()
    assert (snapshot.program.file, snapshot.program.cwd) == (
        "train.py",
        str(tmp_path / "elsewhere"),
    )


def test_without_a_program_it_is_the_current_directorys(repository, sweep):
    run_python(SAVE, sweep.directory, cwd=repository)
    snapshot = load(sweep)
    assert snapshot.repositories[0].directory == str(repository)
    assert snapshot.program == Program()


def test_it_is_taken_once_a_sweep_and_is_for_the_owner(repository, sweep, take):
    (repository / "train.py").write_text("password\n")
    (repository / "untracked.py").touch()
    folder = take(repository).folder
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    files = sorted(folder.iterdir())
    assert [path.name for path in files] == [
        "diff.patch",
        "environment.json",
        "git.json",
        "untracked.tar",
    ]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    before = [path.read_bytes() for path in files]
    (repository / "train.py").write_text("later\n")
    save(sweep)
    assert [path.read_bytes() for path in files] == before


def test_a_snapshot_that_was_cut_short_is_taken_again(repository, sweep, take):
    (sweep.own / "code").mkdir()
    (sweep.own / "code" / "environment.json").write_text("{")
    assert take(repository).repositories[0].directory == str(repository)


def test_what_cannot_be_written_is_a_warning(repository, sweep, monkeypatch, caplog):
    (sweep.own / "code").write_text("in the way")
    monkeypatch.setattr(code_snapshot, "program_directory", lambda: repository)
    save(sweep)
    assert "the code of this sweep is not recorded" in caplog.text
