"""The security group of the machines of EC2 sweeps: nobody gets in."""

from __future__ import annotations

from typing import Any

from launchkit.cloud.aws import Aws, look, make
from launchkit.cloud.providers import Refused
from launchkit.cloud.setup_steps import Found, Step

TAGS = [{"ResourceType": "security-group", "Tags": [{"Key": "launchkit", "Value": "1"}]}]


class Group:
    """A security group of the region's default network.

    Parameters
    ----------
    aws
        Whom to ask.
    name
        Its name.
    """

    def __init__(self, aws: Aws, name: str) -> None:
        self._aws = aws
        self._name = name

    def steps(self) -> list[Step]:
        """Return what is needed."""
        words = f"security group {self._name} in {self._aws.region}, without inbound rules"
        return [Step(words, self._look, self._make)]

    def id(self) -> str | None:
        """Return its id; None if there is none, or we may not ask."""
        _, found = look(self._described)
        return str(found[0]["GroupId"]) if found else None

    def _look(self) -> Found:
        found, groups = look(self._described)
        if found is not Found.THERE:
            return found
        for group in groups:
            if group["IpPermissions"]:
                raise Refused(
                    f"the security group {self._name} ({group['GroupId']}) lets others in; remove "
                    "its inbound rules, or choose another --name"
                )
        return Found.THERE if groups else Found.LACKING

    def _make(self) -> None:
        network = self._network()
        make(
            lambda: self._aws.ask(
                "ec2",
                lambda ec2: ec2.create_security_group(
                    GroupName=self._name,
                    Description="Machines of launchkit sweeps: nobody gets in",
                    VpcId=network,
                    TagSpecifications=TAGS,
                ),
            ),
            "InvalidGroup.Duplicate",
        )

    def _described(self) -> list[Any]:
        filters = [
            {"Name": "group-name", "Values": [self._name]},
            {"Name": "vpc-id", "Values": [self._network()]},
        ]
        answer = self._aws.ask("ec2", lambda ec2: ec2.describe_security_groups(Filters=filters))
        return list(answer["SecurityGroups"])

    def _network(self) -> str:
        filters = [{"Name": "is-default", "Values": ["true"]}]
        answer = self._aws.ask("ec2", lambda ec2: ec2.describe_vpcs(Filters=filters))
        if not answer["Vpcs"]:
            raise Refused(
                f"{self._aws.region} has no default network; make it with `aws ec2 "
                "create-default-vpc`, or make a security group in your own by hand"
            )
        return str(answer["Vpcs"][0]["VpcId"])
