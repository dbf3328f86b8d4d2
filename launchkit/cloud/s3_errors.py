"""What an error of boto3 means to who asked a bucket of S3."""

from __future__ import annotations

import boto3.exceptions
import botocore.exceptions
import botocore.parsers

from launchkit.cloud.patience import in_a_line
from launchkit.cloud.stores import Expired, NotThere, Refused, StoreError

LOG_IN = "log in anew (`aws sso login`, or new keys by `aws configure`)"

_EXPIRED = {
    "ExpiredToken",
    "ExpiredTokenException",
    "TokenRefreshRequired",
    "RequestExpired",
}
_EXPIRED_HERE = (
    botocore.exceptions.SSOError,
    botocore.exceptions.CredentialRetrievalError,
    botocore.exceptions.TokenRetrievalError,
)
_UNKNOWN_KEYS = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "AuthFailure"}
_PASSING = {
    "SlowDown",
    "RequestTimeout",
    "RequestTimeoutException",
    "InternalError",
    "ServiceUnavailable",
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestThrottled",
    "RequestThrottledException",
    "RequestLimitExceeded",
    "TooManyRequestsException",
    "BandwidthLimitExceeded",
    "OperationAborted",
    "ConditionalRequestConflict",
    "NoSuchUpload",  # of an upload in parts: it is begun anew
    "BadDigest",
    "IncompleteBody",
}
_PASSING_STATUS = {408, 429, 500, 502, 503, 504}
_PASSING_HERE = (
    botocore.exceptions.HTTPClientError,
    botocore.exceptions.ConnectionError,
    botocore.exceptions.IncompleteReadError,
    botocore.exceptions.ChecksumError,
    botocore.exceptions.FlexibleChecksumError,
    botocore.parsers.ResponseParserError,
)


def cause(error: Exception) -> Exception:
    """Return the error that boto3's own transfer has wrapped."""
    wrapped = isinstance(error, boto3.exceptions.S3UploadFailedError)
    return error.__context__ if wrapped and isinstance(error.__context__, Exception) else error


def code(error: Exception) -> str:
    """Return S3's name of an error, or its number where it had no room for the name."""
    return _field(error, "Error", "Code")


def is_passing(error: Exception) -> bool:
    """Tell whether the same may go well if it is asked again."""
    if isinstance(error, botocore.exceptions.ClientError):
        status = _field(error, "ResponseMetadata", "HTTPStatusCode")
        return code(error) in _PASSING or (status.isdigit() and int(status) in _PASSING_STATUS)
    return isinstance(error, _PASSING_HERE)


def meaning(error: Exception, bucket: str, key: str) -> StoreError:
    """Return what an error means that does not pass.

    Parameters
    ----------
    error
        Of botocore.
    bucket, key
        What was asked about; the key is empty if it was about the bucket.
    """
    url = f"s3://{bucket}"
    name = code(error)
    said = in_a_line(error)
    if name in _EXPIRED or isinstance(error, _EXPIRED_HERE):
        return Expired(f"{url}: the AWS credentials have expired ({said}); {LOG_IN}")
    if isinstance(
        error,
        botocore.exceptions.NoCredentialsError | botocore.exceptions.PartialCredentialsError,
    ):
        return Refused(
            f"{url}: there are no AWS credentials here ({said}); "
            "log in with `aws configure` or `aws sso login`, or set AWS_PROFILE"
        )
    if name in _UNKNOWN_KEYS:
        return Refused(f"{url}: AWS does not know these credentials ({said}); {LOG_IN}")
    if name == "NoSuchBucket" or (name == "404" and not key):
        return Refused(
            f"{url}: there is no such bucket; `launchkit ec2 setup --bucket {bucket} --apply` "
            "makes it, if the name is still free"
        )
    if name in ("NoSuchKey", "404"):
        return NotThere(f"{url}/{key}")
    if name in ("AccessDenied", "AllAccessDisabled", "403"):
        return Refused(
            f"{url}: these credentials may not do this{f' with {key}' if key else ''} ({said}); "
            "the bucket may be somebody else's: name one of your own, or have the owner let you "
            f"in (`launchkit ec2 setup --bucket {bucket}` prints the least that is needed)"
        )
    if name == "RequestTimeTooSkewed":
        return Refused(f"{url}: this machine's clock is wrong ({said}); set it right")
    return Refused(f"{url}{f'/{key}' if key else ''}: {said}")


def _field(error: Exception, group: str, name: str) -> str:
    response = getattr(error, "response", None)
    return str(response.get(group, {}).get(name, "")) if isinstance(response, dict) else ""
