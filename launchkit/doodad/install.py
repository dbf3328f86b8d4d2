"""``launchkit doodad install``: a clone of doodad at the pinned commit, in the user's data."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from launchkit.code import git
from launchkit.doodad import engine
from launchkit.doodad.engine import PINNED
from launchkit.doodad.kinds import Kind, kind_of

URL = "https://github.com/justinjfu/doodad"
CLONE_S = 180.0
"""For all of it; the repository has less than a megabyte."""
ABANDONED_S = 3600.0
BESIDE = ".doodad-install-"

AS_IT_IS = (
    # Of the user's own settings, these would change the files of a checkout.
    *("-c", "core.autocrlf=false", "-c", "core.eol=lf", "-c", "core.fileMode=true"),
    # A server that answers with nothing.
    *("-c", "http.lowSpeedLimit=100", "-c", "http.lowSpeedTime=30"),
)


class InstallError(RuntimeError):
    """doodad cannot be installed; the message says why."""


class Installed(NamedTuple):
    """What has been done.

    Parameters
    ----------
    root
        Where doodad is.
    before
        What was there: nothing, or what was wrong with it.
    new
        Whether anything had to be done.
    """

    root: Path
    before: str
    new: bool


def install(source: str = URL) -> Installed:
    """Clone doodad at the pinned commit into the user's data directory.

    It gets its name there once it is whole. One that is there and right is left as it is,
    and one that is not is replaced.

    Parameters
    ----------
    source
        A URL, or the path of a clone.

    Raises
    ------
    InstallError
        If that cannot be done; what was there is then as it was.
    """
    root = engine.installed()
    if root is None:
        raise InstallError("there is no home directory to install it in; set XDG_DATA_HOME")
    before = problem(root) if os.path.lexists(root) else ""
    if os.path.lexists(root) and not before:
        return Installed(root, "", new=False)
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(root.parent)
        with _beside(root) as work:
            clone = work / "new"
            _clone(source, clone)
            _take_name(clone, root, work / "old")
    except OSError as error:
        raise InstallError(f"cannot install into {root}: {error}") from error
    return Installed(root, before, new=True)


def problem(root: Path) -> str:
    """Return what is wrong with a clone of doodad; nothing, if it is the pinned commit, whole."""
    if not (root / ".git").is_dir():
        return "it is no clone"
    commands = (
        ("rev-parse", "HEAD"),
        ("fsck", "--full", "--no-dangling", "--no-progress"),
        ("status", "--porcelain"),
    )
    head, fsck, status = git.ask(
        [git.Question(root, (*AS_IT_IS, *command)) for command in commands]
    )
    for answer in (head, fsck, status):
        if answer.error:
            return answer.error
    if head.text.strip() != PINNED:
        return f"it is at commit {head.text.strip()[:7]}, not at {PINNED[:7]}"
    if status.text.strip():
        return f"its files have changed: {status.text.splitlines()[0].strip()}"
    kind = kind_of(root / "doodad")
    return "" if kind is Kind.LAUNCHER else f"it is {kind.value}"


def _clone(source: str, target: Path) -> None:
    if source.startswith("-") or not source:
        raise InstallError(f"{source!r} is neither a URL nor a directory")
    name = git.public_url(source)
    deadline = time.monotonic() + CLONE_S
    # Not by hard links: what happens to the other clone would happen to this one.
    how = ("--quiet", "--no-checkout", "--no-local", "--template=")
    _git(name, deadline, *AS_IT_IS, "clone", *how, "--", source, str(target))
    here = (*AS_IT_IS, *git.TELLING, "-C", str(target))
    if _run(deadline, *here, "cat-file", "-e", f"{PINNED}^{{commit}}").returncode:
        raise InstallError(f"{name} has no commit {PINNED[:7]}: it is no clone of doodad, or old")
    _git(name, deadline, *here, "checkout", "--quiet", "--detach", PINNED)
    # It is never fetched again, and a URL may hold a password.
    _git(name, deadline, *here, "remote", "remove", "origin")
    wrong = problem(target)
    if wrong:
        raise InstallError(f"the clone of {name} is not whole: {wrong}")


def _git(name: str, deadline: float, *arguments: str) -> None:
    done = _run(deadline, *arguments)
    if done.returncode:
        lines = [line for line in done.stderr.decode(errors="replace").splitlines() if line.strip()]
        said = " / ".join(lines[-2:]) or f"git ended with exit code {done.returncode}"
        raise InstallError(f"cannot clone {name}: {said}")


def _run(deadline: float, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Run git, which asks nobody for a password, and end it with all it started."""
    command = ["git", *arguments]
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**git.environment(), "GIT_TERMINAL_PROMPT": "0"},
            # Without a terminal, ssh cannot ask either.
            start_new_session=True,
        )
    except OSError as error:
        raise InstallError(f"git cannot be started: {error.strerror}; install git") from error
    try:
        _, said = process.communicate(timeout=max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise InstallError(
            f"the clone was not there within {CLONE_S:g} s: no network? "
            "--from takes another URL, or the path of a clone"
        ) from None
    finally:
        with contextlib.suppress(ProcessLookupError):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return subprocess.CompletedProcess(command, process.returncode, b"", said)


@contextlib.contextmanager
def _beside(root: Path) -> Iterator[Path]:
    """Make a directory on the same disk, and remove it after the block."""
    work = tempfile.mkdtemp(prefix=BESIDE, dir=root.parent)
    try:
        yield Path(work)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _remove_abandoned(parent: Path) -> None:
    """Remove what an installer that was killed has left."""
    for left in parent.glob(f"{BESIDE}*"):
        if time.time() - left.lstat().st_mtime > ABANDONED_S:
            shutil.rmtree(left, ignore_errors=True)


def _take_name(clone: Path, root: Path, old: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        root.rename(old)
    try:
        clone.rename(root)
    except OSError:
        if os.path.lexists(root) and not problem(root):  # another installer was quicker
            return
        if os.path.lexists(old) and not os.path.lexists(root):
            old.rename(root)
        raise
