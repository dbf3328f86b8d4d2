"""A bucket of Google Cloud Storage, through Google's client."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import IO, Any, TypeVar

from launchkit.cloud.patience import (
    FIRST_PAUSE_S,
    LONGEST_PAUSE_S,
    PATIENCE_S,
    Patience,
    waiting,
)
from launchkit.cloud.stores import Expired, NotThere, Object, Refused, StoreError

try:
    import requests.adapters
    from google.api_core.retry import Retry
    from google.cloud import storage

    from launchkit.cloud import gcs_errors
except ImportError as missing:
    raise Refused(
        f"buckets of Google's need {missing.name}, which is not installed; "
        "`pip install 'hydra-launchkit[gcp]'`"
    ) from missing

T = TypeVar("T")

CONNECT_S = 10.0
READ_S = 30.0
CONNECTIONS = 32
IN_PARTS = 8 * 2**20
"""From this size on, in bytes, a file goes in parts."""
AT_ONCE = 8
"""How many objects are removed at a time."""
TYPE = "application/octet-stream"

_log = logging.getLogger(__name__)


class GcsStore:
    """A bucket of Google's: see `Store`. The etags are the numbers of generations.

    Parameters
    ----------
    bucket
        Its name.
    project
        Whose it is; None for Google's own settings.
    patience_s
        For how many seconds to ask again what has failed for a while.
    """

    def __init__(
        self, bucket: str, *, project: str | None = None, patience_s: float = PATIENCE_S
    ) -> None:
        self.url = f"gs://{bucket}"
        self._name = bucket
        self._project = project
        self._patience_s = patience_s
        # So that there is time to ask a second time.
        self._timeout = (min(CONNECT_S, patience_s / 2), min(READ_S, patience_s / 2))
        self._lock = threading.Lock()
        # Google's client has no types.
        self._made: Any = None

    def put(self, key: str, data: bytes | Path) -> str:
        """Write an object, whole or not at all, and return its etag."""
        in_parts = isinstance(data, Path) and data.stat().st_size > IN_PARTS
        content = data.read_bytes() if isinstance(data, Path) and not in_parts else data

        def put(bucket: Any, how: dict[str, Any]) -> str:
            blob = bucket.blob(key, chunk_size=IN_PARTS if in_parts else None)
            if isinstance(content, Path):
                blob.upload_from_filename(str(content), content_type=TYPE, **how)
            else:
                blob.upload_from_string(content, content_type=TYPE, **how)
            return str(blob.generation)

        return self._ask(key, put)

    def get(self, key: str) -> tuple[bytes, str]:
        """Return a small object's content, and its etag."""

        def get(bucket: Any, how: dict[str, Any]) -> tuple[bytes, str]:
            blob = bucket.blob(key)
            content = blob.download_as_bytes(raw_download=True, **how)
            return content, str(blob.generation)

        return self._ask(key, get)

    def fetch(self, key: str, path: Path, *, unless: str | None = None) -> str | None:
        """Write an object's content to a file here, and return its etag."""
        patience = self._patience(key)

        def fetch(bucket: Any, how: dict[str, Any]) -> str | None:
            blob = bucket.blob(key)
            landing = _Landing(path, patience)
            try:
                # What breaks off is gone on with by the client itself, if it is still the same.
                blob.download_to_file(
                    landing,
                    raw_download=True,
                    if_generation_not_match=int(unless) if unless else None,
                    **how,
                )
                landing.write(b"")
            except Exception as error:
                status = gcs_errors.status_of(error)
                if status == gcs_errors.NOT_MODIFIED:
                    return None
                if status == gcs_errors.NOT_THERE and landing.begun:
                    raise ConnectionError("it was written anew on its way") from error
                raise
            finally:
                landing.close()
            return str(blob.generation)

        return self._ask(key, fetch, patience=patience)

    def list(self, prefix: str, *, delimiter: str = "") -> Iterator[Object]:
        """Go through the objects whose names begin so."""
        token = None
        while True:
            page = self._page(prefix, delimiter=delimiter or None, page_token=token)
            yield from page[0]
            token = page[1]
            if not token:
                return

    def _page(self, prefix: str, **more: Any) -> tuple[tuple[Object, ...], str | None]:
        """Return a page of a listing, and how the next one is asked for."""

        def page(bucket: Any, how: dict[str, Any]) -> tuple[tuple[Object, ...], str | None]:
            found = bucket.list_blobs(prefix=prefix, **more, **how)
            objects = [
                Object(each.name, each.size, str(each.generation), each.updated.timestamp())
                for each in next(found.pages, ())
            ]
            folders = [Object(name, 0, "", 0.0) for name in sorted(found.prefixes)]
            return (*objects, *folders), found.next_page_token

        return self._ask("", page)

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects, there or not."""
        left = iter(keys)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            while some := tuple(islice(left, AT_ONCE)):
                for _ in pool.map(self._delete, some):
                    pass

    def _delete(self, key: str) -> None:
        with contextlib.suppress(NotThere):
            self._ask(key, lambda bucket, how: bucket.delete_blob(key, **how))

    def check(self, prefix: str) -> None:
        """See to it that the bucket is there, and objects can be written, read and removed."""
        self._page(f"{prefix}/", max_results=1)
        self._warn_if_public()
        key = f"{prefix}/.probe-{os.urandom(6).hex()}".lstrip("/")
        self.put(key, key.encode())
        content, _ = self.get(key)
        self.delete([key])
        if content != key.encode():
            raise Refused(f"{self.url}: what was written to {key} was read as something else")

    def _warn_if_public(self) -> None:
        def ask(bucket: Any, how: dict[str, Any]) -> bool:
            bucket.reload(**how)
            return bool(bucket.iam_configuration.public_access_prevention == "enforced")

        try:
            blocked = self._ask("", ask)
        except Expired:
            raise
        except StoreError:  # we may not ask
            return
        if not blocked:
            _log.warning(
                "%s does not prevent public access: `launchkit gcp setup --bucket %s --apply` "
                "makes it so",
                self.url,
                self._name,
            )

    # Asking

    def _patience(self, key: str) -> Patience:
        return Patience(self._patience_s, f"{self.url}/{key}".rstrip("/"))

    def _ask(
        self,
        key: str,
        ask: Callable[[Any, dict[str, Any]], T],
        *,
        patience: Patience | None = None,
    ) -> T:
        """Ask until there is an answer.

        Parameters
        ----------
        key
            What it is about; empty if it is about the bucket.
        ask
            Asks Google's client about the bucket; it gets the bucket, and how to ask.
        patience
            How long to ask again.
        """
        patience = patience or self._patience(key)
        how = {"timeout": self._timeout, "retry": _retry(patience)}
        while True:
            try:
                with waiting():
                    return ask(self._bucket(), how)
            except Exception as error:
                if not gcs_errors.is_known(error):
                    raise
                if not gcs_errors.is_passing(error):
                    meaning = gcs_errors.meaning(error, self._name, key)
                    if isinstance(meaning, Expired):
                        # Whoever logs in anew writes a file that only a new client reads.
                        self._made = None
                    raise meaning from error
                failed = error
            patience.pause(failed, gcs_errors.said(failed))

    def _bucket(self) -> Any:
        with self._lock:
            if self._made is None:
                client = storage.Client(project=self._project)
                adapter = requests.adapters.HTTPAdapter(pool_maxsize=CONNECTIONS)
                for scheme in ("https://", "http://"):
                    # The way that Google's own documents show: there is no setting for it.
                    client._http.mount(scheme, adapter)
                self._made = client.bucket(self._name)
            return self._made


class _Landing:
    """A file that is made when its content comes; what comes is progress."""

    def __init__(self, path: Path, patience: Patience) -> None:
        self._path = path
        self._patience = patience
        self._stream: IO[bytes] | None = None

    @property
    def begun(self) -> bool:
        """Whether something has come."""
        return self._stream is not None

    def write(self, block: bytes) -> int:
        self._stream = self._stream or self._path.open("wb")
        self._patience.progress()
        return self._stream.write(block)

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()


def _retry(patience: Patience) -> Retry:
    """Return the client's own way of asking again, which has our patience."""
    return Retry(
        predicate=lambda error: gcs_errors.is_passing(error) and not patience.over,
        initial=FIRST_PAUSE_S,
        maximum=LONGEST_PAUSE_S,
        timeout=None,
    )
