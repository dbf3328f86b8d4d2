"""The settings of mode ``ec2``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from launchkit.cloud.cloud_settings import CloudSettings, check_above, check_name, check_names
from launchkit.policy import check_whole

BUCKET_NAME = r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
PARAMETER = r"/aws/service/[\w./-]+"
"""A public parameter of AWS, of which the value is the id of a machine image."""
LONGEST_PREFIX = 150
"""So that the address of a sweep fits into a tag."""
PREFIX = r"(?!\.{1,2}(/|$))[A-Za-z0-9!_.'()-]+(/(?!\.{1,2}(/|$))[A-Za-z0-9!_.'()-]+)*"


@dataclass(frozen=True, kw_only=True)
class Ec2Settings(CloudSettings):
    """What is rented of EC2.

    Parameters
    ----------
    region
        The region; None for the one that AWS's own settings name.
    zone
        Availability zones to look for machines in, in order; None for wherever there are any.
    instance_type
        The type of machine.
    spot_price
        The most that a spot machine may cost an hour, in USD; None to rent on demand.
    s3_bucket
        The bucket.
    s3_log_path
        The prefix in it below which sweeps are.
    ami_name
        The machine image: an id, a name of your own images or of Amazon's (of which the newest
        is taken, and ``*`` stands for anything), or a public parameter below ``/aws/service``;
        None for Amazon's current one.
    iam_instance_profile_name
        The profile with the role of the machines.
    aws_key_name
        A key pair for logging in to the machines; None for no such thing.
    security_group_ids
        The machines' security groups; empty for the network's default one.
    subnet_id
        The subnet of the machines; None for the default one.
    swap_size
        Megabytes of swap space on a machine.
    disk_size
        Gigabytes of a machine's disk; None for 64, or what the image takes if that is more.

    Raises
    ------
    ValueError
        If one of them is wrong.
    """

    region: str | None = None
    zone: str | Sequence[str] | None = None
    instance_type: str = "c7i.large"
    spot_price: float | None = None
    s3_bucket: str | None = None
    s3_log_path: str = "launchkit"
    ami_name: str | None = None
    iam_instance_profile_name: str = "launchkit"
    aws_key_name: str | None = None
    security_group_ids: Sequence[str] = ()
    subnet_id: str | None = None
    swap_size: int = 4096
    disk_size: int | None = None

    BUCKET: ClassVar[str] = "s3_bucket"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_name("region", self.region, r"[a-z]{2}(-[a-z]+)+-\d", "a region is eu-west-1, say")
        check_names("zone", self.zones, r"[a-z0-9-]+-\d[a-z]", "a zone is eu-west-1a, say")
        check_name("instance_type", self.instance_type, r"[a-z0-9-]+\.[a-z0-9-]+", "c7i.large, say")
        if self.spot_price is not None:
            check_above("0", "spot_price", self.spot_price)
        check_name(
            "s3_bucket",
            self.s3_bucket,
            BUCKET_NAME,
            "name your bucket, or make one with `launchkit ec2 setup`",
            optional=False,
        )
        check_name("s3_log_path", self.s3_log_path, PREFIX, "launchkit, say", optional=False)
        if len(self.s3_log_path) > LONGEST_PREFIX:
            raise ValueError(
                f"s3_log_path has {len(self.s3_log_path)} characters; it may have {LONGEST_PREFIX}"
            )
        check_name(
            "ami_name",
            self.ami_name,
            rf"{PARAMETER}|[\w(][\w .()/*?:-]*",
            "an id, a name, or a public parameter such as /aws/service/... is needed",
        )
        check_name(
            "iam_instance_profile_name",
            self.iam_instance_profile_name,
            r"[\w+=,.@-]+",
            "`launchkit ec2 setup` makes one",
            optional=False,
        )
        check_name("aws_key_name", self.aws_key_name, r"[^\0\n]+", "name a key pair, or null")
        check_names(
            "security_group_ids", self.security_group_ids, r"sg-[0-9a-f]+", "sg-0123abcd, say"
        )
        check_name("subnet_id", self.subnet_id, r"subnet-[0-9a-f]+", "subnet-0123abcd, say")
        check_whole("swap_size", self.swap_size, 0)
        check_whole("disk_size", self.disk_size, 1, optional=True)
