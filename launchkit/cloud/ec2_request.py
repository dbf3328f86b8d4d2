"""What EC2 is asked for when machines are bought."""

from __future__ import annotations

import hashlib
import re
from decimal import Decimal
from typing import Any

from launchkit.cloud.ec2_images import Image
from launchkit.cloud.ec2_settings import Ec2Settings
from launchkit.cloud.providers import Order

OURS = "launchkit"
SWEEP = "launchkit-sweep"
TOKEN = "launchkit-token"  # noqa: S105 - the name of a tag
BASE = "launchkit-bucket"
FIRST_PACK = "launchkit-first-pack"

DISK_GB = 64
"""Of a machine's disk, where nobody says so: Amazon's image has room for little beside itself."""


def doodads_settings(settings: Ec2Settings, image: Image, region: str) -> dict[str, Any]:
    """Return the settings of doodad's EC2 mode, under its names."""
    return {
        "s3_bucket": settings.s3_bucket,
        "s3_log_path": settings.s3_log_path,
        "ami_name": image.id,
        "region": region,
        "instance_type": settings.instance_type,
        "spot_price": settings.spot_price,
        "security_group_ids": list(settings.security_group_ids),
        "aws_key_name": settings.aws_key_name,
        "iam_instance_profile_name": settings.iam_instance_profile_name,
        "swap_size": settings.swap_size,
        "use_gpu": settings.use_gpu,
    }


def fields(
    settings: Ec2Settings, image: Image, *, many: int, zone: str | None, script: str
) -> dict[str, Any]:
    """Return the parameters of ``RunInstances`` for machines of nobody yet.

    Parameters
    ----------
    settings
        What is rented.
    image
        The machine image.
    many
        How many machines at most; as many of them are bought as there are.
    zone
        The availability zone; None for any.
    script
        What the machines run when they start.
    """
    asked: dict[str, Any] = {
        "ImageId": image.id,
        "InstanceType": settings.instance_type,
        "MinCount": 1,
        "MaxCount": many,
        "UserData": script,
        "InstanceInitiatedShutdownBehavior": "terminate",
        "IamInstanceProfile": {"Name": settings.iam_instance_profile_name},
        # A token for the metadata, which does not get into a container: there is nothing there
        # that a job needs, and the machine's role is to be had there.
        "MetadataOptions": {
            "HttpTokens": "required",
            "HttpEndpoint": "enabled",
            "HttpPutResponseHopLimit": 1,
            "InstanceMetadataTags": "disabled",
        },
        "BlockDeviceMappings": [
            {
                "DeviceName": image.root_device,
                "Ebs": {
                    "VolumeSize": disk_gb(settings, image),
                    "VolumeType": "gp3",
                    "Encrypted": True,
                    "DeleteOnTermination": True,
                },
            }
        ],
    }
    if settings.spot_price is not None:
        asked["InstanceMarketOptions"] = {
            "MarketType": "spot",
            "SpotOptions": {
                "SpotInstanceType": "one-time",
                "InstanceInterruptionBehavior": "terminate",
                "MaxPrice": f"{Decimal(str(settings.spot_price)):f}",
            },
        }
    if re.match(r"t\d", settings.instance_type):
        # Otherwise they may cost more than their price, without asking.
        asked["CreditSpecification"] = {"CpuCredits": "standard"}
    if settings.aws_key_name is not None:
        asked["KeyName"] = settings.aws_key_name
    if settings.security_group_ids:
        asked["SecurityGroupIds"] = list(settings.security_group_ids)
    if settings.subnet_id is not None:
        asked["SubnetId"] = settings.subnet_id
    elif zone is not None:  # a subnet is in one zone, which need not be said
        asked["Placement"] = {"AvailabilityZone": zone}
    return asked


def disk_gb(settings: Ec2Settings, image: Image) -> int:
    """Return how many gigabytes the disk of a machine has."""
    return settings.disk_size or max(DISK_GB, image.size_gb)


def named(asked: dict[str, Any], order: Order, zone: str | None) -> dict[str, Any]:
    """Return the parameters with what tells the machines of an order from all others."""
    tags = [{"Key": key, "Value": value} for key, value in tags_of(order).items()]
    kinds = ["instance", "volume"]
    if "InstanceMarketOptions" in asked:
        kinds.append("spot-instances-request")
    return {
        **asked,
        "ClientToken": client_token(order, zone, asked["MaxCount"]),
        "TagSpecifications": [{"ResourceType": kind, "Tags": tags} for kind in kinds],
    }


def tags_of(order: Order) -> dict[str, str]:
    """Return the tags of an order's machines."""
    return {
        "Name": f"launchkit {order.sweep}",
        OURS: "1",
        SWEEP: order.sweep,
        TOKEN: order.token,
        BASE: f"{order.boot.store}/{order.boot.base}",
        FIRST_PACK: str(order.boot.first_pack),
    }


def client_token(order: Order, zone: str | None, many: int) -> str:
    """Return the token of a request: what an order is tried with has one each.

    EC2 takes it for the same request wherever it is sent, and however it was answered.
    """
    if zone is None and many == order.many:
        return order.token
    which = hashlib.sha256(f"{zone} {many}".encode())
    return f"{order.token}-{which.hexdigest()[:12]}"
