"""What a bucket of a cloud is asked, whichever cloud it is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


class StoreError(Exception):
    """A bucket has not done what it was asked to."""


class NotThere(StoreError):
    """There is no object of that name."""


class Refused(StoreError):
    """The bucket is not there, or does not let us in: asking again does not help."""


class Expired(Refused):
    """The credentials are no longer valid: asking again helps once somebody has logged in."""


class Unreachable(StoreError):
    """The bucket could not be asked, although this was tried again for a while."""


@dataclass(frozen=True)
class Object:
    """An object, as a listing says.

    Parameters
    ----------
    key
        Its name in the bucket.
    size
        Bytes.
    etag
        What changes with its content.
    changed
        Seconds since the epoch.
    """

    key: str
    size: int
    etag: str
    changed: float


class Store(Protocol):
    """A bucket. Every method may be called from several threads at once.

    All of them raise `Refused` or `Unreachable` where they say nothing else.
    """

    url: str
    """``s3://bucket`` or ``gs://bucket``."""

    def put(self, key: str, data: bytes | Path) -> str:
        """Write an object, whole or not at all, and return its etag."""

    def get(self, key: str) -> tuple[bytes, str]:
        """Return a small object's content, and its etag.

        Raises
        ------
        NotThere
            If there is none.
        """

    def fetch(self, key: str, path: Path, *, unless: str | None = None) -> str | None:
        """Write an object's content to a file here, and return its etag.

        Parameters
        ----------
        key
            The object.
        path
            The file; it is no one's yet, and what is in it is of no use if this raises.
        unless
            An etag: with it the object is as it was, nothing is written, and None returned.

        Raises
        ------
        NotThere
            If there is none.
        OSError
            If the file cannot be written.
        """

    def list(self, prefix: str, *, delimiter: str = "") -> Iterator[Object]:
        """Go through the objects whose names begin so.

        With a delimiter, names that have it after the prefix are told once, up to it: as
        objects without size and etag.
        """

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects, there or not."""

    def check(self, prefix: str) -> None:
        """See to it that the bucket is there, and objects can be written, read and removed.

        Raises
        ------
        Refused
            If not; the message names the bucket, and the way out.
        """


def split(url: str) -> tuple[str, str, str]:
    """Return the scheme, the bucket and the prefix of an address such as ``s3://bucket/prefix``.

    Raises
    ------
    ValueError
        If it is none.
    """
    found = re.fullmatch(r"(s3|gs)://([a-z0-9][a-z0-9._-]*[a-z0-9])(?:/(.*))?", url)
    if found is None:
        raise ValueError(
            f"{url!r} is no address in a bucket, such as s3://bucket/prefix or gs://bucket/prefix"
        )
    return found[1], found[2], (found[3] or "").strip("/")


def open_store(
    scheme: str, bucket: str, *, region: str | None = None, project: str | None = None
) -> Store:
    """Return a bucket of a cloud.

    Parameters
    ----------
    scheme
        ``s3`` or ``gs``.
    bucket
        Its name.
    region
        Of S3's: where it is; None for AWS's own settings.
    project
        Of Google's: whose it is; None for Google's own settings.

    Raises
    ------
    Refused
        If the library that is needed is not there; the message has the command to install it.
    """
    if scheme == "s3":
        from launchkit.cloud.s3 import S3Store  # noqa: PLC0415 - needs boto3, of an extra

        return S3Store(bucket, region=region)
    from launchkit.cloud.gcs import GcsStore  # noqa: PLC0415 - needs Google's client, of an extra

    return GcsStore(bucket, project=project)
