"""What an error of Google's client means to who asked a bucket of Google's."""

from __future__ import annotations

import google.api_core.exceptions as api
import google.auth.exceptions as auth
import requests.exceptions
import urllib3.exceptions
from google.cloud.storage.exceptions import DataCorruption, InvalidResponse

from launchkit.cloud.patience import in_a_line
from launchkit.cloud.stores import Expired, NotThere, Refused, StoreError

LOG_IN = "`gcloud auth application-default login`"

_KNOWN = (
    api.GoogleAPIError,
    auth.GoogleAuthError,
    requests.exceptions.RequestException,
    urllib3.exceptions.HTTPError,
    ConnectionError,
    DataCorruption,
    InvalidResponse,
)
_PASSING = (
    auth.TransportError,
    requests.exceptions.ConnectionError,
    requests.exceptions.ChunkedEncodingError,
    requests.exceptions.ContentDecodingError,
    requests.exceptions.JSONDecodeError,
    requests.exceptions.Timeout,
    urllib3.exceptions.HTTPError,
    ConnectionError,
    DataCorruption,
)
_EXPIRED = (auth.RefreshError, auth.InvalidOperation)
"""The second is of credentials that cannot be renewed at all."""
_PASSING_STATUS = {408, 429, 500, 502, 503, 504}
_TOO_OFTEN = ("rateLimitExceeded", "userRateLimitExceeded")
"""Google says 403 of these, too."""
NOT_MODIFIED = 304
NOT_THERE = 404


def is_known(error: Exception) -> bool:
    """Tell whether an error is about what was asked, and not about what is here."""
    return isinstance(error, _KNOWN)


def is_passing(error: Exception) -> bool:
    """Tell whether the same may go well if it is asked again."""
    if isinstance(error, _PASSING) or getattr(error, "retryable", False):
        return True
    status = status_of(error)
    return status in _PASSING_STATUS or (
        status == 403 and any(reason in str(error) for reason in _TOO_OFTEN)
    )


def status_of(error: Exception) -> int:
    """Return the number of an answer; 0 where there was none."""
    if isinstance(error, api.GoogleAPICallError):
        return int(error.code or 0)
    if isinstance(error, InvalidResponse):
        return int(error.response.status_code)
    return 0


def meaning(error: Exception, bucket: str, key: str) -> StoreError:
    """Return what an error means that does not pass.

    Parameters
    ----------
    error
        Of Google's client.
    bucket, key
        What was asked about; the key is empty if it was about the bucket.
    """
    what = f"gs://{bucket}/{key}".rstrip("/")
    status = status_of(error)
    text = said(error)
    no_bucket = status == NOT_THERE and (not key or "bucket does not exist" in str(error))
    if status == NOT_THERE and not no_bucket:
        return NotThere(what)
    if isinstance(error, _EXPIRED) or status == 401:
        return Expired(
            f"{what}: Google's credentials have expired, or been taken back ({text}); log in anew: "
            f"{LOG_IN}"
        )
    if isinstance(error, auth.GoogleAuthError):
        return Refused(
            f"{what}: {text}; log in with {LOG_IN}, or let GOOGLE_APPLICATION_CREDENTIALS name "
            "the file of a service account"
        )
    if no_bucket:
        return Refused(
            f"{what}: {text}; there is no bucket {bucket}: `launchkit gcp setup --bucket {bucket} "
            "--apply` makes it, if the name is still free"
        )
    if status == 403:
        return Refused(
            f"{what}: {text}; these credentials may not do it in bucket {bucket}, or it is "
            "somebody else's: name one of your own, or have its owner let you in (`launchkit gcp "
            f"setup --bucket {bucket}` prints the least that is needed)"
        )
    return Refused(f"{what}: {text}")


def said(error: Exception) -> str:
    """Return what Google has said, in a line."""
    if isinstance(error, api.GoogleAPICallError):
        told = error.errors[0].get("message") if error.errors else None
        # Its own message begins with the whole address of the request.
        message = told or error.message.partition("?")[0]
        return f"{error.code} {' '.join(str(message).split())}"
    return in_a_line(error)
