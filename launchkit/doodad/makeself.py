"""doodad's makeself: run so that no name of the user's reaches it, and its result checked."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

HEADER_BYTES = 2**16
"""More than any header has."""

HEADER_END = b"\neval $finish; exit $res\n"

OPTIONS = (
    *("--quiet", "--gzip"),
    # gzip has a checksum of its own; those would be taken with a slow copy of all bytes.
    *("--nomd5", "--nocrc"),
    # An archive opens no window.
    "--nox11",
    *("--packaging-date", "with the sweep"),
)
GNU_TAR = "--sort=name --owner=0 --group=0 --numeric-owner"
"""The same content gives the same archive, and it does not tell who made it."""


class ArchiveError(OSError):
    """An archive cannot be built or unpacked."""


def make(makeself: Path, work: Path, content: str, script: str, level: int) -> Path:
    """Make a self-extracting archive of a directory, and return its path.

    Parameters
    ----------
    makeself
        The folder that has `makeself.sh` and its header.
    work
        A private directory, for the archive and for what makeself leaves.
    content
        The name, in `work`, of the directory to pack.
    script
        What the archive runs, relative to the directory.
    level
        How much gzip takes its time, from 1 to 9.

    Raises
    ------
    ArchiveError
        If the archive is not whole.
    """
    # It writes its command line into the archive's script, so all of that is plain names.
    for name in ("makeself.sh", "makeself-header.sh"):
        (work / name).symlink_to(makeself / name)
    done = subprocess.run(
        [
            # The right to execute may have been lost on the way.
            *("sh", "./makeself.sh", *OPTIONS, "--complevel", str(level), *_tar_options()),
            *("--header", "./makeself-header.sh", content, "archive.dar", "launchkit", script),
        ],
        cwd=work,
        # Its temporary files have names that others could foresee.
        env={**os.environ, "TMPDIR": str(work), "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        umask=0o077,
        check=False,
    )
    archive = work / "archive.dar"
    said = done.stderr.decode(errors="replace").strip()
    # Its exit code is 0 when tar fails, or the disk is full at the end.
    if done.returncode or said:
        raise ArchiveError(f"the archive cannot be made: {said or f'exit code {done.returncode}'}")
    problem = damage(archive)
    if problem:
        raise ArchiveError(f"the archive cannot be made: {problem}")
    return archive


def damage(archive: Path) -> str:
    """Return what is wrong with the length of an archive; nothing, if it has all its bytes."""
    size = archive.stat().st_size
    with archive.open("rb") as stream:
        head = stream.read(HEADER_BYTES)
    found = re.search(rb'^filesizes="(\d+)"$', head, re.MULTILINE)
    if found is None:
        return "it has no header"
    header = head[: max(0, size - int(found[1]))]
    return "" if header.endswith(HEADER_END) else "it has not the length that it had"


def _tar_options() -> tuple[str, ...]:
    try:
        version = subprocess.run(["tar", "--version"], capture_output=True, check=False).stdout  # noqa: S607 - the user's own tar
    except OSError:
        version = b""
    return ("--tar-extra", GNU_TAR) if b"GNU tar" in version else ()
