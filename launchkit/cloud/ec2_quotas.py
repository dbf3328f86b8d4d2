"""How many machines an account may have."""

from __future__ import annotations

import re

from launchkit.cloud.aws import Aws
from launchkit.cloud.aws_errors import Said
from launchkit.cloud.ec2_settings import Ec2Settings
from launchkit.cloud.ec2_types import Kind

_CODES = (
    # What the name of a type begins with, and the quotas of vCPUs on demand and of spot ones.
    (r"(g|gr|vt)\d", "L-DB2E81BA", "L-3819A6DF"),
    (r"p[2-4]", "L-417A185B", "L-7212CCBC"),
    (r"p5", "L-417A185B", "L-C4BD4855"),
    (r"p\d", "L-417A185B", None),
    (r"f\d", "L-74FC7D96", "L-88CF9481"),
    (r"x\d", "L-7295265B", "L-E3A00192"),
    (r"inf\d", "L-1945791B", "L-B5D1601B"),
    (r"trn\d", "L-2C3B7624", "L-6B0D517C"),
    (r"dl\d", "L-6E869C2A", "L-85EED4F7"),
    (r"(a|c|d|h|i|im|is|m|r|t|z)\d", "L-1216C47A", "L-34B43A08"),
)


def code_of(kind: str, *, spot: bool) -> str | None:
    """Return the code of the quota that a type of machine counts for; None if not known."""
    for pattern, on_demand, spots in _CODES:
        if re.match(pattern, kind):
            return spots if spot else on_demand
    return None


def most(aws: Aws, settings: Ec2Settings, kind: Kind) -> int | None:
    """Return how many machines the account may have at a time; None if that is not known.

    What others of the account have running is not known here.

    Raises
    ------
    ValueError
        If it may have none.
    """
    spot = settings.spot_price is not None
    code = code_of(kind.name, spot=spot)
    if code is None:
        return None
    vcpus = _value(aws, code)
    if vcpus is None:
        return None
    if vcpus < kind.vcpus:
        raise ValueError(
            f"instance_type is {kind.name!r} with {kind.vcpus} vCPUs, and the account's quota for "
            f"such {'spot ' if spot else ''}machines in {aws.region} ({code}) is {vcpus:g}; ask "
            "for more: `aws service-quotas request-service-quota-increase --service-code ec2 "
            f"--quota-code {code} --desired-value {max(32, 2 * kind.vcpus)}`"
        )
    return int(vcpus // kind.vcpus)


def _value(aws: Aws, code: str) -> float | None:
    """Return a quota: the account's own, or what every account begins with."""
    # Where we may not ask for the account's own, what others have is no answer.
    for operation in ("get_service_quota", "get_aws_default_service_quota"):
        try:
            return _ask(aws, operation, code)
        except Said as error:
            if error.code != "NoSuchResourceException":
                raise
    return None


def _ask(aws: Aws, operation: str, code: str) -> float | None:
    answer = aws.ask_if_allowed(
        "service-quotas",
        lambda quotas: getattr(quotas, operation)(ServiceCode="ec2", QuotaCode=code),
    )
    return None if answer is None else float(answer["Quota"]["Value"])
