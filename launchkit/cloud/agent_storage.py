"""The bucket of a machine of Google's: Cloud Storage's own interface, asked without a program.

``gcloud`` takes seconds to start, of which a machine that is taken back has few.
"""
# Python 3.6 is to run this: no `from __future__ import annotations`; what it lacks is in quotes.

import http.client
import json
import os
import random
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from launchkit.cloud.agent_metadata import token
from launchkit.cloud.agent_threads import Abandoned, together
from launchkit.cloud.agent_tool import BASE_S, BYTES_PER_S, ToolError

SERVICE = "https://storage.googleapis.com/"
SILENCE_S = 30.0
"""How long nothing may come, or go, before a request is given up."""
BLOCK = 2**18
TRIES = 3
PAUSE_S = 1.0
"""The longest pause before the second try; before the third, twice that."""
NOTHING = frozenset([304, 403, 404])
"""What is said where there is no object, or no other one; to who may not list, there is none."""
LATER = frozenset([401, 408, 429, 500, 502, 503, 504])
"""What a request may well be answered with once, and not again."""

if TYPE_CHECKING:
    Done = Callable[[], bool]
    Answer = tuple[Any, http.client.HTTPMessage]


class Storage:
    """A bucket, for whom `agent_tool.Tool` says; its attributes are these as well.

    Parameters
    ----------
    store
        The address of the bucket: ``gs://bucket``.
    """

    def __init__(self, store: str) -> None:
        bucket = urllib.parse.quote(store.partition("://")[2], safe="")
        self._objects = f"storage/v1/b/{bucket}/o"
        self._generations: dict[str, str] = {}
        self.until = float("inf")
        self.leaving = False
        self.worked = time.monotonic()

    def send(self, folder: Path, prefix: str, size: int) -> None:
        """Upload all files of a folder; see `Tool.send`."""
        top = os.fsencode(str(folder))
        paths = [
            os.path.join(where, name)  # noqa: PTH118 - names are bytes here
            for where, _, names in os.walk(top)
            for name in names
        ]
        work = [partial(self._put, path, f"{prefix}/{_name(path, top)}") for path in paths]
        self._all(work, BASE_S + size / BYTES_PER_S)

    def get_all(self, prefix: str, folder: Path) -> None:
        """Download all objects below a prefix; see `Tool.get_all`."""
        keys: list[str] = []
        self._all([partial(self._list, prefix + "/", keys)], BASE_S, fetches=True)
        work: list[Callable[[Done], object]] = []
        for key in keys:
            path = folder / key[len(prefix) + 1 :]
            path.parent.mkdir(parents=True, exist_ok=True)
            work.append(partial(self._get, key, path, {}))
        self._all(work, 15 * BASE_S, fetches=True)

    def get(self, key: str, path: Path, *, again: bool = False) -> bool:
        """Download an object; return whether there is one, and a new one; see `Tool.get`."""
        known = self._generations.get(key) if again else None
        query = {"ifGenerationNotMatch": known} if known else {}
        try:
            self._all([partial(self._get, key, path, query)], 15 * BASE_S, fetches=True)
        except StorageError as error:
            if error.code not in NOTHING:
                raise
            self.worked = time.monotonic()
            return False
        return True

    def _all(
        self, work: "Sequence[Callable[[Done], object]]", timeout: float, *, fetches: bool = False
    ) -> None:
        """Do what there is to do, several things at a time, within what time there is."""
        until = time.monotonic() + timeout

        def over() -> bool:
            left = min(until, self.until) - time.monotonic()
            return left <= 0 or (fetches and self.leaving)

        try:
            together(work, over)
        except Abandoned:
            raise ToolError("Cloud Storage does not come to an end") from None
        if work:
            self.worked = time.monotonic()

    # One request

    def _silence(self) -> float:
        """Return how many seconds nothing may come: a machine that ends soon tries twice."""
        return min(SILENCE_S, max(1.0, (self.until - time.monotonic()) / 2))

    def _put(self, path: bytes, key: str, over: "Done") -> None:
        def attempt() -> None:
            with open(path, "rb") as stream:  # noqa: PTH123 - a name of bytes
                size = os.fstat(stream.fileno()).st_size
                query = {"uploadType": "media", "name": key, "fields": "size"}
                told, _ = _ask(
                    "upload/" + self._objects, query, self._silence(),
                    data=_blocks(stream, size, over), size=size,
                )  # fmt: skip
            if int(told["size"]) != size:
                raise OSError("the upload is not whole")

        _patiently(attempt, key, over)

    def _get(self, key: str, path: Path, query: "dict[str, str]", over: "Done") -> None:
        """Download an object, and note its generation."""
        new = path.with_name(f".{path.name[:200]}.get")
        where = "{}/{}".format(self._objects, urllib.parse.quote(key, safe=""))

        def attempt() -> str:
            with new.open("wb") as stream:
                asked = {"alt": "media", **query}
                _, headers = _ask(where, asked, self._silence(), into=stream, over=over)
            new.replace(path)
            return headers.get("x-goog-generation") or ""

        try:
            self._generations[key] = _patiently(attempt, key, over)
        finally:
            if new.exists():
                new.unlink()

    def _list(self, prefix: str, found: "list[str]", over: "Done") -> None:
        query = {"prefix": prefix, "fields": "items/name,nextPageToken"}
        while True:
            told, _ = _patiently(lambda: _ask(self._objects, query, self._silence()), prefix, over)
            names = [item["name"] for item in told.get("items", ())]
            # A name that ends so stands for a folder.
            found += [name for name in names if not name.endswith("/")]
            if "nextPageToken" not in told:
                return
            query["pageToken"] = told["nextPageToken"]


