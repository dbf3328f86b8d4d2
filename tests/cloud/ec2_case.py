"""The simulated EC2, as the tests of sweeps use it."""

from __future__ import annotations

import boto3
import testbed
from cloud_case import Cloud

BUCKET = "launchkit-tests"
CLOSED = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")


class _Ec2(Cloud):
    mode = "ec2"
    bucket_setting = "s3_bucket"
    prefix_setting = "s3_log_path"
    bucket = BUCKET
    control = staticmethod(testbed.aws_control)
    environment = staticmethod(testbed.aws_environment)

    def make_bucket(self) -> None:
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket=self.bucket)
        closed = dict.fromkeys(CLOSED, True)
        s3.put_public_access_block(Bucket=self.bucket, PublicAccessBlockConfiguration=closed)

    def hosts(self, sweep: str) -> set[str]:
        wanted = [{"Name": "tag:launchkit-sweep", "Values": [sweep]}]
        told = boto3.client("ec2").describe_instances(Filters=wanted)
        instances = [each for some in told["Reservations"] for each in some["Instances"]]
        return {each["PrivateDnsName"].partition(".")[0] for each in instances}


EC2 = _Ec2()
