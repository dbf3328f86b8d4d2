"""What an error of boto3 means to who asked a bucket of S3."""

from __future__ import annotations

from collections.abc import Mapping

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
_NO_CREDENTIALS = (
    botocore.exceptions.NoCredentialsError,
    botocore.exceptions.PartialCredentialsError,
)
_UNKNOWN_CREDENTIALS = {
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "SignatureDoesNotMatch",
    "InvalidToken",
}
_NO_BUCKET = {"NoSuchBucket", "404"}
_DENIED = {"AccessDenied", "AllAccessDisabled", "403"}
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


_KNOWN = (
    botocore.exceptions.ClientError,
    botocore.exceptions.BotoCoreError,
    botocore.parsers.ResponseParserError,
    boto3.exceptions.Boto3Error,
)
CONDITION_FAILED = ("304", "NotModified", "412", "PreconditionFailed", "416", "InvalidRange")
NO_BLOCK = "NoSuchPublicAccessBlockConfiguration"


class ConditionFailed(Exception):
    """The object is not, or is still, what the condition of the request says."""


def cause(error: Exception) -> Exception:
    """Return the error that boto3's own transfer has wrapped."""
    wrapped = isinstance(error, boto3.exceptions.S3UploadFailedError)
    return error.__context__ if wrapped and isinstance(error.__context__, Exception) else error


def of_an_object(answer: Mapping[str, str]) -> Exception:
    """Return the error that a request for several objects has told of one of them."""
    told: Exception = botocore.exceptions.ClientError({"Error": answer}, "DeleteObjects")
    return told


def is_known(error: Exception) -> bool:
    """Tell whether an error is about what was asked, and not about what is here."""
    return isinstance(error, _KNOWN)


def code(error: BaseException | None) -> str:
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
    what = f"s3://{bucket}/{key}".rstrip("/")
    name = code(error)
    if name in ("NoSuchKey", "404") and key:
        return NotThere(what)
    if name in _EXPIRED or isinstance(error, _EXPIRED_HERE):
        return Expired(f"{what}: the AWS credentials have expired ({said(error)}); {LOG_IN}")
    return Refused(f"{what}: {said(error)}{_way_out(error, bucket)}")


def _way_out(error: Exception, bucket: str) -> str:
    if isinstance(error, _NO_CREDENTIALS):
        return "; log in with `aws configure` or `aws sso login`, or set AWS_PROFILE"
    name = code(error)
    if name in _UNKNOWN_CREDENTIALS:
        return f"; AWS does not know these credentials: {LOG_IN}"
    if name in _NO_BUCKET:
        return (
            f"; there is no bucket {bucket}: `launchkit ec2 setup --bucket {bucket} --apply` makes "
            "it, if the name is still free"
        )
    if name in _DENIED:
        return (
            f"; these credentials may not do it in bucket {bucket}, or it is somebody else's: "
            "name one of your own, or have its owner let you in (`launchkit ec2 setup "
            f"--bucket {bucket}` prints the least that is needed)"
        )
    if name == "RequestTimeTooSkewed":
        return "; set this machine's clock right"
    return ""


def said(error: Exception) -> str:
    """Return what S3 has said, in a line."""
    if isinstance(error, botocore.exceptions.ClientError):
        message = " ".join(_field(error, "Error", "Message").split())
        return ": ".join(filter(None, (code(error), message)))
    return in_a_line(error)


def _field(error: BaseException | None, group: str, name: str) -> str:
    response = getattr(error, "response", None)
    return str(response.get(group, {}).get(name, "")) if isinstance(response, dict) else ""
