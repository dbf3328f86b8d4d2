"""A bucket of S3, through boto3."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from launchkit.cloud.patience import PATIENCE_S, Patience
from launchkit.cloud.stores import Expired, Object, Refused, StoreError

try:
    from boto3.s3.transfer import TransferConfig

    from launchkit.cloud import s3_errors
    from launchkit.cloud.s3_client import S3Client
except ModuleNotFoundError as missing:
    raise Refused(
        f"buckets of S3 need {missing.name}, which is not installed; "
        "`pip install 'hydra-launchkit[ec2]'`"
    ) from missing

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
        self._client = S3Client(bucket, region, patience_s)

    def put(self, key: str, data: bytes | Path) -> str:
        """Write an object, whole or not at all, and return its etag."""
        if isinstance(data, Path) and data.stat().st_size > IN_PARTS:
            return self._put_in_parts(key, data)
        content = data.read_bytes() if isinstance(data, Path) else data
        answer = self._client.ask(
            key, lambda s3: s3.put_object(**self._of(key), Body=content, **AS)
        )
        return str(answer["ETag"])

    def _put_in_parts(self, key: str, path: Path) -> str:
        config = TransferConfig(multipart_threshold=IN_PARTS, multipart_chunksize=IN_PARTS)

        def upload(s3: Any) -> None:
            s3.upload_file(str(path), self._bucket, key, ExtraArgs=AS, Config=config)

        # All that has gone so far would go again for the sake of one part.
        self._client.ask(key, upload, tries=TRIES_OF_A_PART)
        return str(self._client.ask(key, lambda s3: s3.head_object(**self._of(key)))["ETag"])

    def get(self, key: str) -> tuple[bytes, str]:
        """Return a small object's content, and its etag."""

        def get(s3: Any) -> tuple[bytes, str]:
            answer = s3.get_object(**self._of(key))
            return answer["Body"].read(), answer["ETag"]

        return self._client.ask(key, get)

    def fetch(self, key: str, path: Path, *, unless: str | None = None) -> str | None:
        """Write an object's content to a file here, and return its etag."""
        patience = self._client.patience(key)
        have, etag = 0, ""

        def fetch(s3: Any) -> str:
            nonlocal have, etag
            answer = s3.get_object(**self._of(key), **_condition(have, etag, unless))
            if "ContentRange" not in answer:
                have = 0
            etag = str(answer["ETag"])
            with path.open("ab" if have else "wb") as stream:
                # A body that ends early is an error of botocore's.
                for block in answer["Body"].iter_chunks(BLOCK):
                    stream.write(block)
                    have += len(block)
                    patience.progress()
            return etag

        while True:
            try:
                return self._client.ask(key, fetch, patience=patience)
            except s3_errors.ConditionFailed:
                if not have:
                    return None
                # It has been written anew while it was on its way.
                have = 0

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
        answer: dict[str, Any] = self._client.ask(
            "", lambda s3: s3.list_objects_v2(Bucket=self._bucket, Prefix=prefix, **more)
        )
        return answer

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects, there or not."""
        left = iter(keys)
        while some := tuple(islice(left, AT_ONCE)):
            patience = self._client.patience("")
            while some:
                some = self._delete(some, patience)

    def _delete(self, keys: Iterable[str], patience: Patience) -> tuple[str, ...]:
        """Ask for objects to be removed, and return those for which to ask again."""
        wanted = {"Objects": [{"Key": key} for key in keys], "Quiet": True}
        answer = self._client.ask(
            "",
            lambda s3: s3.delete_objects(Bucket=self._bucket, Delete=wanted),
            patience=patience,
        )
        failed = {
            each["Key"]: s3_errors.of_an_object(each)
            for each in answer.get("Errors", ())
            if each["Code"] != "NoSuchKey"
        }
        for key, error in failed.items():
            if not s3_errors.is_passing(error):
                raise s3_errors.meaning(error, self._bucket, key) from error
        if failed:
            patience.pause(next(iter(failed.values())))
        return tuple(failed)

    def check(self, prefix: str) -> None:
        """See to it that the bucket is there, and objects can be written, read and removed."""
        # An answer to HEAD has no room for its reason, such as credentials that have expired.
        self._page(f"{prefix}/", {"MaxKeys": 1})
        owner = self._owner()
        if owner:
            self._page(f"{prefix}/", {"MaxKeys": 1, "ExpectedBucketOwner": owner})
        self._warn_if_public()
        key = f"{prefix}/.probe-{os.urandom(6).hex()}".lstrip("/")
        self.put(key, key.encode())
        content, _ = self.get(key)
        self.delete([key])
        if content != key.encode():
            raise Refused(f"{self.url}: what was written to {key} was read as something else")

    def _owner(self) -> str:
        """Return the number of our account; nothing if we may not ask for it."""
        try:
            answer = self._client.ask("", lambda sts: sts.get_caller_identity(), service="sts")
        except Expired:
            raise
        except StoreError:
            return ""
        return str(answer["Account"])

    def _warn_if_public(self) -> None:
        try:
            answer = self._client.ask(
                "", lambda s3: s3.get_public_access_block(Bucket=self._bucket)
            )
            blocked = all(answer["PublicAccessBlockConfiguration"].values())
        except StoreError as error:
            blocked = s3_errors.code(error.__cause__) != s3_errors.NO_BLOCK  # we may not ask
        if not blocked:
            _log.warning(
                "%s does not block public access: `launchkit ec2 setup --bucket %s --apply` "
                "makes it so",
                self.url,
                self._bucket,
            )

    def _of(self, key: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": key}


def _condition(have: int, etag: str, unless: str | None) -> dict[str, str]:
    """Return on which condition an object is to be sent, and from which byte on."""
    if have:
        return {"Range": f"bytes={have}-", "IfMatch": etag}
    return {"IfNoneMatch": unless} if unless else {}
