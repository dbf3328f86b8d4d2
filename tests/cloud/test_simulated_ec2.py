"""Buying at the simulated EC2 of the testbed: once, and as much as there is."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Iterator

import pytest
from simulated_aws import (
    METADATA,
    Renter,
    capacity,
    client,
    described,
    error_of,
    fault,
    renting,
    request,
    state,
    wait_for,
    wait_for_word,
)

botocore_errors = pytest.importorskip("botocore.exceptions")

pytestmark = pytest.mark.cloud


@pytest.fixture
def aws() -> Iterator[Renter]:
    with renting() as renter:
        yield renter


def test_the_same_token_buys_once(aws):
    ec2, token = client("ec2"), uuid.uuid4().hex
    ids = aws.run("sleep 1000", many=2, ClientToken=token)
    asked = {**request("sleep 1000", aws.bucket, 2), "ClientToken": token}
    again = ec2.run_instances(**asked)["Instances"]
    assert [each["InstanceId"] for each in again] == ids
    other = {**asked, "MaxCount": 3}
    code, _ = error_of(lambda: ec2.run_instances(**other))
    assert code == "IdempotentParameterMismatch"
    filters = [{"Name": "client-token", "Values": [token]}]
    (found,) = ec2.describe_instances(Filters=filters)["Reservations"]
    assert sorted(each["InstanceId"] for each in found["Instances"]) == sorted(ids)
    nobody = [{"Name": "client-token", "Values": [uuid.uuid4().hex]}]
    assert ec2.describe_instances(Filters=nobody)["Reservations"] == []


def test_an_answer_that_is_lost_has_bought_all_the_same(aws):
    token = uuid.uuid4().hex
    with fault("lose", action="RunInstances", body=token, count=1):
        with pytest.raises(botocore_errors.HTTPClientError):
            aws.run("sleep 1000", ClientToken=token)
        bought = instances_with(token)
        assert aws.run("sleep 1000", ClientToken=token) == bought
    assert instances_with(token) == bought


def instances_with(token: str) -> list[str]:
    filters = [{"Name": "client-token", "Values": [token]}]
    (found,) = client("ec2").describe_instances(Filters=filters)["Reservations"]
    return [each["InstanceId"] for each in found["Instances"]]


def test_there_are_as_many_machines_as_there_are(aws):
    here = {"Placement": {"AvailabilityZone": "us-east-1a"}}
    with capacity(aws.bucket, zone="us-east-1a", left=2):
        assert len(aws.run("sleep 1000", many=5, **here)) == 2
        code, status = error_of(lambda: aws.run("sleep 1000", **here))
        assert (code, status) == ("InsufficientInstanceCapacity", 500)
        (elsewhere,) = aws.run("sleep 1000")
        assert described(elsewhere)["Placement"]["AvailabilityZone"] != "us-east-1a"


def test_a_quota_counts_what_runs(aws):
    spot = {"InstanceMarketOptions": {"MarketType": "spot"}}
    error = "MaxSpotInstanceCountExceeded"
    with capacity(aws.bucket, running=1, market="spot", error=error):
        (id,) = aws.run("sleep 1000", **spot)
        assert error_of(lambda: aws.run("sleep 1", **spot)) == (error, 400)
        aws.run("sleep 1000")
        client("ec2").terminate_instances(InstanceIds=[id])
        wait_for(lambda: state(id) == "terminated")
        aws.run("sleep 1000", **spot)


def test_what_ec2_refuses_is_refused(aws):
    ec2 = client("ec2")
    good = request("true", aws.bucket)
    wrong = {
        "InvalidAMIID.NotFound": {"ImageId": "ami-0123456789abcdef0"},
        "InvalidInstanceType.NotFound": {"InstanceType": "c7x.large"},
        "InvalidKeyPair.NotFound": {"KeyName": "nobody"},
        "InvalidParameterValue": {"UserData": "#!/bin/sh\n" + "#" * 16384},
        "DryRunOperation": {"DryRun": True},
    }
    for code, change in wrong.items():
        assert error_of(lambda change=change: ec2.run_instances(**{**good, **change}))[0] == code


def test_prices_quotas_and_images_for_gpus_can_be_asked(aws):
    products = client("pricing").get_products(
        ServiceCode="AmazonEC2",
        Filters=[{"Type": "TERM_MATCH", "Field": "instanceType", "Value": "c7i.large"}],
    )["PriceList"]
    assert '"USD": "0.0892500000"' in json.dumps(json.loads(products[0]))
    quotas = client("service-quotas")
    quota = quotas.get_service_quota(ServiceCode="ec2", QuotaCode="L-1216C47A")["Quota"]
    assert quota["Value"] > 0
    name = (
        "/aws/service/deeplearning/ami/x86_64/"
        "base-oss-nvidia-driver-gpu-amazon-linux-2023/latest/ami-id"
    )
    image = client("ssm").get_parameter(Name=name)["Parameter"]["Value"]
    (found,) = client("ec2").describe_images(ImageIds=[image])["Images"]
    assert found["Architecture"] == "x86_64"
    good = request("true", aws.bucket)
    dry = {**good, "ImageId": image, "DryRun": True}
    assert error_of(lambda: client("ec2").run_instances(**dry))[0] == "DryRunOperation"


def test_user_data_reaches_the_machine_unchanged(aws):
    (id,) = aws.run(METADATA + "told user-data | base64 -w0; echo; echo done; sleep 1000")
    log = wait_for_word(id, "done")
    said = base64.b64decode(log.splitlines()[0])
    asked = client("ec2").describe_instance_attribute(InstanceId=id, Attribute="userData")
    assert said == base64.b64decode(asked["UserData"]["Value"])
