"""What an instance is told of itself, and the credentials of its role."""

from __future__ import annotations

import json
import time
from datetime import datetime, timezone
from typing import Any

from aws_metadata import identity_document
from aws_moto import Moto

_USED_UP = 0.8
"""After this part of their time, credentials are followed by others."""


class Credentials:
    """The credentials that roles have been given, and how long they are good."""

    def __init__(self, moto: Moto) -> None:
        self._moto = moto
        self._expiry: dict[str, float] = {}
        self._given: dict[str, tuple[float, dict[str, Any]]] = {}

    def reset(self) -> None:
        """Begin anew."""
        self._expiry.clear()
        self._given.clear()

    def is_known(self, access_key: str) -> bool:
        """Tell whether a key is of an instance's role."""
        return access_key in self._expiry

    def is_over(self, access_key: str) -> bool:
        """Tell whether a key was good once, and is no more."""
        return self._expiry.get(access_key, float("inf")) < time.time()

    def of(self, instance: str, role: str, region: str, lifetime_s: float) -> dict[str, Any]:
        """Return the credentials that an instance has now.

        Parameters
        ----------
        instance
            Its id.
        role
            The ARN of its role.
        region
            Its region.
        lifetime_s
            For how many seconds they are good.
        """
        now = time.time()
        renewed, told = self._given.get(instance, (0.0, {}))
        if now < renewed:
            return told
        made = self._moto.sts().assume_role(
            region_name=region,
            role_session_name=instance,
            role_arn=role,
            policy=None,
            duration=int(max(lifetime_s, 1)),
            external_id=None,
        )
        told = {
            "Code": "Success",
            "LastUpdated": moment(now),
            "Type": "AWS-HMAC",
            "AccessKeyId": made.access_key_id,
            "SecretAccessKey": made.secret_access_key,
            "Token": made.session_token,
            "Expiration": moment(now + lifetime_s),
        }
        self._expiry[made.access_key_id] = now + lifetime_s
        self._given[instance] = now + lifetime_s * _USED_UP, told
        return told


def facts(
    instance: Any,
    profile: Any,
    notice: float | None,
    user_data: bytes,
    credentials: dict[str, dict[str, Any]],
) -> dict[str, str]:
    """Return what the metadata service of an instance tells, by the path below ``/latest/``.

    Parameters
    ----------
    instance
        As moto has it.
    profile
        Its instance profile; None if it has none.
    notice
        When it is taken back, in seconds since the epoch; None if that is not known.
    user_data
        What it was started with.
    credentials
        Of its role, by the role's name.
    """
    told = {
        "ami-id": instance.image_id,
        "ami-launch-index": str(instance.ami_launch_index),
        "hostname": instance.private_dns_name,
        "instance-action": "none",
        "instance-id": instance.id,
        "instance-life-cycle": instance.lifecycle or "on-demand",
        "instance-type": instance.instance_type,
        "local-hostname": instance.private_dns_name,
        "local-ipv4": instance.private_ip or "",
        "placement/availability-zone": instance.availability_zone,
        "placement/region": instance.region_name,
        "services/domain": "amazonaws.com",
        "services/partition": "aws",
    }
    if notice is not None:
        at = {"action": "terminate", "time": moment(notice)}
        told["spot/instance-action"] = json.dumps(at)
        told["spot/termination-time"] = at["time"]
    if instance.metadata_options.instance_metadata_tags == "enabled":
        told |= {f"tags/instance/{tag['key']}": tag["value"] for tag in instance.get_tags()}
    if profile is not None:
        about = {"Code": "Success", "InstanceProfileArn": profile.arn}
        told["iam/info"] = json.dumps({**about, "InstanceProfileId": profile.id}, indent=2)
    for role, secret in credentials.items():
        told[f"iam/security-credentials/{role}"] = json.dumps(secret, indent=2)
    return {
        **{f"meta-data/{path}": value for path, value in told.items()},
        "dynamic/instance-identity/document": identity_document(instance),
        "user-data": user_data.decode(errors="replace"),
    }


def moment(seconds: float) -> str:
    """Write a time as AWS does."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
