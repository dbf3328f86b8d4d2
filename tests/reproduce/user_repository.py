"""A user's repository in every state that git knows, and a look at it byte for byte."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

NOT_CODE = {".git", "__pycache__", "multirun", "outputs", ".launchkit-reproduce"}

PROGRAM = """
import hashlib, os
import hydra
import model

@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(cfg):
    seen = hashlib.sha256()
    for directory, folders, files in os.walk(os.path.dirname(os.path.abspath(__file__)).encode()):
        folders[:] = sorted(f for f in folders if f.decode() not in cfg.outputs)
        for name in sorted(files):
            path = os.path.join(directory, name)
            if name != b".git" and not os.path.islink(path):
                seen.update(name + open(path, "rb").read())
    value = [model.scale * cfg.x, cfg.name, hydra.core.hydra_config.HydraConfig.get().job.num]
    result = [*value, seen.hexdigest()]
    print("RESULT", result)
    return result

if __name__ == "__main__":
    main()
"""

CONFIG = """
x: 0
name: none
outputs: [.git, __pycache__, multirun, outputs, .launchkit-reproduce]
"""


def git(directory: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-c", "protocol.file.allow=always", "-C", directory, *arguments],
        check=True,
        capture_output=True,
        text=True,
        errors="surrogateescape",
    )
    return done.stdout.strip()


def commit(directory: Path, message: str = "a commit") -> str:
    git(directory, "add", "--all")
    git(directory, "commit", "--quiet", "--message", message)
    return git(directory, "rev-parse", "HEAD")


def new_repository(directory: Path, **files: str) -> Path:
    directory.mkdir(parents=True)
    git(directory, "init", "--quiet")
    for name, text in files.items():
        (directory / f"{name}.py").write_text(text)
    commit(directory)
    return directory


def odd(directory: Path, name: bytes) -> bytes:
    """Return the path of a file whose name is not UTF-8."""
    return os.path.join(os.fsencode(directory), name)


def write_program(directory: Path) -> None:
    (directory / "train.py").write_text(PROGRAM)
    (directory / "model.py").write_text("scale = 1\n")
    (directory / "conf").mkdir()
    (directory / "conf" / "config.yaml").write_text(CONFIG)


def make(base: Path) -> Path:
    """Make a repository with a program, a submodule that has one itself, and tracked files."""
    inner = new_repository(base / "inner", inner="1\n")
    lib = new_repository(base / "lib", lib="1\n")
    git(lib, "submodule", "--quiet", "add", str(inner), "inner")
    commit(lib)
    users = base / "users"
    users.mkdir()
    git(users, "init", "--quiet")
    write_program(users)
    for name in ("staged", "both", "deleted", "removed", "forgotten", "old_name", "link_to_be"):
        (users / f"{name}.txt").write_text(f"{name}\n" * 5)
    (users / "long.txt").write_text("".join(f"{number}\n" for number in range(50)))
    (users / "file_to_be_directory").write_text("a file\n")
    (users / "binary.dat").write_bytes(bytes(range(256)) * 4)
    (users / "tool.sh").write_text("#!/bin/sh\n")
    (users / "dos.txt").write_bytes(b"a\r\nb\r\n")
    (users / "link").symlink_to("staged.txt")
    Path(os.fsdecode(odd(users, b"latin-\xe9.txt"))).write_bytes(b"before\n")
    git(users, "submodule", "--quiet", "add", str(lib), "deps/lib")
    git(users, "submodule", "--quiet", "update", "--init", "--recursive")
    git(users, "remote", "add", "origin", "https://me:s3cret-token@example.org/users.git")
    commit(users)
    return users


def disturb(users: Path) -> None:
    """Change a repository in each of the ways that git has a word for."""
    (users / "model.py").write_text("scale = 10\n")
    (users / "long.txt").write_text((users / "long.txt").read_text().replace("25\n", "more\n" * 3))
    (users / "staged.txt").write_text("staged\n")
    (users / "both.txt").write_text("first\n")
    (users / "new_staged.bin").write_bytes(b"\0\1\2" * 100)
    git(users, "add", "staged.txt", "both.txt", "new_staged.bin")
    (users / "both.txt").write_text("then\n")
    (users / "deleted.txt").unlink()
    git(users, "rm", "--quiet", "removed.txt")
    git(users, "rm", "--quiet", "--cached", "forgotten.txt")
    git(users, "mv", "old_name.txt", "new_name.txt")
    (users / "new_name.txt").write_text("old_name\n" * 5 + "and more\n")
    (users / "tool.sh").chmod(0o755)
    (users / "binary.dat").write_bytes(bytes(range(255, -1, -1)) * 4)
    (users / "dos.txt").write_bytes(b"a\r\nc\r\nunended")
    (users / "link").unlink()
    (users / "link").symlink_to("nowhere at all")
    (users / "link_to_be.txt").unlink()
    (users / "link_to_be.txt").symlink_to("model.py")
    (users / "file_to_be_directory").unlink()
    (users / "file_to_be_directory").mkdir()
    (users / "file_to_be_directory" / "inside.txt").write_text("inside\n")
    Path(os.fsdecode(odd(users, b"latin-\xe9.txt"))).write_bytes(b"h\xe9\n")
    (users / "intended.txt").write_text("to be added\n")
    git(users, "add", "--intent-to-add", "intended.txt")
    _untracked(users)
    _in_submodules(users)


def _untracked(users: Path) -> None:
    (users / "helper.py").write_text("helper = 1\n")
    (users / "empty").touch()
    (users / "deep" / "er").mkdir(parents=True)
    (users / "deep" / "er" / "new\nline").write_text("odd\n")
    (users / "deep" / "ü b").write_text("odd\n")
    (users / "run.sh").write_text("#!/bin/sh\n")
    (users / "run.sh").chmod(0o755)
    (users / "dangling").symlink_to("../no/where")
    with open(odd(users, b"\xff\xfe"), "wb") as file:
        file.write(b"\xff")
    other = users.parent / "other"
    new_repository(other, other="1\n")
    git(users.parent, "clone", "--quiet", str(other), str(users / "clones" / "other"))
    (users / "clones" / "other" / "other.py").write_text("2\n")
    (users / "clones" / "other" / "more.py").write_text("3\n")


def _in_submodules(users: Path) -> None:
    lib = users / "deps" / "lib"
    (lib / "lib.py").write_text("2\n")
    commit(lib, "never pushed")
    (lib / "lib.py").write_text("3\n")
    (lib / "untracked.py").write_text("4\n")
    (lib / "inner" / "inner.py").write_text("5\n")
    (lib / "inner" / "untracked.bin").write_bytes(b"\0")


def wipe(users: Path) -> None:
    """Throw away all that is not committed, and what is committed in a submodule only."""
    git(users, "reset", "--quiet", "--hard")
    git(users, "clean", "--quiet", "-ffdx")
    git(users, "submodule", "--quiet", "update", "--init", "--recursive", "--force")
    for inside in (users / "deps" / "lib", users / "deps" / "lib" / "inner"):
        git(inside, "reset", "--quiet", "--hard")
        git(inside, "clean", "--quiet", "-ffdx")


def tree(directory: Path) -> dict[bytes, tuple[str, bytes]]:
    """Return every file of a working tree: by its name, what it is and what it holds."""
    found = {}
    top = os.fsencode(directory)
    for where, folders, names in os.walk(top):
        linked = [name for name in folders if os.path.islink(os.path.join(where, name))]
        folders[:] = [name for name in folders if os.fsdecode(name) not in NOT_CODE]
        for name in {*names, *linked} - {b".git"}:
            path = os.path.join(where, name)
            mode = os.lstat(path).st_mode
            if stat.S_ISLNK(mode):
                entry = ("link", os.readlink(path))
            else:
                with open(path, "rb") as file:
                    entry = ("executable" if mode & stat.S_IXUSR else "file", file.read())
            found[os.path.relpath(path, top)] = entry
    return found


def everything(directory: Path) -> dict[bytes, bytes]:
    """Return all files below a directory, those of git included."""
    return {
        os.path.join(where, name): b""
        if os.path.islink(os.path.join(where, name))
        else open(os.path.join(where, name), "rb").read()
        for where, _, names in os.walk(os.fsencode(directory))
        for name in names
    }
