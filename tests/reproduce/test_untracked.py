"""Which untracked files a snapshot keeps, and which it only names."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest
import user_repository
from user_repository import tree

from launchkit.code import code_snapshot, untracked
from launchkit.code.code_snapshot import CodeSnapshot
from launchkit.code.untracked_archive import pack, unpack
from launchkit.sweep import Sweep

KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n"


@pytest.fixture
def users(tmp_path: Path) -> Path:
    return user_repository.new_repository(tmp_path / "users", train="1\n")


def write(directory: Path, *names: str, text: str = "1\n") -> None:
    for name in names:
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)


def take(users: Path, monkeypatch: pytest.MonkeyPatch, sweep: Path | None = None) -> CodeSnapshot:
    made = Sweep.create(
        sweep or users.parent / "sweep", mode="local", settings={}, command=["train.py"]
    )
    monkeypatch.setattr(code_snapshot, "program_directory", lambda: users)
    code_snapshot.save(made)
    return code_snapshot.load(made)


def reasons(snapshot: CodeSnapshot) -> dict[str, str]:
    return {one.path: one.reason for one in snapshot.left_out}


def test_a_file_that_is_too_large_is_named_with_its_size(
    users: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(users, "small.txt", text="x" * untracked.MAX_FILE_BYTES)
    write(users, "large.txt", text="x" * (untracked.MAX_FILE_BYTES + 1))
    snapshot = take(users, monkeypatch)
    assert snapshot.untracked == ("small.txt",)
    assert snapshot.untracked_bytes == untracked.MAX_FILE_BYTES
    (left_out,) = snapshot.left_out
    assert left_out.path == "large.txt"
    assert left_out.bytes == untracked.MAX_FILE_BYTES + 1
    assert left_out.reason == "it is larger than 1 MiB"


def test_of_too_many_bytes_the_smallest_files_are_kept(
    users: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(untracked, "MAX_TOTAL_BYTES", 100)
    for size in (10, 20, 60, 61):
        write(users, f"a{100 - size}", text="x" * size)
    snapshot = take(users, monkeypatch)
    assert snapshot.untracked == ("a40", "a80", "a90")
    assert list(reasons(snapshot)) == ["a39"]


def test_of_too_many_files_the_smallest_are_kept(
    users: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(untracked, "MAX_FILES", 2)
    monkeypatch.setattr(code_snapshot, "MOST_NAMED", 1)
    for size in (1, 2, 3, 4, 5):
        write(users, f"a{size}", text="x" * size)
    snapshot = take(users, monkeypatch)
    assert snapshot.untracked == ("a1", "a2")
    assert reasons(snapshot) == {"a3": "there are more than 2 untracked files"}
    assert snapshot.not_named == 2


SECRETS = [
    *(".env", ".env.local", "prod.env", "server.pem", "tls.key", "keys/id_rsa", "id_ed25519"),
    *(".netrc", "aws/credentials", "credentials.json", "my_credentials.json", "secrets.yaml"),
    *("service-account-1.json", ".aws/config", "SERVER.PEM", "client_secret_1.json", ".ssh/known"),
]
NO_SECRETS = [".env.example", "secrets.py", "keyboard.py", "monkey.txt", "pem.py", "id_rsa.pub"]


def test_what_is_named_like_a_secret_is_not_kept(
    users: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(users, *SECRETS, *NO_SECRETS)
    snapshot = take(users, monkeypatch)
    assert snapshot.untracked == tuple(sorted(NO_SECRETS))
    assert reasons(snapshot) == dict.fromkeys(SECRETS, "its name is that of a secret")


def test_a_private_key_is_not_kept_whatever_its_name(
    users: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(users, "notes.txt", text=KEY)
    write(users, "cloud.json", text=f'{{"type": "x", "private_key": "{KEY}"}}')
    write(users, "about_keys.py", text=f'HEADER = "{KEY}"\n')
    snapshot = take(users, monkeypatch)
    assert snapshot.untracked == ("about_keys.py",)
    assert set(reasons(snapshot).values()) == {"it is a private key"}
    archive = (snapshot.folder / "untracked.tar").read_bytes()
    assert archive.count(b"PRIVATE KEY") == 1


def test_the_outputs_of_runs_are_no_code(users: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(users, "multirun/old/multirun.yaml", "multirun/old/0/model.pkl")
    write(users, "outputs/one/.hydra/config.yaml", "outputs/one/train.log", "outputs/notes.txt")
    write(users, "data/exp/variant.json", "data/exp/progress.csv", "data/exp/params.pkl")
    write(users, "data/table/progress.csv")
    write(users, "pkg/__pycache__/a.pyc", "env/pyvenv.cfg", "env/lib/a.py", "pkg/a.py")
    snapshot = take(users, monkeypatch, sweep=users / "multirun" / "new")
    assert snapshot.untracked == ("data/table/progress.csv", "outputs/notes.txt", "pkg/a.py")
    assert reasons(snapshot) == {
        "multirun/old/": "it is of a run",
        "multirun/new/": "it is of a run",
        "outputs/one/": "it is of a run",
        "data/exp/": "it is of a run",
        "pkg/__pycache__/": "it is made by a tool",
        "env/": "it is a virtual environment",
    }


def test_a_run_in_the_programs_own_directory_does_not_hide_the_code(
    users: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(users, ".hydra/config.yaml", "variant.json", "progress.csv", "new.py", "deep/new.py")
    snapshot = take(users, monkeypatch)
    assert snapshot.untracked == ("deep/new.py", "new.py", "progress.csv", "variant.json")
    assert reasons(snapshot) == {".hydra/": "it is of a run"}


def test_all_that_can_be_in_a_name_or_a_mode_comes_back(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    write(source, "a b", "-x", "deep/er/ü", "new\nline", "*?[", " ", "x" * 200)
    with open(os.fsencode(source) + b"/\xff\xfe", "wb") as file:
        file.write(b"\0" * 513)
    (source / "a b").chmod(0o755)
    (source / "link").symlink_to("-x")
    (source / "out").symlink_to("/no/where")
    (source / "empty").touch()
    names = [os.fsdecode(name) for name in tree(source)]
    stream = io.BytesIO()
    packed = pack(source, [*names, "gone"], stream)
    assert packed.names == names
    assert [(one.path, one.reason) for one in packed.left_out] == [
        ("gone", "No such file or directory")
    ]
    stream.seek(0)
    target.mkdir()
    assert unpack(stream, target) == names
    assert tree(target) == tree(source)


@pytest.mark.parametrize(
    "name", ["../out", "/abs", "a/../../out", ".git/hooks/x", "lib/.git/config", "link/x"]
)
def test_an_archive_cannot_write_elsewhere(tmp_path: Path, name: str) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to(tmp_path)
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(tarfile.TarInfo(name))
    stream.seek(0)
    before = set(tmp_path.rglob("*"))
    with pytest.raises(ValueError, match="leads out of the checkout"):
        unpack(stream, root)
    assert set(tmp_path.rglob("*")) == before


def test_a_pipe_in_the_working_tree_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    kept, left_out = untracked.choose(tmp_path, ["pipe"], [])
    assert (kept, left_out[0].reason) == ([], "it is neither a file nor a link")
    packed = pack(tmp_path, ["pipe"], io.BytesIO())
    assert packed.left_out[0].reason == "it is neither a file nor a link"
