"""What machines need around them: a network, security groups, a key, a role."""

from __future__ import annotations

from typing import Any

from launchkit.cloud.aws import Aws
from launchkit.cloud.aws_errors import Said
from launchkit.cloud.ec2_settings import Ec2Settings

SETUP = "`launchkit ec2 setup --bucket {bucket} --apply` makes it"


def check_surroundings(aws: Aws, settings: Ec2Settings) -> None:
    """See to it that all of that is there.

    Raises
    ------
    ValueError
        If something is not.
    """
    network = _network(aws, settings)
    _check_groups(aws, settings, network)
    _check_key(aws, settings)
    _check_profile(aws, settings)


def _network(aws: Aws, settings: Ec2Settings) -> str:
    """Return the id of the network that the machines will be in; empty if that is not known."""
    if settings.subnet_id is None:
        filters = [{"Name": "is-default", "Values": ["true"]}]
        answer = aws.ask_if_allowed("ec2", lambda ec2: ec2.describe_vpcs(Filters=filters))
        if answer is None:
            return ""
        if not answer["Vpcs"]:
            raise ValueError(
                f"subnet_id is not set, and {aws.region} has no default network; name a subnet, "
                "or make the default network with `aws ec2 create-default-vpc`"
            )
        return str(answer["Vpcs"][0]["VpcId"])
    found = _there(aws, "describe_subnets", "Subnets", SubnetIds=[settings.subnet_id])
    if found is None:
        return ""
    if not found:
        raise ValueError(f"subnet_id is {settings.subnet_id!r}: not there in {aws.region}")
    zone = found[0]["AvailabilityZone"]
    if settings.zones and settings.zones != (zone,):
        raise ValueError(
            f"zone is {settings.zone!r}, and subnet_id {settings.subnet_id!r} is in {zone}; "
            "leave one of them out"
        )
    return str(found[0]["VpcId"])


def _check_groups(aws: Aws, settings: Ec2Settings, network: str) -> None:
    for group in settings.security_group_ids:
        found = _there(aws, "describe_security_groups", "SecurityGroups", GroupIds=[group])
        if found is None:
            return
        if not found:
            raise ValueError(
                f"security_group_ids has {group!r}, which is not there in {aws.region}; "
                f"{SETUP.format(bucket=settings.s3_bucket)}, and says its id"
            )
        if network and found[0].get("VpcId", network) != network:
            raise ValueError(
                f"security_group_ids has {group!r}, which is of the network {found[0]['VpcId']}, "
                f"and the machines are in {network}; name one of theirs, or another subnet_id"
            )


def _check_key(aws: Aws, settings: Ec2Settings) -> None:
    name = settings.aws_key_name
    if name is None:
        return
    if _there(aws, "describe_key_pairs", "KeyPairs", KeyNames=[name]) == []:
        raise ValueError(
            f"aws_key_name is {name!r}, and there is no such key pair in {aws.region}; leave it "
            "out, unless you want to log in to the machines"
        )


def _check_profile(aws: Aws, settings: Ec2Settings) -> None:
    name = settings.iam_instance_profile_name
    way_out = SETUP.format(bucket=settings.s3_bucket)
    try:
        answer = aws.ask_if_allowed(
            "iam", lambda iam: iam.get_instance_profile(InstanceProfileName=name)
        )
    except Said as error:
        if error.code != "NoSuchEntity":
            raise
        raise ValueError(
            f"iam_instance_profile_name is {name!r}, and there is none; {way_out}"
        ) from error
    if answer is not None and not answer["InstanceProfile"]["Roles"]:
        raise ValueError(
            f"iam_instance_profile_name is {name!r}, and there is no role in it; {way_out}"
        )


def _there(aws: Aws, operation: str, field: str, **parameters: Any) -> list[Any] | None:
    """Return the things of these names; None if we may not ask."""
    try:
        answer = aws.ask_if_allowed("ec2", lambda ec2: getattr(ec2, operation)(**parameters))
    except Said as error:
        if error.code.endswith((".NotFound", ".Malformed")):
            return []
        raise
    return None if answer is None else list(answer[field])
