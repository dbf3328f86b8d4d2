"""A bucket of S3, through boto3."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from launchkit.cloud.patience import PATIENCE_S, Patience, waiting
from launchkit.cloud.stores import Expired, Object, Refused, StoreError, Unreachable

try:
    import boto3
    from boto3.s3.transfer import TransferConfig
    from botocore.config import Config

    from launchkit.cloud import s3_errors
except ModuleNotFoundError as missing:
    raise Refused(
        f"buckets of S3 need {missing.name}, which is not installed; "
        "`pip install 'hydra-launchkit[ec2]'`"
    ) from missing

T = TypeVar("T")

CONNECT_S = 10.0
READ_S = 30.0
CONNECTIONS = 32
IN_PARTS = 8 * 2**20
"""From this size on, in bytes, a file goes in parts."""
TRIES_OF_A_PART = 5
AT_ONCE = 1000
"""How many objects one request can delete."""
BLOCK = 2**20
AS = {"ServerSideEncryption": "AES256", "ContentType": "application/octet-stream"}

_log = logging.getLogger(__name__)


class S3Store:
    """A bucket of S3: see `Store`.

    Parameters
    ----------
    bucket
        Its name.
    region
        Where it is; a bucket elsewhere is found all the same. None for AWS's own settings.
    patience_s
        For how many seconds to ask again what has failed for a while.
    """

    def __init__(
        self, bucket: str, *, region: str | None = None, patience_s: float = PATIENCE_S
    ) -> None:
        self.url = f"s3://{bucket}"
        self._bucket = bucket
        self._region = region or None
        self._patience_s = patience_s
        self._lock = threading.Lock()
        # boto3's clients have no types of their own.
        self._clients: dict[tuple[str, int], Any] = {}

    def put(self, key: str, data: bytes | Path) -> str:
        """Write an object, whole or not at all, and return its etag."""
        if isinstance(data, Path) and data.stat().st_size > IN_PARTS:
            return self._put_in_parts(key, data)
        content = data.read_bytes() if isinstance(data, Path) else data
        answer = self._ask(key, lambda s3: s3.put_object(**self._of(key), Body=content, **AS))
        return str(answer["ETag"])

    def _put_in_parts(self, key: str, path: Path) -> str:
        config = TransferConfig(multipart_threshold=IN_PARTS, multipart_chunksize=IN_PARTS)

        def upload(s3: Any) -> None:
            s3.upload_file(str(path), self._bucket, key, ExtraArgs=AS, Config=config)

        # All that has gone so far would go again for the sake of one part.
        self._ask(key, upload, tries=TRIES_OF_A_PART)
        return str(self._ask(key, lambda s3: s3.head_object(**self._of(key)))["ETag"])

    def get(self, key: str) -> tuple[bytes, str]:
        """Return a small object's content, and its etag."""

        def get(s3: Any) -> tuple[bytes, str]:
            answer = s3.get_object(**self._of(key))
            return answer["Body"].read(), answer["ETag"]

        return self._ask(key, get)

    def fetch(self, key: str, path: Path, *, unless: str | None = None) -> str | None:
        """Write an object's content to a file here, and return its etag."""
        patience = Patience(self._patience_s, f"{self.url}/{key}")
        etag = ""
        with path.open("wb") as stream:

            def fetch(s3: Any) -> str | None:
                nonlocal etag
                answer = s3.get_object(**self._of(key), **_condition(stream.tell(), etag, unless))
                etag = answer["ETag"]
                # A body that ends early is an error of botocore's.
                for block in answer["Body"].iter_chunks(BLOCK):
                    stream.write(block)
                    patience.progress()
                return etag

            while True:
                try:
                    return self._ask(key, fetch, patience=patience)
                except _Changed:
                    if not etag:
                        return None
                    # It has been written anew while it was on its way.
                    etag = ""
                    stream.seek(0)
                    stream.truncate()

    def list(self, prefix: str, *, delimiter: str = "") -> Iterator[Object]:
        """Go through the objects whose names begin so."""
        more: dict[str, str] = {"Delimiter": delimiter} if delimiter else {}
        while True:
            page = self._page(prefix, more)
            for each in page.get("Contents", ()):
                changed = each["LastModified"].timestamp()
                yield Object(each["Key"], each["Size"], each["ETag"], changed)
            for each in page.get("CommonPrefixes", ()):
                yield Object(each["Prefix"], 0, "", 0.0)
            if not page.get("IsTruncated"):
                return
            more["ContinuationToken"] = page["NextContinuationToken"]

    def _page(self, prefix: str, more: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = self._ask(
            "", lambda s3: s3.list_objects_v2(Bucket=self._bucket, Prefix=prefix, **more)
        )
        return answer

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects, there or not."""
        left = iter(keys)
        while some := list(islice(left, AT_ONCE)):
            patience = Patience(self._patience_s, self.url)
            while some:
                some = self._delete(some, patience)

    def _delete(self, keys: Iterable[str], patience: Patience) -> list[str]:
        """Ask for objects to be removed, and return those for which to ask again."""
        wanted = {"Objects": [{"Key": key} for key in keys], "Quiet": True}
        answer = self._ask(
            "",
            lambda s3: s3.delete_objects(Bucket=self._bucket, Delete=wanted),
            patience=patience,
        )
        failed = [each for each in answer.get("Errors", ()) if each["Code"] != "NoSuchKey"]
        for each in failed:
            error = s3_errors.of_an_object(each)
            if not s3_errors.is_passing(error):
                raise s3_errors.meaning(error, self._bucket, each["Key"]) from error
        if failed:
            patience.pause(s3_errors.of_an_object(failed[0]))
        return [each["Key"] for each in failed]

    def check(self, prefix: str) -> None:
        """See to it that the bucket is there, and objects can be written, read and removed."""
        # An answer to HEAD has no room for its reason, such as credentials that have expired.
        self._page(f"{prefix}/", {"MaxKeys": 1, **self._owner()})
        self._warn_if_public()
        key = f"{prefix}/.probe-{os.urandom(6).hex()}".lstrip("/")
        self.put(key, key.encode())
        content, _ = self.get(key)
        self.delete([key])
        if content != key.encode():
            raise Refused(f"{self.url}: what was written to {key} was read as something else")

    def _owner(self) -> dict[str, str]:
        """Return the condition that the bucket is ours, as far as we may know who we are."""
        try:
            account = self._ask("", lambda sts: sts.get_caller_identity(), service="sts")
        except Expired:
            raise
        except (Refused, Unreachable):
            return {}
        return {"ExpectedBucketOwner": account["Account"]}

    def _warn_if_public(self) -> None:
        try:
            answer = self._ask("", lambda s3: s3.get_public_access_block(Bucket=self._bucket))
            block = answer["PublicAccessBlockConfiguration"]
        except (Refused, Unreachable) as error:
            if s3_errors.code(_of(error)) != "NoSuchPublicAccessBlockConfiguration":
                return  # we may not ask
            block = {}
        if not (block and all(block.values())):
            _log.warning(
                "%s does not block public access: `aws s3api put-public-access-block` or "
                "`launchkit ec2 setup --apply` makes it so",
                self.url,
            )

    # Asking

    def _of(self, key: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": key}

    def _ask(
        self,
        key: str,
        ask: Callable[[Any], T],
        *,
        service: str = "s3",
        tries: int = 1,
        patience: Patience | None = None,
    ) -> T:
        """Ask until there is an answer.

        Parameters
        ----------
        key
            What it is about; empty if it is about the bucket.
        ask
            Asks a client of boto3's.
        service
            Whose client.
        tries
            How often the client itself asks before it gives up.
        patience
            How long to ask again.
        """
        patience = patience or Patience(self._patience_s, f"{self.url}/{key}".rstrip("/"))
        while True:
            try:
                with waiting():
                    return ask(self._client(service, tries))
            except Exception as raised:  # boto3's errors have no common base
                error = s3_errors.cause(raised)
                if s3_errors.is_passing(error):
                    patience.pause(error)
                    continue
                if s3_errors.code(error) in ("304", "NotModified", "412", "PreconditionFailed"):
                    raise _Changed from error
                if not s3_errors.is_known(error):
                    raise
                meaning = s3_errors.meaning(error, self._bucket, key)
                if isinstance(meaning, Expired):
                    # Who logs in anew writes files that only a new client reads.
                    self._clients.clear()
                raise meaning from error

    def _client(self, service: str, tries: int) -> Any:
        with self._lock:
            known = self._clients.get((service, tries))
            if known is None:
                known = boto3.session.Session().client(
                    service,
                    region_name=self._region,
                    config=Config(
                        connect_timeout=min(CONNECT_S, self._patience_s / 2),
                        # So that there is time for a second try.
                        read_timeout=min(READ_S, self._patience_s / 2),
                        max_pool_connections=CONNECTIONS,
                        # boto3 counts its tries, and we promise a time.
                        retries={"mode": "standard", "total_max_attempts": tries},
                    ),
                )
                self._clients[service, tries] = known
            return known