class StorageError(ToolError):
    """Cloud Storage says no; `code` is the status of its answer."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


def _patiently(attempt: "Callable[[], Any]", key: str, over: "Done") -> Any:
    """Ask once, and again if that may help."""
    for left in reversed(range(TRIES)):
        try:
            return attempt()
        except urllib.error.HTTPError as error:
            with error:
                said = _reason(error)
            if error.code not in LATER:
                raise StorageError(f"{key}: {error.code} {said}", error.code) from None
            if not left:
                # No word of the object, which is not to blame.
                raise ToolError(f"Cloud Storage: {error.code} {said}") from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            if not left:
                problem = f"{type(error).__name__}: {error}"
                raise ToolError("no connection to Cloud Storage: " + problem) from None
        if over():
            raise Abandoned
        time.sleep(random.uniform(0.2, 1.0) * PAUSE_S * (TRIES - left))
    raise AssertionError  # the last attempt returns or raises


def _ask(
    path: str,
    query: "dict[str, str]",
    silence_s: float,
    *,
    data: "Iterator[bytes] | None" = None,
    size: int = 0,
    into: "BinaryIO | None" = None,
    over: "Done | None" = None,
) -> "Answer":
    """Ask for something, and return what is said, or nothing if it was written to a file."""
    headers = {"Authorization": "Bearer " + token()}
    if data is not None:
        headers.update({"Content-Type": "application/octet-stream", "Content-Length": str(size)})
    address = SERVICE + path + "?" + urllib.parse.urlencode(query)
    # What is empty goes as bytes: an iterator's length is not believed to be 0.
    body = data if size else (b"" if data is not None else None)
    asked = urllib.request.Request(address, data=body, headers=headers)  # noqa: S310 - https
    with urllib.request.urlopen(asked, timeout=silence_s) as answer:  # noqa: S310 - https
        if into is None:
            return json.loads(answer.read().decode()), answer.headers
        came = 0
        for block in iter(lambda: answer.read(BLOCK), b""):
            if over is not None and over():
                raise Abandoned
            into.write(block)
            came += len(block)
        # Where it says so: a connection that is cut looks like the end.
        if str(came) != answer.headers.get("Content-Length", str(came)):
            raise OSError("the download is not whole")
        return None, answer.headers


def _blocks(stream: BinaryIO, size: int, over: "Done") -> "Iterator[bytes]":
    """Yield so many bytes of a file."""
    left = size
    while left > 0:
        block = stream.read(min(left, BLOCK))
        if not block or over():
            raise Abandoned if block else OSError("the file got shorter")
        yield block
        left -= len(block)


def _reason(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.loads(error.read().decode())["error"]["message"])
    except (OSError, ValueError, KeyError, TypeError, http.client.HTTPException):
        return str(error.reason)


def _name(path: bytes, top: bytes) -> str:
    return os.fsdecode(path[len(top) + 1 :])
