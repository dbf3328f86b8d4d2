"""Asking S3 until there is an answer."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

import boto3
from botocore.config import Config

from launchkit.cloud import s3_errors
from launchkit.cloud.patience import Patience, waiting
from launchkit.cloud.stores import Expired

T = TypeVar("T")

CONNECT_S = 10.0
READ_S = 30.0
CONNECTIONS = 32
REGION = "us-east-1"
"""Where to ask if nobody has named a region."""


class S3Client:
    """Clients of boto3's, made when they are needed; for any number of threads.

    Parameters
    ----------
    bucket
        The bucket, for messages.
    region
        The region to ask; None for the one that AWS's own settings name.
    patience_s
        For how many seconds to ask again what has failed for a while.
    """

    def __init__(self, bucket: str, region: str | None, patience_s: float) -> None:
        self._bucket = bucket
        self._region = region
        self._patience_s = patience_s
        self._lock = threading.Lock()
        # boto3's clients have no types of their own.
        self._clients: dict[tuple[str, int], Any] = {}

    def patience(self, key: str) -> Patience:
        """Return the time for asking about an object, or the bucket where the key is empty."""
        return Patience(self._patience_s, f"s3://{self._bucket}/{key}".rstrip("/"))

    def ask(
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

        Raises
        ------
        ConditionFailed
            If the answer is that what was asked for under a condition does not fulfil it.
        StoreError
            Whichever says what the answer means.
        """
        patience = patience or self.patience(key)
        while True:
            try:
                with waiting():
                    return ask(self._client(service, tries))
            except Exception as raised:
                error = s3_errors.cause(raised)
                if not s3_errors.is_known(error):
                    raise
            if s3_errors.code(error) in s3_errors.CONDITION_FAILED:
                raise s3_errors.ConditionFailed from error
            if not s3_errors.is_passing(error):
                break
            patience.pause(error, s3_errors.said(error))
        meaning = s3_errors.meaning(error, self._bucket, key)
        if isinstance(meaning, Expired):
            with self._lock:
                # Whoever logs in anew writes files that only a new client reads.
                self._clients.clear()
        raise meaning from error

    def _client(self, service: str, tries: int) -> Any:
        with self._lock:
            known = self._clients.get((service, tries))
            if known is None:
                known = self._clients[service, tries] = self._make(service, tries)
            return known

    def _make(self, service: str, tries: int) -> Any:
        # What stubs there are know no service that a variable names.
        session: Any = boto3.session.Session()
        return session.client(
            service,
            region_name=self._region or session.region_name or REGION,
            config=Config(
                # So that there is time to ask a second time.
                connect_timeout=min(CONNECT_S, self._patience_s / 2),
                read_timeout=min(READ_S, self._patience_s / 2),
                max_pool_connections=CONNECTIONS,
                # boto3 counts how often it asks; here it counts for how long.
                retries={"mode": "standard", "total_max_attempts": tries},
            ),
        )
