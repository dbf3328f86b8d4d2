"""The bucket of a machine of Amazon's, which the program ``aws`` talks to."""
# Python 3.6 is to run this: no `from __future__ import annotations`; what it lacks is in quotes.

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

LOOK_S = 0.5
BASE_S = 120.0
"""How long a call may take, apart from its bytes."""
BYTES_PER_S = 2**20
"""The slowest bucket that is waited for."""
QUICK_BYTES = 2**24
"""What goes in no time, if it goes at all."""
AWS = ("aws", "--cli-connect-timeout", "10", "--cli-read-timeout", "30")
NOTHING = (
    "304",
    "Not Modified",
    "NoSuchKey",
    "404",
    "403",
    "AccessDenied",
)
"""What the program says where there is no object, or no other one than before.

S3 tells only those who may list the whole bucket that there is none.
"""


class ToolError(Exception):
    """The program has not done what it was asked to; the message is its last word."""


class Tool:
    """The program that talks to a bucket.

    Parameters
    ----------
    store
        The address of the bucket: ``s3://bucket``.
    region
        The region of the bucket; empty for what the environment says.

    Attributes
    ----------
    until
        When calls have to be over, by the monotonic clock.
    leaving
        Whether nothing is to be fetched any more.
    worked
        When one has worked last, by the monotonic clock.
    """

    def __init__(self, store: str, region: str) -> None:
        self._store = store
        self._environment = dict(os.environ, LC_ALL="C.UTF-8")
        if region:
            self._environment["AWS_DEFAULT_REGION"] = region
        self._etags: dict[str, str] = {}
        self.until = float("inf")
        self.leaving = False
        self.worked = time.monotonic()

    def send(self, folder: Path, prefix: str, size: int) -> None:
        """Upload all files of a folder, their names below a prefix; hidden ones too.

        Parameters
        ----------
        folder
            The folder; its last component is that of the prefix.
        prefix
            The prefix.
        size
            How many bytes that is.

        Raises
        ------
        ToolError
            If not all of it has been uploaded.
        """
        command = [
            *(*AWS, "s3", "cp", "--recursive", "--only-show-errors", "--sse", "AES256"),
            *("--no-guess-mime-type", str(folder), f"{self._store}/{prefix}"),
        ]
        timeout = BASE_S + size / BYTES_PER_S
        if self.leaving and size < QUICK_BYTES:
            # One that gets no answer is to be tried once more.
            timeout = min(timeout, (self.until - time.monotonic()) / 2)
        self._call(command, timeout)

    def get_all(self, prefix: str, folder: Path) -> None:
        """Download all objects whose names begin with a prefix and a slash.

        Raises
        ------
        ToolError
            If not all of them are here then.
        """
        source = f"{self._store}/{prefix}/"
        command = [*AWS, "s3", "cp", "--recursive", "--only-show-errors", source, str(folder)]
        self._call(command, 15 * BASE_S, fetches=True)

    def get(self, key: str, path: Path, *, again: bool = False) -> bool:
        """Download an object; return whether there is one.

        Parameters
        ----------
        key
            Its name.
        path
            The file, which gets its name once it is whole.
        again
            Whether it is of interest only if it has changed since the last time.

        Raises
        ------
        ToolError
            If it could not be asked for.
        """
        folder = Path(tempfile.mkdtemp(dir=str(path.parent), prefix=".get"))
        new = folder / "object"
        try:
            said = self._call(self._get_command(key, new, again), 15 * BASE_S, fetches=True)
            new.replace(path)
        except ToolError as error:
            if any(word in str(error) for word in NOTHING):
                self.worked = time.monotonic()
                return False
            raise
        finally:
            shutil.rmtree(str(folder), ignore_errors=True)
        if again:
            self._etags[key] = said.strip()
        return True

    def _get_command(self, key: str, path: Path, again: bool) -> "list[str]":
        known = self._etags.get(key) if again else None
        bucket = self._store.partition("://")[2]
        return [
            *(*AWS, "s3api", "get-object", "--bucket", bucket, "--key", key),
            *(["--if-none-match", known] if known else []),
            *("--query", "ETag", "--output", "text", str(path)),
        ]

    def _call(self, command: "list[str]", timeout: float, *, fetches: bool = False) -> str:
        """Run a command to its end, and return what it has printed."""
        began = time.monotonic()
        with tempfile.TemporaryFile() as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self._environment,
                start_new_session=True,
            )
            try:
                self._wait(process, began + timeout, fetches)
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
            output.seek(0)
            said = output.read().decode(errors="replace").strip()
        if process.returncode:
            raise ToolError(said or f"exit code {process.returncode}")
        self.worked = time.monotonic()
        return said

    def _wait(self, process: "subprocess.Popen[bytes]", until: float, fetches: bool) -> None:
        while True:
            left = min(until, self.until) - time.monotonic()
            if left <= 0 or (fetches and self.leaving):
                raise ToolError("aws does not come to an end")
            try:
                process.wait(min(LOOK_S, left))
            except subprocess.TimeoutExpired:
                continue
            return
