"""What code a sweep ran: the git state of the user's repository, once a sweep."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from launchkit import files
from launchkit.sweep import Sweep

GIT_TIMEOUT_S = 20.0

DIFF = (
    *("diff", "--binary", "--no-color", "--no-ext-diff", "--no-textconv"),
    *("--src-prefix=a/", "--dst-prefix=b/"),
)
"""A diff that `git apply` takes, whatever the user has configured for reading diffs."""


@dataclass(frozen=True)
class GitState:
    """The state of a git repository.

    Parameters
    ----------
    directory
        Its top directory.
    commit
        The hash of the commit that is checked out; None before the first one.
    branch
        The branch; None where the head is detached.
    dirty
        Whether tracked files differ from the commit.
    untracked
        Files that git neither tracks nor ignores.
    """

    directory: str
    commit: str | None
    branch: str | None
    dirty: bool
    untracked: tuple[str, ...]


def program_directory() -> Path:
    """Return the directory of the user's program.

    For a program that pip installed, and where there is none, it is the current directory.
    """
    main = sys.modules.get("__main__")
    file = getattr(main, "__file__", None)
    if not file or Path(file).resolve().is_relative_to(Path(sys.prefix, "bin").resolve()):
        return Path.cwd()
    return Path(file).resolve().parent


def git_state(directory: Path) -> tuple[GitState, str] | None:
    """Return the state of the repository that holds `directory`, and its binary diff.

    None where there is no repository, or no git. Bytes of the diff that are not UTF-8 are
    lone surrogates in it; `encode_diff` gives them back.
    """
    top = _git(directory, "rev-parse", "--show-toplevel")
    if top is None:
        return None
    root = Path(top.strip())
    commit = _git(root, "rev-parse", "--verify", "--quiet", "HEAD")
    branch = _git(root, "symbolic-ref", "--short", "--quiet", "HEAD")
    # Before the first commit, the difference is from nothing at all.
    base = "HEAD" if commit else (_git(root, "hash-object", "-t", "tree", os.devnull) or "").strip()
    diff = _git(root, *DIFF, base)
    untracked = _git(root, "ls-files", "--others", "--exclude-standard", "-z") or ""
    state = GitState(
        directory=str(root),
        commit=commit.strip() if commit else None,
        branch=branch.strip() if branch else None,
        dirty=bool(diff),
        untracked=tuple(name for name in untracked.split("\0") if name),
    )
    return state, diff or ""


def encode_diff(diff: str) -> bytes:
    """Return a diff as the bytes that git gave."""
    return diff.encode("utf-8", errors="surrogateescape")


def save(sweep: Sweep) -> None:
    """Write the git state of the user's program below the sweep, unless it is there.

    No repository is no error: the file then says null.
    """
    folder = sweep.own / "code"
    if (folder / "git.json").exists():
        return
    folder.mkdir(exist_ok=True)
    found = git_state(program_directory())
    if found is not None and found[1]:
        files.write_atomic(folder / "diff.patch", encode_diff(found[1]), mode=0o600)
    files.write_json(folder / "git.json", asdict(found[0]) if found else None, mode=0o600)


def _git(directory: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(directory), *arguments],  # noqa: S607 - the user's own git
            capture_output=True,
            timeout=GIT_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode(errors="surrogateescape") if done.returncode == 0 else None
