"""How tests use the simulated AWS of the testbed."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import testbed

boto3 = pytest.importorskip("boto3")
botocore_config = pytest.importorskip("botocore.config")
botocore_errors = pytest.importorskip("botocore.exceptions")

AMAZON_LINUX = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
ONCE = botocore_config.Config(retries={"total_max_attempts": 1}, read_timeout=30)
METADATA = """
token=$(curl -sf -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' \
  http://169.254.169.254/latest/api/token)
told() { curl -s -H "X-aws-ec2-metadata-token: $token" "http://169.254.169.254/latest/$1"; }
id=$(told meta-data/instance-id)
export AWS_DEFAULT_REGION=$(told meta-data/placement/region)
"""
"""What a script begins with that asks the metadata service."""


@dataclass
class Renter:
    """Who rents machines, and has a bucket.

    Parameters
    ----------
    bucket
        Its name; in scripts it is ``$bucket``.
    ids
        The machines so far.
    """

    bucket: str
    ids: list[str] = field(default_factory=list)

    def run(self, script: str, many: int = 1, **more: Any) -> list[str]:
        """Start machines with a script, and return their ids."""
        asked = {**request(script, self.bucket, many), **more}
        instances = client("ec2").run_instances(**asked)["Instances"]
        ids = [each["InstanceId"] for each in instances]
        self.ids += ids
        return ids


@contextlib.contextmanager
def renting() -> Iterator[Renter]:
    """Give a test a renter, and an environment in which AWS is the simulated one."""
    if reason := testbed.available("aws"):
        pytest.skip(reason)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in testbed.aws_environment().items():
            patch.setenv(name, value)
        renter = Renter(f"testbed-{uuid.uuid4().hex[:12]}")
        s3 = client("s3")
        s3.create_bucket(Bucket=renter.bucket)
        try:
            yield renter
        finally:
            end_all(renter.ids)
            for each in s3.list_objects_v2(Bucket=renter.bucket).get("Contents", ()):
                s3.delete_object(Bucket=renter.bucket, Key=each["Key"])
            s3.delete_bucket(Bucket=renter.bucket)


def end_all(ids: list[str]) -> None:
    """End machines, and wait until they are gone."""
    if not ids:
        return
    client("ec2").terminate_instances(InstanceIds=ids)
    for id in ids:
        wait_for(lambda id=id: not machine(id)["running"])


@contextlib.contextmanager
def fault(kind: str, **fields: Any) -> Iterator[dict[str, Any]]:
    """Let something go wrong for a while."""
    made = testbed.aws_control("POST", "faults", {"kind": kind, **fields})
    try:
        yield made
    finally:
        testbed.aws_control("DELETE", f"faults/{made['id']}")


@contextlib.contextmanager
def capacity(bucket: str, **fields: Any) -> Iterator[None]:
    """Limit the machines that have a bucket in their scripts."""
    testbed.aws_control("POST", "capacity", {**fields, "script": bucket})
    try:
        yield
    finally:
        testbed.aws_control("DELETE", f"capacity?script={bucket}")


def client(service: str, config: Any = ONCE) -> Any:
    """Return a client that asks once."""
    return boto3.client(service, config=config)


def request(script: str, bucket: str, many: int = 1) -> dict[str, Any]:
    """Return what `run_instances` takes for a script."""
    image = client("ssm").get_parameter(Name=AMAZON_LINUX)["Parameter"]["Value"]
    return {
        "ImageId": image,
        "InstanceType": "c7i.large",
        "MinCount": 1,
        "MaxCount": many,
        "UserData": f"#!/bin/bash\nbucket={bucket}\n{script}",
        "IamInstanceProfile": {"Name": testbed.AWS_PROFILE},
        "InstanceInitiatedShutdownBehavior": "terminate",
    }


def machine(id: str) -> dict[str, Any]:
    """Return what the testbed knows of a machine."""
    told: dict[str, Any] = testbed.aws_control("GET", f"machines/{id}")
    return told


def described(id: str) -> dict[str, Any]:
    """Return what EC2 says of an instance."""
    answer = client("ec2").describe_instances(InstanceIds=[id])
    told: dict[str, Any] = answer["Reservations"][0]["Instances"][0]
    return told


def state(id: str) -> str:
    """Return how an instance is."""
    name: str = described(id)["State"]["Name"]
    return name


def wait_for(done: Callable[[], Any], seconds: float = 60) -> Any:
    """Wait until something is true, and return it."""
    end = time.monotonic() + seconds
    while not (found := done()):
        assert time.monotonic() < end, "it does not happen"
        time.sleep(0.1)
    return found


def wait_for_word(id: str, word: str) -> str:
    """Wait until a machine has printed a word, and return all that it has."""
    return wait_for(lambda: word in machine(id)["log"] and machine(id)["log"])


def error_of(call: Callable[[], Any]) -> tuple[str, int]:
    """Return the code of the error that a call gets, and its status."""
    with pytest.raises(botocore_errors.ClientError) as caught:
        call()
    response = caught.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]
