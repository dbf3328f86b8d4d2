"""Bringing a sweep's files to a host and home, with rsync, or tar where one side lacks it.

Either way a file has its name only once it is whole. What has gone there stays here.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import IO

from launchkit.outside.landing import bearable, land, make_folders
from launchkit.outside.listing import Entry
from launchkit.outside.remote import INCOMING, Remote
from launchkit.outside.ssh import CommandFailed, Connection, check_code, end
from launchkit.outside.ssh_route import ConnectionLost

BROKEN_RSYNC_CODES = (10, 12, 20, 30, 35, 255)
"""Exit codes of rsync that come of a connection."""
PARTIAL_RSYNC_CODES = (23, 24)
TRANSFER_S = 24 * 3600.0
BLOCK = 2**20


class Transfer:
    """The way of a sweep's files between this machine and a host.

    Parameters
    ----------
    connection
        The connection to the host.
    remote
        The sweep's directory there.
    home
        The directory here that is like the one there: around the sweep's own.
    staging
        A directory here for files that are not whole yet; it is made.
    rsync
        Whether both sides have rsync.
    """

    def __init__(
        self, connection: Connection, remote: Remote, home: Path, staging: Path, *, rsync: bool
    ) -> None:
        self._connection = connection
        self._remote = remote
        self._home = home
        self._staging = staging
        self._rsync = rsync

    def take(self, wanted: Sequence[Entry]) -> str:
        """Bring files and links home, and return what has gone wrong; nothing, mostly.

        Raises
        ------
        ConnectionLost
            If it was not possible to bring all of them; those that are here are whole.
        OSError
            If they cannot be written here.
        """
        problems = [make_folders(self._home, wanted)]
        names = [entry.name for entry in wanted if entry.kind != "d"]
        if names:
            self._staging.mkdir(mode=0o700, exist_ok=True)
            data = b"".join(b"./" + name + b"\0" for name in names)
            take = self._take_rsync if self._rsync else self._take_tar
            problems.append(take(data))
        return next(filter(None, problems), "")

    def read(self, wanted: Sequence[Entry]) -> dict[bytes, tuple[bytes, float]]:
        """Return the content of small files, and when each was changed."""
        data = b"".join(b"./" + entry.name + b"\0" for entry in wanted)
        if not data:
            return {}
        script = self._remote.send()
        found = {}
        with tempfile.TemporaryFile() as stream:
            stream.write(self._connection.run(script, data))
            stream.seek(0)
            with _reading(stream) as archive:
                for member in archive:
                    content = archive.extractfile(member)
                    if content is not None:
                        found[_name(member)] = (content.read(), float(member.mtime))
        return found

    def put(self, names: Sequence[bytes], wiped: Collection[str] = ()) -> None:
        """Bring files and links to the host.

        Parameters
        ----------
        names
            Their names, relative to `home`. What is not here any more is left out.
        wiped
            Directories to remove there before.

        Raises
        ------
        ConnectionLost, CommandFailed
            If that was not possible; those that are there are whole.
        """
        names = [name for name in names if os.path.lexists(self._here(name))]
        if self._rsync and sum(self._here(name).lstat().st_size for name in names) > BLOCK:
            if wiped:
                self._connection.run(self._remote.wipe(wiped))
            self._put_rsync(b"".join(b"./" + name + b"\0" for name in names))
        elif names or wiped:
            self._put_tar(names, self._remote.receive(wiped))

    def clear(self) -> None:
        """Remove what was under way here."""
        shutil.rmtree(self._staging, ignore_errors=True)

    def _here(self, name: bytes) -> Path:
        return self._home / os.fsdecode(name)

    # rsync

    def _take_rsync(self, data: bytes) -> str:
        return self._run_rsync(
            # Asked for because they have changed: not to be guessed from size and time again.
            ["--ignore-times", "--no-implied-dirs", f"--temp-dir={self._staging}"],
            [f"there:{self._base()}", f"{self._home}/"],
            data,
        )

    def _put_rsync(self, data: bytes) -> None:
        there = f"there:{self._base()}"
        problem = self._run_rsync([f"--temp-dir={INCOMING}"], [f"{self._home}/", there], data)
        if problem:
            raise CommandFailed(PARTIAL_RSYNC_CODES[0], problem)

    def _base(self) -> str:
        base = self._remote.base
        return f"{base}/" if base.startswith("/") else f"./{base}/"

    def _run_rsync(self, options: Sequence[str], ends: Sequence[str], data: bytes) -> str:
        command = [
            *("rsync", "--protect-args", "--links", "--perms", "--times", "--omit-dir-times"),
            *("--from0", "--files-from=-", f"--rsh={self._connection.wrapper()}"),
            *options,
            *ends,
        ]
        with tempfile.TemporaryFile() as stream:
            stream.write(data)
            stream.seek(0)
            process = self._connection.start_local(command, stream)
        try:
            with self._connection.waiting():
                _, err = process.communicate(timeout=TRANSFER_S)
        except BaseException:
            end(process)
            raise
        said = _first_line(err)
        code = process.returncode
        if code in BROKEN_RSYNC_CODES or code < 0:
            raise ConnectionLost(said or f"rsync has ended with {code}")
        if code in PARTIAL_RSYNC_CODES:
            return said or "some files have vanished"
        if code:
            raise OSError(said or f"rsync has ended with {code}")
        return ""

    # tar

    def _take_tar(self, data: bytes) -> str:
        script = self._remote.send()
        with tempfile.TemporaryFile() as stream:
            stream.write(os.fsencode(script) + data)
            stream.seek(0)
            process = self._connection.start(script, stream, subprocess.PIPE)
        assert process.stdout is not None
        missing = {name.removeprefix(b"./") for name in data.split(b"\0") if name}
        problem = ""
        try:
            with process.stdout as coming, _reading(coming) as archive:
                while (member := self._next(archive)) is not None:
                    name = _name(member)
                    if name in missing:
                        missing.discard(name)
                        problem = self._land(archive, member, self._here(name)) or problem
            with self._connection.waiting():
                code = process.wait()
        except BaseException:
            end(process)
            raise
        assert process.stderr is not None
        with process.stderr as errors:
            check_code(code, errors.read())
        if missing and not problem:
            problem = f"{os.fsdecode(min(missing))} cannot be read there, or has vanished"
        return problem

    def _next(self, archive: tarfile.TarFile) -> tarfile.TarInfo | None:
        with self._connection.waiting():
            return archive.next()

    def _land(self, archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> str:
        """Give what comes next its name, once it is whole."""
        temporary = self._staging / os.urandom(8).hex()
        try:
            if member.issym():
                temporary.symlink_to(member.linkname)
            else:
                content = archive.extractfile(member)
                if content is None:
                    return ""
                with temporary.open("xb") as stream, self._connection.waiting():
                    shutil.copyfileobj(content, stream, BLOCK)
                temporary.chmod(member.mode & 0o777)
                os.utime(temporary, (member.mtime, member.mtime))
            return land(temporary, path)
        except OSError as error:
            return bearable(error, path)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink()

    def _put_tar(self, names: Sequence[bytes], script: str) -> None:
        reading, writing = os.pipe()
        sink = os.fdopen(writing, "wb")
        try:
            with os.fdopen(reading, "rb") as source:
                process = self._connection.start(script, source, subprocess.PIPE)
            try:
                with self._connection.waiting():
                    self._pack(names, os.fsencode(script), sink)
            except BrokenPipeError:
                pass  # what it says of that follows
            except BaseException:
                end(process)
                raise
        finally:
            with contextlib.suppress(BrokenPipeError):
                sink.close()
        try:
            with self._connection.waiting():
                _, err = process.communicate()
        except BaseException:
            end(process)
            raise
        check_code(process.returncode, err)

    def _pack(self, names: Sequence[bytes], script: bytes, sink: IO[bytes]) -> None:
        sink.write(script)
        with tarfile.open(fileobj=sink, mode="w|", format=tarfile.GNU_FORMAT) as archive:
            for name in names:
                path = self._here(name)
                try:
                    member = archive.gettarinfo(path, arcname=os.fsdecode(name))
                except FileNotFoundError:
                    continue
                if member.isreg() or member.islnk():
                    member.type, member.linkname = tarfile.REGTYPE, ""
                    with path.open("rb") as stream:
                        # What is appended to it meanwhile goes along the next time.
                        member.size = os.fstat(stream.fileno()).st_size
                        archive.addfile(member, stream)
                elif member.issym():
                    archive.addfile(member)
        sink.flush()


@contextlib.contextmanager
def _reading(stream: IO[bytes]) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            yield archive
    except (tarfile.TarError, EOFError) as error:
        raise ConnectionLost(f"what came is not whole ({error})") from error


def _name(member: tarfile.TarInfo) -> bytes:
    return os.fsencode(member.name).removeprefix(b"./")


def _first_line(err: bytes) -> str:
    lines = [line.strip() for line in err.decode(errors="replace").splitlines() if line.strip()]
    return lines[0] if lines else ""
