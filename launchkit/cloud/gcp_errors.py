"""What an error of Google's client means to who asked for something."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from typing import Any

from launchkit.cloud.patience import in_a_line
from launchkit.cloud.providers import Expired, NoCapacity, ProviderError, Refused

try:
    import google.auth.exceptions
    import httplib2
    from googleapiclient.errors import HttpError
except ModuleNotFoundError as missing:
    raise Refused(
        f"Google Cloud needs {missing.name}, which is not installed; "
        "`pip install 'hydra-launchkit[gcp]'`"
    ) from missing

LOG_IN = "log in with `gcloud auth application-default login`"

NONE_NOW = frozenset(
    {
        "ZONE_RESOURCE_POOL_EXHAUSTED",
        "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS",
        "RESOURCE_POOL_EXHAUSTED",
        "STOCKOUT",
    }
)
"""What is lacking in a zone; there may be some in another one, or later."""
NO_QUOTA = frozenset({"quotaExceeded", "QUOTA_EXCEEDED", "QUOTA_LIMIT_EXCEEDED"})
"""What the project may have no more of now."""
_FAULTS = frozenset(
    {"INTERNAL_ERROR", "SERVICE_UNAVAILABLE", "BACKEND_ERROR", "RATE_LIMIT_EXCEEDED", "TIMEOUT"}
)
"""What has gone wrong on Google's side, with nothing bought."""
_DISABLED = frozenset({"accessNotConfigured", "SERVICE_DISABLED"})
_PASSING = frozenset(
    {"rateLimitExceeded", "userRateLimitExceeded", "RATE_LIMIT_EXCEEDED", "resourceNotReady"}
)
_PASSING_STATUS = frozenset({408, 429, 500, 502, 503, 504})
_PASSING_HERE = (
    google.auth.exceptions.TransportError,
    httplib2.HttpLib2Error,
    http.client.HTTPException,
    OSError,
)


class NotThere(Refused):
    """There is no such thing."""


class AlreadyThere(Refused):
    """There is one of that name already."""


class Conflict(Refused):
    """It has been changed by somebody else since it was read."""


def is_known(error: Exception) -> bool:
    """Tell whether an error is about what was asked, and not about what is here."""
    return isinstance(error, (HttpError, google.auth.exceptions.GoogleAuthError, *_PASSING_HERE))


def is_passing(error: Exception) -> bool:
    """Tell whether the same may go well if it is asked again."""
    if isinstance(error, HttpError):
        return _status(error) in _PASSING_STATUS or bool(_reasons(error) & _PASSING)
    if isinstance(error, google.auth.exceptions.RefreshError):
        return bool(getattr(error, "retryable", False))
    return isinstance(error, _PASSING_HERE)


def meaning(error: Exception, what: str) -> ProviderError:
    """Return what an error means that does not pass.

    Parameters
    ----------
    error
        Of Google's client.
    what
        What was asked about, for the message.
    """
    if isinstance(error, google.auth.exceptions.DefaultCredentialsError):
        return Refused(
            f"there are no credentials for Google Cloud here: {LOG_IN}, or name a file with "
            "GOOGLE_APPLICATION_CREDENTIALS"
        )
    text = f"{what}: {said(error)}"
    if isinstance(error, google.auth.exceptions.GoogleAuthError) or _status(error) == 401:
        return Expired(f"{text}; the credentials are not valid, or no longer: {LOG_IN} anew")
    reasons = _reasons(error)
    if reasons & _DISABLED:
        return Refused(f"{text}; enable that API (`launchkit gcp setup --apply` does, too)")
    if reasons & NO_QUOTA:
        return NoCapacity(text)
    kinds: Mapping[int, type[ProviderError]] = {404: NotThere, 409: AlreadyThere, 412: Conflict}
    return kinds.get(_status(error), Refused)(text)


def failure(operation: Mapping[str, Any]) -> ProviderError | None:
    """Return what has gone wrong in an operation that is done; None if nothing has."""
    errors = operation.get("error", {}).get("errors", ())
    status = operation.get("httpErrorStatusCode")
    if not errors and not status:
        return None
    codes = {str(error.get("code", "")) for error in errors}
    words = "; ".join(str(error.get("message") or error.get("code", "")) for error in errors)
    text = " ".join((words or str(operation.get("httpErrorMessage", status))).split())
    if codes & {"RESOURCE_ALREADY_EXISTS", "alreadyExists"} or (not codes and status == 409):
        return AlreadyThere(text)
    if codes & (NONE_NOW | NO_QUOTA | _FAULTS) or (not codes and status in _PASSING_STATUS):
        return NoCapacity(text)
    return Refused(text)


def said(error: Exception) -> str:
    """Return what Google has said, in a line."""
    if isinstance(error, HttpError):
        message = _content(error).get("message") or error.reason or f"HTTP {_status(error)}"
        return " ".join(str(message).split()).rstrip(".")
    return in_a_line(error)


def _status(error: Exception) -> int:
    return int(error.resp.status) if isinstance(error, HttpError) else 0


def _reasons(error: Exception) -> set[str]:
    """Return Google's names of an error, of which it may have an old one and a new one."""
    content = _content(error) if isinstance(error, HttpError) else {}
    told = [*content.get("errors", ()), *content.get("details", ())]
    return {str(each.get("reason", "")) for each in told if isinstance(each, dict)}


def _content(error: HttpError) -> dict[str, Any]:
    try:
        content = json.loads(error.content)["error"]
    except (ValueError, TypeError, KeyError):  # of a proxy, say
        return {}
    return content if isinstance(content, dict) else {}
