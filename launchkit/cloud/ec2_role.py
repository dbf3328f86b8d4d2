"""The role of the machines of EC2 sweeps, and the profile by which they have it."""

from __future__ import annotations

import json
from typing import Any

from launchkit.cloud import ec2_policies
from launchkit.cloud.aws import Aws, look, make
from launchkit.cloud.providers import Refused
from launchkit.cloud.setup_steps import Found, Step

TAGS = [{"Key": "launchkit", "Value": "1"}]
NONE = ("NoSuchEntity",)
THERE = "EntityAlreadyExists"


class Role:
    """A role, and an instance profile of the same name.

    Parameters
    ----------
    aws
        Whom to ask.
    name
        Their name.
    policy
        What the role may do.
    """

    def __init__(self, aws: Aws, name: str, policy: dict[str, Any]) -> None:
        self._aws = aws
        self._name = name
        self._policy = policy

    def steps(self) -> list[Step]:
        """Return what is needed."""
        name = self._name
        return [
            Step(f"role {name}, only for machines of EC2", self._look, self._make),
            Step("  it may do what its policy says", self._look_policy, self._make_policy),
            Step(f"instance profile {name} with that role", self._look_profile, self._make_profile),
        ]

    def more_rights(self) -> list[str]:
        """Return the names of policies by which the role may do more than is needed."""
        _, own = look(lambda: self._ask("list_role_policies"), NONE)
        _, others = look(lambda: self._ask("list_attached_role_policies"), NONE)
        names = [each["PolicyName"] for each in (others or {}).get("AttachedPolicies", ())]
        return sorted({*(own or {}).get("PolicyNames", ()), *names} - {self._name})

    def _look(self) -> Found:
        found, answer = look(lambda: self._ask("get_role"), NONE)
        if found is Found.THERE and answer["Role"]["AssumeRolePolicyDocument"] != self._trust():
            raise Refused(
                f"the role {self._name} is there, for others than machines of EC2; choose another "
                "--name"
            )
        return found

    def _make(self) -> None:
        make(
            lambda: self._ask(
                "create_role",
                AssumeRolePolicyDocument=json.dumps(self._trust()),
                Description="The machines of launchkit's sweeps",
                Tags=TAGS,
            ),
            THERE,
        )

    def _look_policy(self) -> Found:
        found, answer = look(lambda: self._ask("get_role_policy", PolicyName=self._name), NONE)
        if found is Found.THERE and answer["PolicyDocument"] != self._policy:
            return Found.LACKING
        return found

    def _make_policy(self) -> None:
        self._ask("put_role_policy", PolicyName=self._name, PolicyDocument=json.dumps(self._policy))

    def _look_profile(self) -> Found:
        found, answer = look(lambda: self._ask_profile("get_instance_profile"), NONE)
        if found is not Found.THERE:
            return found
        roles = [each["RoleName"] for each in answer["InstanceProfile"]["Roles"]]
        if roles and roles != [self._name]:
            raise Refused(
                f"the instance profile {self._name} is there, with the role {roles[0]}; choose "
                "another --name"
            )
        return Found.THERE if roles else Found.LACKING

    def _make_profile(self) -> None:
        make(lambda: self._ask_profile("create_instance_profile", Tags=TAGS), THERE)
        # It can have one role, and that it has none was seen just now.
        make(
            lambda: self._ask_profile("add_role_to_instance_profile", RoleName=self._name),
            "LimitExceeded",
        )

    def _ask(self, operation: str, **parameters: Any) -> Any:
        return self._aws.ask(
            "iam", lambda iam: getattr(iam, operation)(RoleName=self._name, **parameters)
        )

    def _ask_profile(self, operation: str, **parameters: Any) -> Any:
        return self._aws.ask(
            "iam", lambda iam: getattr(iam, operation)(InstanceProfileName=self._name, **parameters)
        )

    def _trust(self) -> dict[str, Any]:
        return ec2_policies.trust(self._aws.partition(self._aws.region))
