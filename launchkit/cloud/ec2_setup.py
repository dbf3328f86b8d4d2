"""The least that EC2 sweeps need: a bucket, a role for the machines, a security group."""

from __future__ import annotations

from typing import Any

from launchkit.cloud import ec2_errors, ec2_policies
from launchkit.cloud.aws import Aws
from launchkit.cloud.cloud_settings import check_name
from launchkit.cloud.ec2_bucket import Bucket
from launchkit.cloud.ec2_group import Group
from launchkit.cloud.ec2_role import Role
from launchkit.cloud.ec2_settings import BUCKET_NAME, PREFIX
from launchkit.cloud.patience import PATIENCE_S
from launchkit.cloud.setup_steps import Step


class Ec2Setup:
    """What is needed, and what it is called.

    Parameters
    ----------
    bucket
        The bucket's name.
    prefix
        Below which sweeps are in it.
    name
        What the role, its profile and the security group are called.
    region
        The region; None for the one that AWS's own settings name.
    patience_s
        For how many seconds to ask again what has failed for a while.

    Raises
    ------
    ValueError
        If one of them is wrong.
    Refused
        If there is no region.
    """

    def __init__(
        self,
        bucket: str,
        *,
        prefix: str = "launchkit",
        name: str = "launchkit",
        region: str | None = None,
        patience_s: float = PATIENCE_S,
    ) -> None:
        check_name("--bucket", bucket, BUCKET_NAME, "3 to 63 of a-z, 0-9, - and .", optional=False)
        check_name("--prefix", prefix, PREFIX, "launchkit, say", optional=False)
        check_name("--name", name, r"(?!sg-)[\w+=,.@-]{1,64}", "launchkit, say", optional=False)
        self._aws = Aws(region, explain=ec2_errors.plainly, patience_s=patience_s)
        partition = self._aws.partition(self._aws.region)
        self.policy: dict[str, Any] = ec2_policies.role(bucket, prefix, partition)
        self._bucket = Bucket(self._aws, bucket)
        self._role = Role(self._aws, name, self.policy)
        self._group = Group(self._aws, name)
        self._settings = {
            "s3_bucket": bucket,
            "s3_log_path": prefix,
            "region": self._aws.region,
            "iam_instance_profile_name": name,
        }

    def account(self) -> str:
        """Return the account that all of it is in."""
        return str(self._aws.ask("sts", lambda sts: sts.get_caller_identity())["Account"])

    def steps(self) -> list[Step]:
        """Return what is needed, in the order in which it is made."""
        return [*self._bucket.steps(), *self._role.steps(), *self._group.steps()]

    def more_rights(self) -> list[str]:
        """Return the names of policies by which the role may do more than is needed."""
        return self._role.more_rights()

    def settings(self) -> dict[str, str]:
        """Return the settings of mode ``ec2`` that use what is there now."""
        group = self._group.id()
        return self._settings | ({"security_group_ids": f"[{group}]"} if group else {})
