"""Machines of EC2: bought once, found again, ended; and what is refused before."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import boto3
import pytest
from ec2_here import ABROAD, REGION, Ec2World, described, ec2_front, provider, use

from launchkit.cloud.providers import (
    Expired,
    Machine,
    NoCapacity,
    Refused,
    Standing,
    Unreachable,
)
from launchkit.doodad import ec2_mode, engine

A, B, C = f"{REGION}a", f"{REGION}b", f"{REGION}c"


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with ec2_front(tmp_path_factory.mktemp("aws")) as front:
        yield front


@pytest.fixture(autouse=True)
def world(front: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ec2World]:
    use(monkeypatch, front)
    world = Ec2World(front)
    yield world
    world.leave()


def ids(machines: list[Machine]) -> set[str]:
    return {each.id for each in machines}


def of_ec2(machine: Machine) -> dict[str, Any]:
    ec2 = boto3.client("ec2", region_name=REGION)
    return next(each for each in described(ec2) if each["InstanceId"] == machine.id)


# Buying


def test_one_request_buys_all_machines_of_an_order(world: Ec2World) -> None:
    order = world.order(3, first_pack=7)
    machines = provider().start(order)
    assert world.count("RunInstances") == 1
    assert [each.pack for each in machines] == [7, 8, 9]
    assert {(each.token, each.sweep, each.kind) for each in machines} == {
        (order.token, world.sweep, "c7i.large")
    }
    assert {each.base for each in machines} == {f"s3://the-bucket/launchkit/{world.sweep}"}


def test_a_machine_ends_with_its_script_and_shows_its_role_to_no_container(
    world: Ec2World,
) -> None:
    machine = provider(spot_price=0.05).start(world.order())[0]
    ec2 = boto3.client("ec2", region_name=REGION)
    behaviour = ec2.describe_instance_attribute(
        InstanceId=machine.id, Attribute="instanceInitiatedShutdownBehavior"
    )
    assert behaviour["InstanceInitiatedShutdownBehavior"]["Value"] == "terminate"
    options = of_ec2(machine)["MetadataOptions"]
    assert (options["HttpTokens"], options["HttpPutResponseHopLimit"]) == ("required", 1)
    assert of_ec2(machine)["InstanceLifecycle"] == "spot"
    tags = {each["Key"]: each["Value"] for each in of_ec2(machine)["Tags"]}
    assert tags["launchkit"] == "1"
    assert tags["launchkit-sweep"] == world.sweep


def test_asked_again_it_buys_nothing(world: Ec2World) -> None:
    order = world.order(2)
    first = provider().start(order)
    assert ids(provider().start(order)) == ids(first)
    assert ids(provider().machines(world.sweep)) == ids(first)


@pytest.mark.parametrize("kind", ["lose", "reset", "internal", "throttle"])
def test_an_answer_that_is_lost_is_asked_for_again_and_nothing_bought_twice(
    world: Ec2World, kind: str
) -> None:
    world.play(kind, "RunInstances")
    machines = provider().start(world.order(2))
    assert world.count("RunInstances") == 2
    assert ids(provider().machines(world.sweep)) == ids(machines)
    assert len(machines) == 2


def test_fewer_machines_are_taken_where_there_are_no_more(world: Ec2World) -> None:
    world.limit(left=2)
    assert len(provider().start(world.order(5))) == 2


def test_zones_are_asked_in_order(world: Ec2World) -> None:
    world.limit(zone=A, left=0)
    world.limit(zone=B, left=0, error="Unsupported")
    machines = provider().start(world.order(2, A, B, C))
    assert {each.zone for each in machines} == {C}


def test_the_zones_of_the_settings_are_asked_where_an_order_names_none(world: Ec2World) -> None:
    assert provider(zone=B).start(world.order())[0].zone == B


def test_where_no_zone_has_any_this_is_said_at_once(world: Ec2World) -> None:
    world.limit(left=0)
    with pytest.raises(NoCapacity, match=rf"{A}: Insufficient.*{B}: Insufficient"):
        provider().start(world.order(2, A, B))
    assert world.count("RunInstances") == 2


def test_a_repeat_does_not_buy_in_the_zone_that_had_none_before(world: Ec2World) -> None:
    order = world.order(2, A, B)
    world.limit(zone=A, left=0)
    first = provider().start(order)
    world.heal()
    assert ids(provider().start(order)) == ids(first)
    assert ids(provider().machines(world.sweep)) == ids(first)


def test_a_repeat_after_amazon_has_a_new_image_buys_nothing(world: Ec2World) -> None:
    order = world.order(2)
    first = provider().start(order)
    newer = provider(ami_name="al2023-ami-2023.*-kernel-6.1-x86_64")
    assert ids(newer.start(order)) == ids(first)
    assert len(provider().machines(world.sweep)) == 2


def test_another_order_is_another_purchase(world: Ec2World) -> None:
    first, second = (provider().start(world.order()) for _ in range(2))
    assert ids(first).isdisjoint(ids(second))


@pytest.mark.parametrize("error", ["MaxSpotInstanceCountExceeded", "VcpuLimitExceeded"])
def test_a_quota_that_is_used_up_is_lack_of_capacity(world: Ec2World, error: str) -> None:
    world.limit(left=0, error=error)
    with pytest.raises(NoCapacity, match=f"quota.*{error}"):
        provider().start(world.order(1, A, B))
    # It is the account's, in whatever zone.
    assert world.count("RunInstances") == 1


def test_as_many_are_bought_as_the_quota_has_left(world: Ec2World) -> None:
    order = world.order(8, first_pack=3)
    world.play("error", "RunInstances", 2, code="VcpuLimitExceeded", status=400)
    machines = provider().start(order)
    assert [each.pack for each in machines] == [3, 4]
    # By now the account may have more; what was asked for was bought, though.
    assert ids(provider().start(order)) == ids(machines)
    assert len(provider().machines(world.sweep)) == 2


def test_an_order_that_may_not_be_is_refused(world: Ec2World) -> None:
    world.play("error", "RunInstances", code="UnauthorizedOperation", status=403,
               message="You may not. Encoded authorization failure message: abcdef")  # fmt: skip
    with pytest.raises(Refused, match="may not do this") as refused:
        provider().start(world.order())
    assert "abcdef" not in str(refused.value)


# Looking, ending


def test_the_machines_of_a_sweep_are_its_own(world: Ec2World) -> None:
    provider().start(replace(world.order(), sweep="another-sweep"))
    own = provider().start(world.order(2))
    assert ids(provider().machines(world.sweep)) == ids(own)


def test_all_that_is_left_is_found_in_all_regions(world: Ec2World) -> None:
    here = provider().start(world.order(2))
    abroad = provider(region=ABROAD).start(world.order())
    provider().end(here[:1])
    boto3.client("ec2", region_name=REGION).run_instances(
        ImageId=of_ec2(here[1])["ImageId"], MinCount=1, MaxCount=1, InstanceType="c7i.large"
    )
    left = provider().machines()
    assert ids(left) == ids([here[1], *abroad])
    provider().end(left)
    assert provider().machines() == []


def test_a_region_that_may_not_be_asked_does_not_hide_the_others(
    world: Ec2World, caplog: pytest.LogCaptureFixture
) -> None:
    machines = provider().start(world.order())
    world.play("error", "DescribeInstances", code="UnauthorizedOperation", status=403)
    with caplog.at_level(logging.WARNING):
        found = provider().machines()
    # Which of the regions it is that may not be asked is a matter of chance.
    assert "cannot be looked for" in caplog.text
    assert ids(found) == (set() if f"in {REGION} " in caplog.text else ids(machines))


def test_a_spot_machine_that_was_taken_back_says_so(world: Ec2World) -> None:
    machine, other = provider(spot_price=0.05).start(world.order(2))
    world.machines.interrupt(machine.id, seconds=0)
    world.machines.die(other.id)
    found = wait_until_gone(world, 2)
    assert (found[machine.id].reclaimed, found[other.id].reclaimed) == (True, False)
    assert "SpotInstanceTermination" in found[machine.id].reason
    assert "InternalError" in found[other.id].reason


def wait_until_gone(world: Ec2World, many: int) -> dict[str, Machine]:
    until = time.monotonic() + 10
    while True:
        found = {each.id: each for each in provider().machines(world.sweep)}
        if sum(each.standing is Standing.GONE for each in found.values()) == many:
            return found
        assert time.monotonic() < until, found


def test_ended_machines_are_gone(world: Ec2World) -> None:
    machines = provider().start(world.order(2))
    provider().end(machines)
    found = provider().machines(world.sweep)
    assert {each.standing for each in found} == {Standing.GONE}
    assert not any(each.reclaimed for each in found)
    provider().end(machines)


def test_a_machine_that_ec2_has_forgotten_does_not_keep_others_from_being_ended(
    world: Ec2World,
) -> None:
    machine = provider().start(world.order())[0]
    forgotten = [replace(machine, id=f"i-{number:017x}") for number in range(3)]
    provider().end([*forgotten, machine])
    assert [each.standing for each in provider().machines(world.sweep)] == [Standing.GONE]


def test_the_last_words_are_the_last_line_without_what_steers_terminals(world: Ec2World) -> None:
    machine = provider().start(world.order())[0]
    console = world.machines.get(machine.id).machine.console
    console.parent.mkdir(parents=True, exist_ok=True)
    console.write_bytes(b"first\n\x1b[31mdocker: \x1b[0mno such image\r\n\n")
    assert provider().last_words(machine) == "docker: no such image"
    assert provider().last_words(replace(machine, id="i-0123456789abcdef0")) == ""


# What goes wrong between


def test_what_fails_for_a_while_is_asked_again(world: Ec2World) -> None:
    world.play("throttle", "DescribeInstances", 2)
    assert provider().machines(world.sweep) == []
    assert world.count("DescribeInstances") == 3


def test_what_never_answers_is_unreachable(world: Ec2World) -> None:
    world.play("unavailable", "DescribeInstances", None)
    with pytest.raises(Unreachable, match=f"ec2 of AWS in {REGION}"):
        provider().machines(world.sweep)


def test_expired_credentials_say_how_to_log_in(world: Ec2World) -> None:
    world.play("error", "DescribeInstances", code="RequestExpired", status=400)
    with pytest.raises(Expired, match="aws sso login"):
        provider().machines(world.sweep)
    assert provider().machines(world.sweep) == []


def test_without_credentials_it_is_said_how_to_log_in(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with pytest.raises(ValueError, match=r"no AWS credentials here.*aws configure"):
        provider().check(1)


def test_a_profile_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch, pytest.raises(ValueError, match="nobody"):
        patch.setenv("AWS_PROFILE", "nobody")
        provider().check(1)


def test_without_a_region_the_setting_is_named() -> None:
    with pytest.raises(ValueError, match=r"region is not set.*AWS_DEFAULT_REGION"):
        provider(region=None).check(1)


def test_the_region_of_awss_own_settings_is_taken(
    monkeypatch: pytest.MonkeyPatch, world: Ec2World
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    assert provider(region=None).start(world.order())[0].zone.startswith("eu-west-1")


# Checking


def test_a_check_buys_nothing_and_says_what_would_be_bought(world: Ec2World) -> None:
    offer = provider(zone=[B, C], disk_size=100).check(3)
    assert offer.price_per_hour == pytest.approx(0.08925)
    assert "price list" in offer.price_source
    assert offer.most == 32
    assert offer.image.startswith("ami-")
    machine, image = offer.lines
    assert machine == f"c7i.large (2 vCPUs, 4 GiB), 100 GB of disk, on demand, in {B}, {C}"
    assert "al2023" in image
    assert offer.image in image
    assert described(boto3.client("ec2", region_name=REGION)) == []


def test_a_type_with_gpus_gets_an_image_with_their_driver() -> None:
    offer = provider(instance_type="g5.xlarge", use_gpu=True).check(1)
    assert "Nvidia" in offer.lines[1]
    assert "A10G" in offer.lines[0]
    assert offer.most == 2


def test_an_arm_type_gets_an_arm_image() -> None:
    assert "arm64" in provider(instance_type="c7g.large").check(1).lines[1]


def test_an_image_can_be_a_public_parameter() -> None:
    name = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-6.1-x86_64"
    assert "kernel-6.1-" in provider(ami_name=name).check(1).lines[1]


def test_a_spot_price_is_an_upper_bound() -> None:
    offer = provider(spot_price=0.05).check(1)
    assert offer.price_per_hour == pytest.approx(0.05)
    assert "spot at 0.05 USD" in offer.lines[0]


BAD = {
    "no region": ({"region": "eu-west-9"}, r"region is 'eu-west-9'.*eu-west-3"),
    "region not in use": ({"region": "ap-east-2"}, r"region is 'ap-east-2'.*enable"),
    "no type": ({"instance_type": "c7i.lage"}, r"instance_type is 'c7i.lage'.*c7i\.large"),
    "gpus for nothing": ({"instance_type": "g5.xlarge"}, "use_gpu=true"),
    "no gpus": ({"use_gpu": True}, r"use_gpu is true.*c7i\.large.*no GPU"),
    "no zone": ({"zone": f"{REGION}x"}, rf"zone is '{REGION}x'.*there is in {A}"),
    "zone elsewhere": ({"zone": "eu-west-1a"}, f"not in region '{REGION}'"),
    "no image": ({"ami_name": "ami-0123456789abcdef0"}, r"ami_name is.*no such image"),
    "no image of that name": ({"ami_name": "nothing-*"}, r"ami_name is 'nothing-\*'"),
    "no parameter": ({"ami_name": "/aws/service/nothing"}, "/aws/service/nothing"),
    "other architecture": (
        {"instance_type": "c7g.large", "ami_name": "al2023-ami-*-x86_64"},
        "arm64",
    ),
    "too small a disk": ({"disk_size": 2}, r"disk_size is 2.*GB"),
    "no key": ({"aws_key_name": "nobody"}, r"aws_key_name is 'nobody'"),
    "no group": ({"security_group_ids": ["sg-0123"]}, r"security_group_ids has 'sg-0123'"),
    "no subnet": ({"subnet_id": "subnet-0123"}, r"subnet_id is 'subnet-0123'"),
    "no profile": (
        {"iam_instance_profile_name": "nobody"},
        r"iam_instance_profile_name is 'nobody'.*ec2 setup --bucket the-bucket",
    ),
}


@pytest.mark.parametrize(("settings", "message"), BAD.values(), ids=BAD)
def test_what_cannot_be_had_is_named_in_a_line(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as refused:
        provider(**settings).check(1)
    assert "\n" not in str(refused.value)


def test_a_subnet_says_in_which_zone_it_is() -> None:
    ec2 = boto3.client("ec2", region_name=REGION)
    subnets = ec2.describe_subnets()["Subnets"]
    own = next(each for each in subnets if each["AvailabilityZone"] == B)
    assert provider(subnet_id=own["SubnetId"]).check(1).lines
    with pytest.raises(ValueError, match=rf"zone is '{A}'.*is in {B}"):
        provider(subnet_id=own["SubnetId"], zone=A).check(1)


def test_a_group_of_another_network_is_refused() -> None:
    ec2 = boto3.client("ec2", region_name=REGION)
    other = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    group = ec2.create_security_group(GroupName="other", Description="other", VpcId=other)
    with pytest.raises(ValueError, match=other):
        provider(security_group_ids=[group["GroupId"]]).check(1)


def test_a_profile_without_a_role_is_refused() -> None:
    iam = boto3.client("iam", region_name=REGION)
    iam.create_instance_profile(InstanceProfileName="empty")
    with pytest.raises(ValueError, match=r"'empty', and there is no role in it"):
        provider(iam_instance_profile_name="empty").check(1)


def test_what_may_not_be_asked_is_left_out_of_the_check(world: Ec2World) -> None:
    for action in ("GetInstanceProfile", "GetServiceQuota", "DescribeRegions"):
        world.play("error", action, None, code="AccessDenied", status=403)
    world.play("error", "DescribeKeyPairs", code="UnauthorizedOperation", status=403)
    assert provider(aws_key_name="unknown").check(1).most is None


def test_a_quota_of_nothing_is_refused_and_says_how_to_ask_for_more(world: Ec2World) -> None:
    world.extras.quotas["L-34B43A08"] = 0.0
    with pytest.raises(ValueError, match=r"spot.*L-34B43A08.*is 0; ask.*request-service-quota"):
        provider(spot_price=0.05).check(1)
    assert provider().check(1).most == 32


def test_a_spot_price_below_the_cheapest_offer_is_refused(world: Ec2World) -> None:
    world.extras.spot_prices["c7i.large"] = 0.0321
    with pytest.raises(ValueError, match=r"spot_price is 0\.03,.*0\.0321 USD"):
        provider(spot_price=0.03).check(1)
    assert provider(spot_price=0.0321).check(1).price_per_hour == pytest.approx(0.0321)


def test_what_ec2_refuses_in_its_own_dry_run_is_refused_by_the_check(world: Ec2World) -> None:
    world.play("error", "RunInstances", code="UnauthorizedOperation", status=403,
               message="You are not authorized to perform: iam:PassRole")  # fmt: skip
    with pytest.raises(ValueError, match="PassRole"):
        provider().check(1)


def test_a_price_list_that_cannot_be_asked_is_no_reason_to_refuse(world: Ec2World) -> None:
    world.play("error", "GetProducts", None, code="AccessDeniedException", status=400)
    offer = provider().check(1)
    assert offer.price_per_hour is None
    assert "price_per_hour" in offer.price_source


# Through doodad


@pytest.mark.doodad
def test_machines_are_bought_through_doodads_mode(world: Ec2World) -> None:
    if engine.lacking():
        pytest.skip(f"lacking: {engine.lacking()}")
    modes = []

    def buy(client: Any, settings: Any, request: Any) -> Any:
        answer = ec2_mode.buy(client, settings, request)
        modes.append(ec2_mode._mode_class(engine.load())(client, settings, request))
        return answer

    machines = provider(buy, spot_price=0.05).start(world.order(2))
    assert ids(provider().machines(world.sweep)) == ids(machines)
    assert world.count("RunInstances") == 1
    assert isinstance(modes[0], engine.load().mode.EC2Mode)
    assert (modes[0].instance_type, modes[0].s3_bucket) == ("c7i.large", "the-bucket")
    assert provider(ec2_mode.buy).check(1).lines


# Secrets


def test_nothing_secret_is_in_what_a_machine_can_be_asked_for(
    world: Ec2World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "planted-api-key")
    asked: list[Any] = []

    def buy(client: Any, settings: Any, request: Any) -> Any:
        asked.append((settings, request))
        return client.run_instances(**request)

    provider(buy, env={"STAGE": "planted-value"}).start(world.order())
    assert "UserData" in asked[0][1]
    assert "planted" not in repr(asked)
