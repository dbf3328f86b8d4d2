"""Asking a service of AWS, and asking again where that helps."""

from __future__ import annotations

import threading
from collections.abc import Callable, Container
from typing import Any, TypeVar

from launchkit.cloud import aws_errors, stores
from launchkit.cloud.patience import PATIENCE_S, Patience, waiting
from launchkit.cloud.providers import Expired, Refused, Unreachable
from launchkit.cloud.setup_steps import Found

try:
    import boto3
    from botocore.config import Config
except ModuleNotFoundError as missing:
    raise Refused(aws_errors.NEEDED.format(missing.name)) from missing

T = TypeVar("T")

CONNECT_S = 10.0
READ_S = 60.0
CONNECTIONS = 32
SHORT_S = 5.0
"""Seconds to ask again for what it is good to know."""


class Aws:
    """The services of AWS. Every method may be called from several threads at once.

    Parameters
    ----------
    region
        The region; None for the one that AWS's own settings name.
    explain
        Says what an error means, from its name and its text.
    patience_s
        For how many seconds to ask again what has failed for a while.
    """

    def __init__(
        self,
        region: str | None,
        *,
        explain: Callable[[str, str], str] | None = None,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._region = region
        self._explain = explain or (lambda code, text: f"AWS says {code}: {text}")
        self._patience_s = patience_s
        self._lock = threading.Lock()
        # boto3's things have no types of their own.
        self._known: Any = None
        self._clients: dict[tuple[str, str], Any] = {}

    @property
    def region(self) -> str:
        """The region.

        Raises
        ------
        Refused
            If neither we nor AWS's own settings have one.
        """
        if self._region is None:
            self._region = self._session().region_name
        if self._region is None:
            raise Refused(
                "region is not set, and AWS's own settings name none; set it (eu-west-1, say), or "
                "AWS_DEFAULT_REGION"
            )
        return self._region

    def ask(
        self,
        service: str,
        question: Callable[[Any], T],
        *,
        region: str | None = None,
        patience_s: float | None = None,
    ) -> T:
        """Ask until there is an answer.

        Parameters
        ----------
        service
            The service, as boto3 calls it.
        question
            Asks a client of boto3's.
        region
            Where to ask, if not in our region.
        patience_s
            For how many seconds to ask again; None for as long as usual.

        Raises
        ------
        Said
            If AWS says no.
        Refused
            If it cannot be asked from here.
        Expired
            If the credentials have expired.
        Unreachable
            If there was no answer.
        """
        where = region or self.region
        seconds = self._patience_s if patience_s is None else min(patience_s, self._patience_s)
        patience = Patience(seconds, f"{service} of AWS in {where}")
        while True:
            try:
                with waiting():
                    return question(self._client(service, where))
            except Exception as error:  # boto3's errors have no common base
                if aws_errors.is_passing(error):
                    _pause(patience, error)
                    continue
                meaning = aws_errors.meaning(error, self._explain)
                if meaning is None:
                    raise
                if isinstance(meaning, Expired):
                    self._forget()
                raise meaning from error

    def ask_if_allowed(
        self, service: str, question: Callable[[Any], T], *, region: str | None = None
    ) -> T | None:
        """Ask what it is good to know: None if we may not ask, or there is no answer.

        Raises
        ------
        Said
            If AWS says no, but not to our asking.
        Refused
            If it cannot be asked from here.
        """
        try:
            return self.ask(service, question, region=region, patience_s=SHORT_S)
        except aws_errors.Said as error:
            if error.code in aws_errors.FORBIDDEN:
                return None
            raise
        except Unreachable:
            return None

    def partition(self, region: str) -> str:
        """Return the part of AWS that a region belongs to, as names of resources have it."""
        found: str = self._session().get_partition_for_region(region)
        return found

    def _session(self) -> Any:
        if self._known is None:
            try:
                self._known = boto3.session.Session()
            except Exception as error:  # boto3's errors have no common base
                meaning = aws_errors.meaning(error, self._explain)
                if meaning is None:
                    raise
                raise meaning from error
        return self._known

    def _forget(self) -> None:
        """Begin anew: who logs in again writes files that only a new session reads."""
        with self._lock:
            self._known = None
            self._clients.clear()

    def _client(self, service: str, region: str) -> Any:
        with self._lock:
            known = self._clients.get((service, region))
            if known is None:
                known = self._session().client(
                    service,
                    region_name=region,
                    config=Config(
                        connect_timeout=CONNECT_S,
                        read_timeout=READ_S,
                        max_pool_connections=CONNECTIONS,
                        # boto3 counts its tries, and takes lack of capacity for a fault.
                        retries={"mode": "standard", "total_max_attempts": 1},
                    ),
                )
                self._clients[service, region] = known
            return known


def pages(client: Any, operation: str, field: str, **parameters: Any) -> list[Any]:
    """Return all that a question has for an answer, however many pages that is."""
    paginator = client.get_paginator(operation)
    return [item for page in paginator.paginate(**parameters) for item in page.get(field, ())]


def look(
    question: Callable[[], Any],
    lacking: Container[str] = (),
    *,
    forbidden: Container[str] = aws_errors.FORBIDDEN,
) -> tuple[Found, Any]:
    """Tell whether something is there, and what AWS says of it; None if it is not there.

    Parameters
    ----------
    question
        Asks for it.
    lacking
        The errors that say that there is none.
    forbidden
        The errors that say that we may not ask.

    Raises
    ------
    Said
        If AWS says anything else.
    """
    try:
        return Found.THERE, question()
    except aws_errors.Said as error:
        if error.code in lacking:
            return Found.LACKING, None
        if error.code in forbidden:
            return Found.UNKNOWN, None
        raise


def make(request: Callable[[], object], there: str) -> None:
    """Have something made; that it is there already is no error."""
    try:
        request()
    except aws_errors.Said as error:
        if error.code != there:
            raise


def _pause(patience: Patience, error: Exception) -> None:
    try:
        patience.pause(error)
    except stores.Unreachable as told:
        raise Unreachable(str(told)) from error
