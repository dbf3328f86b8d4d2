"""Sweeps on the simulated EC2, in good times and in bad ones."""

from __future__ import annotations

import boto3
import pytest
from cloud_scenarios import CloudScenarios
from ec2_case import EC2

pytestmark = [pytest.mark.cloud, pytest.mark.docker, pytest.mark.doodad]


class TestEc2(CloudScenarios):
    cloud = EC2
    of_the_bucket = {"service": "s3"}  # noqa: RUF012 - a constant

    def take_back(self, machine):
        self.play(machine, "interrupt", seconds=20)

    def lose_answers(self, count):
        EC2.control("POST", "faults", {"kind": "lose", "action": "RunInstances", "count": count})

    def everything_known(self, machine):
        ec2 = boto3.client("ec2")
        told = [ec2.describe_instances(InstanceIds=[machine.id])["Reservations"]]
        for name in ("userData", "instanceType"):
            told.append(ec2.describe_instance_attribute(InstanceId=machine.id, Attribute=name))
        told.append(EC2.control("GET", f"machines/{machine.id}"))
        return decoded(told)


def decoded(told):
    import base64

    data = told[1].get("UserData", {}).get("Value", "")
    return [*map(str, told), base64.b64decode(data).decode()]
