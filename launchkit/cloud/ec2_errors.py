"""Which setting an error of EC2 is about."""

from __future__ import annotations

import re

from launchkit.cloud.aws_errors import FORBIDDEN, NO_QUOTA
from launchkit.cloud.ec2_settings import Ec2Settings

_SETTINGS = (
    (r"InvalidAMIID|InvalidAMI|UnsupportedImage|MissingParameter.*ImageId", "ami_name"),
    (r"InvalidInstanceType|Unsupported|InvalidParameter.*[iI]nstance type", "instance_type"),
    (r"InvalidKeyPair", "aws_key_name"),
    (r"InvalidGroup|InvalidSecurityGroupID|InvalidSecurity", "security_group_ids"),
    (r"InvalidSubnet|VPCIdNotSpecified|MissingInput|InsufficientFreeAddresses", "subnet_id"),
    (r"SpotMaxPriceTooLow|InvalidParameter.*([sS]pot ?price|MaxPrice)", "spot_price"),
    (r"InvalidParameter.*([aA]vailability.?[zZ]one|Invalid zone)|InvalidZone", "zone"),
    (r"InvalidParameter.*[iI]nstance ?[pP]rofile|NoSuchEntity", "iam_instance_profile_name"),
    (r"InvalidIamInstanceProfile|InvalidInstanceProfile", "iam_instance_profile_name"),
    (r"InvalidBlockDevice|Volume|InvalidParameter.*(volume|snapshot)", "disk_size"),
    (r"OptInRequired|InvalidRegion", "region"),
)
"""What the name and the text of an error have in them, and the setting that it is about."""


def explain(settings: Ec2Settings, code: str, text: str) -> str:
    """Return what an error of AWS means for who wrote the settings, in one line."""
    if code in FORBIDDEN:
        return plainly(code, text)
    if code in NO_QUOTA:
        return (
            f"the account's quota is too low for instance_type {settings.instance_type!r} now "
            f"({code}: {text}); ask for more in the console under Service Quotas, or set "
            "max_machines"
        )
    said = f"{code}: {text}"
    for pattern, name in _SETTINGS:
        if re.match(pattern, said):
            return f"{name} is {getattr(settings, name)!r}, and EC2 says {said}"
    return f"EC2 says {said}"


def plainly(code: str, text: str) -> str:
    """Return what an error of AWS means where no settings are in question, in one line."""
    if code in FORBIDDEN:
        return f"your AWS credentials may not do this ({code}: {text}); ask for the right to"
    return f"AWS says {code}: {text}"
