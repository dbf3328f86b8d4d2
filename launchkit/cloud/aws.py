"""Asking a service of AWS, again where that helps, and what its errors mean."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from launchkit.cloud import stores
from launchkit.cloud.patience import PATIENCE_S, Patience, in_a_line, waiting
from launchkit.cloud.providers import Expired, ProviderError, Refused, Unreachable

try:
    import boto3
    import botocore.exceptions
    from botocore.config import Config

    from launchkit.cloud import s3_errors
except ModuleNotFoundError as missing:
    raise Refused(
        f"EC2 needs {missing.name}, which is not installed; `pip install 'hydra-launchkit[ec2]'`"
    ) from missing

T = TypeVar("T")

CONNECT_S = 10.0
READ_S = 60.0
CONNECTIONS = 32

NO_CAPACITY = frozenset(
    {
        "InsufficientInstanceCapacity",
        "InsufficientCapacity",
        "InsufficientHostCapacity",
        "InsufficientReservedInstanceCapacity",
        "InsufficientFreeAddressesInSubnet",
        "SpotMaxPriceTooLow",
        "Unsupported",
    }
)
"""What is lacking in a zone; there may be some in another one, or later."""
NO_QUOTA = frozenset(
    {
        "MaxSpotInstanceCountExceeded",
        "MaxSpotFleetRequestCountExceeded",
        "VcpuLimitExceeded",
        "InstanceLimitExceeded",
    }
)
"""What the account may have no more of, in whatever zone."""
FORBIDDEN = frozenset(
    {
        "UnauthorizedOperation",
        "AccessDenied",
        "AccessDeniedException",
        "UnauthorizedException",
        "OptInRequired",
    }
)
"""What we may not ask."""
_ENCODED = "Encoded authorization failure message"


class Said(Refused):
    """AWS says no.

    Parameters
    ----------
    message
        What that means, in words.
    code
        AWS's name of the error.
    text
        What AWS says.
    """

    def __init__(self, message: str, code: str, text: str) -> None:
        super().__init__(message)
        self.code = code
        self.text = text


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
        # boto3's clients have no types of their own.
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
            with _meant(self._explain):
                self._region = boto3.session.Session().region_name
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
                if _is_passing(error):
                    _pause(patience, error)
                    continue
                meaning = _meaning(error, self._explain)
                if meaning is None:
                    raise
                if isinstance(meaning, Expired):
                    # Who logs in anew writes files that only a new client reads.
                    self._clients.clear()
                raise meaning from error

    def ask_if_allowed(
        self, service: str, question: Callable[[Any], T], *, region: str | None = None
    ) -> T | None:
        """Ask what it is good to know: None if we may not ask, or cannot be told.

        Raises
        ------
        Said
            If AWS says no, but not to our asking.
        Expired
            If the credentials have expired.
        """
        try:
            return self.ask(service, question, region=region, patience_s=SHORT_S)
        except Said as error:
            if error.code in FORBIDDEN:
                return None
            raise
        except Unreachable:
            return None

    def _client(self, service: str, region: str) -> Any:
        with self._lock:
            known = self._clients.get((service, region))
            if known is None:
                known = boto3.session.Session().client(
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


SHORT_S = 5.0
"""Seconds to ask again for what it is good to know."""


def pages(client: Any, operation: str, field: str, **parameters: Any) -> list[Any]:
    """Return all that a question has for an answer, however many pages that is."""
    paginator = client.get_paginator(operation)
    return [item for page in paginator.paginate(**parameters) for item in page.get(field, ())]


def partition(region: str) -> str:
    """Return the part of AWS that a region belongs to, as it stands in names of resources."""
    found: str = boto3.session.Session().get_partition_for_region(region)
    return found


def _is_passing(error: Exception) -> bool:
    return s3_errors.code(error) not in NO_CAPACITY and s3_errors.is_passing(error)


def _pause(patience: Patience, error: Exception) -> None:
    try:
        patience.pause(error)
    except stores.Unreachable as told:
        raise Unreachable(str(told)) from error


@contextlib.contextmanager
def _meant(explain: Callable[[str, str], str]) -> Iterator[None]:
    """Raise what an error of boto3's means, in place of it."""
    try:
        yield
    except Exception as error:  # boto3's errors have no common base
        meaning = _meaning(error, explain)
        if meaning is None:
            raise
        raise meaning from error


def _meaning(error: Exception, explain: Callable[[str, str], str]) -> ProviderError | None:
    """Return what an error means that does not pass; None if it is none of boto3's."""
    code = s3_errors.code(error)
    if isinstance(error, botocore.exceptions.ClientError) and not s3_errors.is_login(error):
        text = error.response.get("Error", {}).get("Message", "") or str(error)
        text = " ".join(text.partition(_ENCODED)[0].split()).rstrip(".")
        return Said(explain(code, text), code, text)
    if not isinstance(error, botocore.exceptions.ClientError | botocore.exceptions.BotoCoreError):
        return None
    said = s3_errors.meaning(error, "", "")
    kind = Expired if isinstance(said, stores.Expired) else Refused
    return kind(str(said).removeprefix("s3://: ") or in_a_line(error))
