"""Unpacking an archive without running it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from launchkit.doodad.makeself import ArchiveError, damage

WITHOUT_RUNNING = ("--quiet", "--nox11", "--nodiskspace", "--noexec")
"""Nothing is said, no window opened; tar itself says when the disk is full."""

NOT_WHOLE = b"Decompression failed"


def unpack_command(archive: str, target: str) -> list[str]:
    """Return the command that unpacks an archive into a directory, made if it is not there.

    It needs what every Unix has: a shell, tar, gzip, and the likes of head and dd. What is
    unpacked belongs to who unpacks it. A failure shows in its exit code, but for a checksum
    that is wrong, which shows in what it writes to stderr, where it writes nothing else.

    Parameters
    ----------
    archive
        The archive, on the machine where the command runs.
    target
        The directory, there.
    """
    return ["sh", _no_option(archive), *WITHOUT_RUNNING, "--target", _no_option(target)]


def unpack(archive: Path, target: Path) -> None:
    """Unpack an archive here, into a directory that has its name once it is whole.

    Parameters
    ----------
    archive
        The archive.
    target
        The directory; it must be empty if it exists.

    Raises
    ------
    OSError
        If the archive is damaged, `target` is used already, or there is no room.
    """
    partial = target.with_name(f".{target.name}.{os.urandom(4).hex()}.partial")
    try:
        _run(archive, partial, target)
        partial.rename(target)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _run(archive: Path, partial: Path, target: Path) -> None:
    problem = damage(archive)
    if problem:
        raise ArchiveError(f"{archive} is damaged: {problem}")
    done = subprocess.run(
        unpack_command(str(archive), str(partial)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "LC_ALL": "C"},
        # It would write of its failure to the terminal.
        start_new_session=True,
        check=False,
    )
    # Where only the checksum at the end is wrong, tar has nothing to complain of.
    if done.returncode or NOT_WHOLE in done.stderr:
        raise ArchiveError(f"{archive} cannot be unpacked into {target}: {_why(done, partial)}")


def _why(done: subprocess.CompletedProcess[bytes], partial: Path) -> str:
    """Say what is known of a failure: the archive throws away what tar says."""
    room = shutil.disk_usage(partial.parent).free
    said = [
        line
        for line in done.stderr.decode(errors="replace").splitlines()
        if line.strip() and "/dev/tty" not in line
    ]
    return "; ".join(said) or f"tar failed; {room // 2**20} MB are free there"


def _no_option(path: str) -> str:
    """Return a path that no program takes for an option."""
    return f"./{path}" if path.startswith("-") else path
