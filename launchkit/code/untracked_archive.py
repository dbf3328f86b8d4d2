"""The archive of untracked files: packed when a sweep starts, unpacked in a checkout."""

from __future__ import annotations

import errno
import io
import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, NamedTuple

from launchkit.code.untracked import MAX_FILE_BYTES, LeftOut

if TYPE_CHECKING:
    import tarfile

PRIVATE_KEY = re.compile(rb'\s*(\{[^}]*"private_key":\s*")?-----BEGIN [A-Z ]*PRIVATE KEY')


class Packed(NamedTuple):
    """What has become of the files of an archive.

    Parameters
    ----------
    names
        Those that are in it.
    bytes
        Their size.
    left_out
        Those that turned out not to be kept.
    """

    names: list[str]
    bytes: int
    left_out: list[LeftOut]


def pack(root: Path, names: Sequence[str], stream: IO[bytes]) -> Packed:
    """Write files to a tar archive, as they are when their turn comes."""
    import tarfile  # noqa: PLC0415 - most sweeps have nothing to pack

    kept, size, left_out = [], 0, []
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name in names:
            try:
                member, content = _member(root, name)
            except OSError as error:
                left_out.append(LeftOut(name, str(error.strerror)))
                continue
            if PRIVATE_KEY.match(content):
                left_out.append(LeftOut(name, "it is a private key", len(content)))
            elif len(content) > MAX_FILE_BYTES:
                left_out.append(LeftOut(name, "it is growing", len(content)))
            else:
                archive.addfile(member, io.BytesIO(content))
                kept.append(name)
                size += len(content)
    return Packed(kept, size, left_out)


def _member(root: Path, name: str) -> tuple[tarfile.TarInfo, bytes]:
    import tarfile  # noqa: PLC0415 - most sweeps have nothing to pack

    member = tarfile.TarInfo(name)
    path = root / name
    status = path.lstat()
    # With a fraction each file would get another header.
    member.mtime = int(status.st_mtime)
    member.mode = stat.S_IMODE(status.st_mode) & 0o777
    if stat.S_ISLNK(status.st_mode):
        member.type = tarfile.SYMTYPE
        member.linkname = os.readlink(path)  # noqa: PTH115 - as it is, slashes and all
        return member, b""
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "it is neither a file nor a link")
    # It may become a pipe at any moment.
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(fd, "rb") as file:
        content = file.read(MAX_FILE_BYTES + 1)
    member.size = len(content)
    return member, content


def unpack(stream: IO[bytes], root: Path) -> list[str]:
    """Write the files of an archive below `root`, and return their names.

    Raises
    ------
    ValueError
        If the archive is damaged, or a name in it leads elsewhere.
    OSError
        If a file cannot be written, or is there already.
    """
    import tarfile  # noqa: PLC0415 - most sweeps have nothing to unpack

    root = root.resolve()
    names = []
    try:
        with tarfile.open(fileobj=stream, mode="r:") as archive:
            for member in archive:
                path = inside(root, member.name)
                path.parent.mkdir(parents=True, exist_ok=True)
                if member.issym():
                    path.symlink_to(member.linkname)
                else:
                    _write(path, archive.extractfile(member), member)
                names.append(member.name)
    except (tarfile.TarError, EOFError) as error:
        raise ValueError(f"the archive of the untracked files is damaged: {error}") from error
    return names


def _write(path: Path, content: IO[bytes] | None, member: tarfile.TarInfo) -> None:
    if content is None:
        raise ValueError(f"{member.name!r} in the archive is neither a file nor a link")
    with path.open("xb") as file:
        file.write(content.read())
        os.fchmod(file.fileno(), member.mode & 0o777)
    os.utime(path, (member.mtime, member.mtime))


def inside(root: Path, name: str) -> Path:
    """Return the path of `name` below `root`, which is resolved.

    Raises
    ------
    ValueError
        If it would lead out of `root`, or into git's own files.
    """
    relative = PurePosixPath(name)
    path = root / relative
    wrong = relative.is_absolute() or {"..", ".git"}.intersection(relative.parts)
    if wrong or path.parent.resolve() != path.parent:
        raise ValueError(f"{name!r} in the snapshot leads out of the checkout")
    return path
