"""One connection to a host through the user's own ``ssh``, which all commands there share."""

from __future__ import annotations

import contextlib
import os
import select
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
import weakref
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Any

from launchkit.machine import processes
from launchkit.outside.ssh_route import ConnectionLost, Route

CONNECT_S = 60.0
"""Seconds until a host that neither lets in nor refuses is given up; a jump host adds to it."""
ANSWER_S = 300.0
LOST_CODE = 255
"""The exit code of ``ssh`` itself, for all that is not the command's."""
READY = b"launchkit-is-in"
SOCKET = "s"
LONGEST_SOCKET = 80
"""Bytes that the path of a socket may have; ``ssh`` adds some of its own to it."""


class CommandFailed(Exception):
    """A command on the host has failed, and the connection has not.

    Parameters
    ----------
    code
        Its exit code.
    said
        What it printed as an error.
    """

    def __init__(self, code: int, said: str) -> None:
        super().__init__(said or f"exit code {code}")
        self.code = code


class Connection:
    """A connection to a host, made when it is needed and made anew when it has been lost.

    Parameters
    ----------
    route
        How the host is reached.
    waiting
        Makes a block around each wait; what it raises there ends what was waited for.
    """

    def __init__(
        self,
        route: Route,
        waiting: Callable[[], AbstractContextManager[Any]] = contextlib.nullcontext,
    ) -> None:
        self.route = route
        self.waiting = waiting
        self._master: subprocess.Popen[bytes] | None = None
        self._folder: Path | None = None
        self._end: Callable[[], object] = lambda: None

    @property
    def folder(self) -> Path:
        """The private directory with the connection's socket."""
        if self._folder is None:
            self._folder = _make_folder()
            self._end = weakref.finalize(self, _remove, self._folder)
        return self._folder

    def open(self) -> None:
        """Connect, if that is not so.

        Raises
        ------
        ConnectionLost
            If the host cannot be reached, or does not let us in.
        """
        if self._master is not None and self._master.poll() is None:
            return
        self._drop()
        (self.folder / SOCKET).unlink(missing_ok=True)
        # It ends with this process, whose end of the pipe is closed then.
        command = f"echo {READY.decode()}; exec cat >/dev/null"
        errors = self.folder / "errors"
        with errors.open("wb") as stream:
            self._master = subprocess.Popen(
                [*self._client("yes"), f"sh -c {shlex.quote(command)}"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stream,
                start_new_session=True,
            )
        try:
            with self.waiting():
                let_in = self._is_let_in(self._master)
        except BaseException:
            self._drop()
            raise
        if not let_in:
            self._drop()
            raise ConnectionLost(_last_line(errors.read_bytes()) or "no answer")

    def close(self) -> None:
        """Disconnect, and remove what was needed for it."""
        self._drop()
        self._end()
        self._folder = None

    def run(self, script: str, data: bytes = b"", timeout: float = ANSWER_S) -> bytes:
        """Run a script of ``sh`` on the host, and return what it printed.

        Parameters
        ----------
        script
            The script. It stands in no command line, whatever the login shell there is.
        data
            What it reads.
        timeout
            Seconds after which the connection is taken for lost.

        Raises
        ------
        ConnectionLost
            If the host could not be asked, or its answer is not whole.
        CommandFailed
            If the script has failed.
        """
        with tempfile.TemporaryFile() as stream:
            stream.write(os.fsencode(script) + data)
            stream.seek(0)
            process = self.start(script, stream, subprocess.PIPE)
        try:
            with self.waiting():
                out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            end(process)
            self._drop()
            raise ConnectionLost(f"no answer in {timeout:g} s") from None
        except BaseException:
            end(process)
            raise
        check_code(process.returncode, err)
        return out

    def start(self, script: str, stdin: int | IO[bytes], stdout: int) -> subprocess.Popen[bytes]:
        """Start ``ssh`` with a script; the caller writes that, and what it reads, to `stdin`."""
        self.open()
        return self._popen(self.command(script), stdin, stdout)

    def command(self, script: str) -> list[str]:
        """Return the command that runs a script, which it reads before anything else."""
        # In words that sh, csh and fish read alike. `dd` takes not a byte more than these.
        count = len(os.fsencode(script))
        return [*self._client("no"), f"sh -c 'eval \"$(dd bs=1 count={count} 2>/dev/null)\"'"]

    def start_local(self, command: Sequence[str], data: IO[bytes]) -> subprocess.Popen[bytes]:
        """Start a program on this machine that reaches the host by `wrapper`."""
        self.open()
        return self._popen(command, data, subprocess.PIPE)

    def wrapper(self) -> Path:
        """Return a program that runs a command on the host, whatever host it is given."""
        path = self.folder / "ssh"
        words = shlex.join(self._client("no"))
        path.write_text(f'#!/bin/sh\nshift\nexec {words} "$@"\n', encoding="utf-8")
        path.chmod(0o700)
        return path

    def _client(self, master: str) -> list[str]:
        socket = ["-o", f"ControlPath={self.folder / SOCKET}", "-o", f"ControlMaster={master}"]
        return ["ssh", *socket, *self.route.options(), "--", self.route.host]

    def _popen(
        self, command: Sequence[str], stdin: int | IO[bytes], stdout: int
    ) -> subprocess.Popen[bytes]:
        parent = os.getpid()
        return subprocess.Popen(
            command,
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.PIPE,
            # Ctrl-C is the launcher's affair; and what is killed with it writes no more.
            start_new_session=True,
            preexec_fn=lambda: processes.end_with(parent),  # noqa: PLW1509 - there is no thread
        )

    def _is_let_in(self, master: subprocess.Popen[bytes]) -> bool:
        assert master.stdout is not None
        deadline, said = time.monotonic() + CONNECT_S, b""
        while READY not in said:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([master.stdout], [], [], left)[0]:
                return False
            new = os.read(master.stdout.fileno(), 4096)
            if not new:
                master.wait()
                return False
            said += new
        return True

    def _drop(self) -> None:
        master, self._master = self._master, None
        if master is None:
            return
        end(master)
        for stream in (master.stdin, master.stdout):
            assert stream is not None
            with contextlib.suppress(OSError):
                stream.close()


def end(process: subprocess.Popen[bytes]) -> None:
    """End a program that leads a session, with all it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(2.0)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def check_code(code: int, err: bytes) -> None:
    """Raise ConnectionLost or CommandFailed if an exit code of ``ssh`` says so."""
    if code == LOST_CODE or code < 0:
        raise ConnectionLost(_last_line(err) or f"ssh has ended with {code}")
    if code:
        raise CommandFailed(code, _last_line(err))


def lacking() -> list[str]:
    """Return what is lacking on this machine, a phrase each."""
    return [] if shutil.which("ssh") else ["ssh (the program is not on PATH)"]


def _make_folder() -> Path:
    usual = tempfile.gettempdir()
    fits = len(os.fsencode(usual)) + len("/lk-12345678/") + len(SOCKET) <= LONGEST_SOCKET
    return Path(tempfile.mkdtemp(prefix="lk-", dir=usual if fits else "/tmp"))  # noqa: S108 - private


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def _last_line(text: bytes) -> str:
    lines = [line.strip() for line in text.decode(errors="replace").splitlines() if line.strip()]
    # It ends a story about keys that begins with a frame of these.
    lines = [line for line in lines if set(line) != {"@"}]
    for line in lines:
        if "HOST IDENTIFICATION HAS CHANGED" in line:
            return line.strip("@ ")
    return lines[-1] if lines else ""
