"""What an error of AWS means to who asked for machines."""

from __future__ import annotations

from collections.abc import Callable

from launchkit.cloud.patience import in_a_line
from launchkit.cloud.providers import Expired, ProviderError, Refused

NEEDED = "EC2 needs {}, which is not installed; `pip install 'hydra-launchkit[ec2]'`"

try:
    import botocore.exceptions
    import botocore.parsers
except ModuleNotFoundError as missing:
    raise Refused(NEEDED.format(missing.name)) from missing

LOG_IN = "log in anew (`aws sso login`, or new keys by `aws configure`)"

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
    }
)
"""What we may not do."""

_EXPIRED = frozenset(
    {"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired"}
)
_EXPIRED_HERE = (
    botocore.exceptions.SSOError,
    botocore.exceptions.CredentialRetrievalError,
    botocore.exceptions.TokenRetrievalError,
)
_UNKNOWN_KEYS = frozenset(
    {
        "AuthFailure",
        "InvalidClientTokenId",
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
        "IncompleteSignature",
        "InvalidSignatureException",
    }
)
_PASSING = frozenset(
    {
        "RequestLimitExceeded",
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "TooManyRequestsException",
        "EC2ThrottledException",
        "RequestThrottled",
        "RequestThrottledException",
        "ServiceUnavailable",
        "Unavailable",
        "InternalError",
        "InternalFailure",
        "ServerInternal",
        "RequestTimeout",
        "ConcurrentModification",
    }
)
_PASSING_STATUS = frozenset({408, 429, 500, 502, 503, 504})
_PASSING_HERE = (
    botocore.exceptions.HTTPClientError,
    botocore.exceptions.ConnectionError,
    botocore.exceptions.IncompleteReadError,
    botocore.parsers.ResponseParserError,
)
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


def code(error: Exception) -> str:
    """Return AWS's name of an error; empty if it is none of AWS's."""
    if not isinstance(error, botocore.exceptions.ClientError):
        return ""
    return str(error.response.get("Error", {}).get("Code", ""))


def is_passing(error: Exception) -> bool:
    """Tell whether the same may go well if it is asked again."""
    if not isinstance(error, botocore.exceptions.ClientError):
        return isinstance(error, _PASSING_HERE)
    name = code(error)
    if name in NO_CAPACITY | NO_QUOTA:  # which AWS sends with the number of a fault
        return False
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return name in _PASSING or status in _PASSING_STATUS


def meaning(error: Exception, explain: Callable[[str, str], str]) -> ProviderError | None:
    """Return what an error means that does not pass; None if it is none of boto3's.

    Parameters
    ----------
    error
        What a client of boto3's has raised.
    explain
        Says what an error means, from its name and its text.
    """
    name = code(error)
    if name in _EXPIRED or isinstance(error, _EXPIRED_HERE):
        return Expired(f"the AWS credentials have expired ({in_a_line(error)}); {LOG_IN}")
    if name in _UNKNOWN_KEYS:
        return Refused(f"AWS does not know these credentials ({in_a_line(error)}); {LOG_IN}")
    if isinstance(error, botocore.exceptions.ClientError):
        text = str(error.response.get("Error", {}).get("Message", "")) or str(error)
        # What follows there is of use to administrators only, and fills a screen.
        text = " ".join(text.partition(_ENCODED)[0].split()).rstrip(".")
        return Said(explain(name, text), name, text)
    if isinstance(
        error,
        botocore.exceptions.NoCredentialsError | botocore.exceptions.PartialCredentialsError,
    ):
        return Refused(
            f"there are no AWS credentials here ({in_a_line(error)}); log in with `aws configure` "
            "or `aws sso login`, or set AWS_PROFILE"
        )
    if isinstance(error, botocore.exceptions.BotoCoreError):
        return Refused(f"AWS cannot be asked from here: {in_a_line(error)}")
    return None
