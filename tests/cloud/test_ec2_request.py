"""What EC2 is asked for, as a pure function of the settings."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from launchkit.cloud import ec2_request
from launchkit.cloud.boot import Boot
from launchkit.cloud.ec2_images import Image
from launchkit.cloud.ec2_settings import Ec2Settings
from launchkit.cloud.providers import Order

IMAGE = Image("ami-0123456789abcdef0", "al2023", "x86_64", "/dev/xvda", 8)
BOOT = Boot("s3://b", "eu-west-1", "launchkit/s", "n", "a.dar", "0" * 64, "k", 4, None, False,
            60, 15.0, 30.0)  # fmt: skip
ORDER = Order("s-1", BOOT, 5, "s")
EVERYTHING: dict[str, Any] = {
    "instance_type": "t3.large",
    "spot_price": 0.00001,
    "aws_key_name": "key",
    "security_group_ids": ("sg-0123abcd",),
    "disk_size": 100,
}


def asked(zone: str | None = None, **settings: Any) -> dict[str, Any]:
    wanted = Ec2Settings(s3_bucket="the-bucket", **settings)
    fields = ec2_request.fields(wanted, IMAGE, many=5, zone=zone, script="#!/bin/sh\n")
    return ec2_request.named(fields, ORDER, zone)


@pytest.mark.parametrize("settings", [{}, EVERYTHING, {"subnet_id": "subnet-0123abcd"}])
@pytest.mark.parametrize("zone", [None, "eu-west-1a"])
def test_it_is_what_the_api_takes(settings: dict[str, Any], zone: str | None) -> None:
    model = botocore.session.Session().get_service_model("ec2").operation_model("RunInstances")
    report = ParamValidator().validate(asked(zone, **settings), model.input_shape)
    assert not report.has_errors(), report.generate_report()


@pytest.mark.parametrize("settings", [{}, EVERYTHING])
def test_whatever_the_settings_a_machine_ends_and_keeps_its_role(settings: dict[str, Any]) -> None:
    fields = asked(**settings)
    assert fields["InstanceInitiatedShutdownBehavior"] == "terminate"
    assert fields["MetadataOptions"] == {
        "HttpTokens": "required",
        "HttpEndpoint": "enabled",
        "HttpPutResponseHopLimit": 1,
        "InstanceMetadataTags": "disabled",
    }
    (disk,) = fields["BlockDeviceMappings"]
    assert disk["DeviceName"] == "/dev/xvda"
    assert disk["Ebs"] == {
        "VolumeSize": settings.get("disk_size", 64),
        "VolumeType": "gp3",
        "Encrypted": True,
        "DeleteOnTermination": True,
    }
    assert (fields["MinCount"], fields["MaxCount"]) == (1, 5)


def test_a_spot_machine_is_asked_for_once_and_never_for_more_than_its_price() -> None:
    market = asked(**EVERYTHING)["InstanceMarketOptions"]
    assert market["MarketType"] == "spot"
    assert market["SpotOptions"] == {
        "SpotInstanceType": "one-time",
        "InstanceInterruptionBehavior": "terminate",
        "MaxPrice": "0.00001",
    }
    assert "InstanceMarketOptions" not in asked()


def test_the_request_for_a_spot_machine_has_tags_only_where_there_is_one() -> None:
    def kinds(fields: dict[str, Any]) -> list[str]:
        return [each["ResourceType"] for each in fields["TagSpecifications"]]

    assert kinds(asked()) == ["instance", "volume"]
    assert kinds(asked(**EVERYTHING)) == ["instance", "volume", "spot-instances-request"]


def test_the_tags_say_whose_machine_it_is() -> None:
    tags = {each["Key"]: each["Value"] for each in asked()["TagSpecifications"][0]["Tags"]}
    assert tags == {
        "Name": "launchkit s",
        "launchkit": "1",
        "launchkit-sweep": "s",
        "launchkit-token": "s-1",
        "launchkit-bucket": "s3://b/launchkit/s",
        "launchkit-first-pack": "4",
    }


def test_a_machine_that_earns_credits_cannot_cost_more_than_its_price() -> None:
    assert asked(instance_type="t3.large")["CreditSpecification"] == {"CpuCredits": "standard"}
    assert "CreditSpecification" not in asked(instance_type="trn1.2xlarge")


def test_a_subnet_says_the_zone_itself() -> None:
    assert asked("eu-west-1a")["Placement"] == {"AvailabilityZone": "eu-west-1a"}
    assert "Placement" not in asked("eu-west-1a", subnet_id="subnet-0123abcd")


def test_whatever_an_order_is_tried_with_has_a_token_of_its_own_that_is_the_same_next_time() -> (
    None
):
    order = replace(ORDER, token="x" * 48)
    tries = [(zone, many) for zone in (None, "a", "b") for many in (5, 2)]
    tokens = [ec2_request.client_token(order, *each) for each in tries]
    assert len(set(tokens)) == len(tries)
    assert all(len(token) <= 64 and token.isascii() for token in tokens)
    assert tokens == [ec2_request.client_token(order, *each) for each in tries]
    assert tokens[0] == order.token


def test_the_disk_has_room_for_the_image() -> None:
    settings = Ec2Settings(s3_bucket="the-bucket")
    large = Image("ami-0", "deep learning", "x86_64", "/dev/xvda", 75)
    assert ec2_request.disk_gb(settings, IMAGE) == 64
    assert ec2_request.disk_gb(settings, large) == 75


def test_an_address_that_is_too_long_for_a_tag_is_refused() -> None:
    with pytest.raises(ValueError, match="s3_log_path has 151 characters"):
        Ec2Settings(s3_bucket="the-bucket", s3_log_path="x" * 151)


@pytest.mark.parametrize("path", ["a/../b", "..", "a/./b", "a//b", "a*", "/a", "a/"])
def test_a_prefix_that_is_no_path_or_a_pattern_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="s3_log_path is"):
        Ec2Settings(s3_bucket="the-bucket", s3_log_path=path)
