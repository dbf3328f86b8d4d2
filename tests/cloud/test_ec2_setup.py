"""``launchkit ec2 setup``: the least that is needed, shown, made, and made once."""

from __future__ import annotations

import fnmatch
import itertools
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from ec2_here import REGION, Ec2World, ec2_front, provider, use

from launchkit import cli
from launchkit.cloud import ec2_policies

NUMBERS = itertools.count()
VERSION = {"Version": ec2_policies.VERSION}


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


@pytest.fixture
def name() -> str:
    """What nobody else has."""
    return f"setup-{next(NUMBERS)}"


def setup(name: str, *more: str) -> int:
    return cli.main(
        ["ec2", "setup", "--bucket", f"{name}-bucket", "--name", name, "--region", REGION, *more]
    )


def client(service: str) -> Any:
    return boto3.client(service, region_name=REGION)


def test_nothing_is_changed_without_apply(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert setup(name) == 0
    told = capsys.readouterr().out
    assert told.count("to make") == 9 + 1
    assert "nothing was changed" in told
    assert f"{name}-bucket" not in [each["Name"] for each in client("s3").list_buckets()["Buckets"]]
    assert name not in [each["RoleName"] for each in client("iam").list_roles()["Roles"]]


def test_the_policy_that_is_shown_is_the_one_that_is_made(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert setup(name) == 0
    told = capsys.readouterr().out
    shown, _ = json.JSONDecoder().raw_decode(told, told.index("{"))
    assert setup(name, "--apply") == 0
    made = client("iam").get_role_policy(RoleName=name, PolicyName=name)["PolicyDocument"]
    assert made == shown == ec2_policies.role(f"{name}-bucket", "launchkit")


def test_the_bucket_is_private(name: str) -> None:
    assert setup(name, "--apply") == 0
    s3, bucket = client("s3"), f"{name}-bucket"
    block = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    assert all(block.values())
    (rule,) = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    (rule,) = s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]["Rules"]
    assert rule["ObjectOwnership"] == "BucketOwnerEnforced"
    policy = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])
    assert policy == ec2_policies.bucket(bucket)


def test_what_is_made_can_be_used(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert setup(name, "--apply") == 0
    lines = capsys.readouterr().out.splitlines()
    told = dict(
        line.strip().removeprefix("hydra.launcher.").split("=")
        for line in lines
        if "hydra.launcher." in line
    )
    groups = told.pop("security_group_ids").strip("[]").split(",")
    assert provider(**told, security_group_ids=groups).check(1).lines
    (group,) = client("ec2").describe_security_groups(GroupIds=groups)["SecurityGroups"]
    assert group["IpPermissions"] == []
    assert group["IpPermissionsEgress"]


def test_applied_again_nothing_is_made(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert setup(name, "--apply") == 0
    capsys.readouterr()
    assert setup(name, "--apply") == 0
    told = capsys.readouterr().out
    assert "  made " not in told
    assert told.count("  there ") == 9


@pytest.mark.parametrize(
    "action", ["PutBucketPolicy", "PutRolePolicy", "AddRoleToInstanceProfile", "CreateRole"]
)
def test_broken_off_in_the_middle_it_is_made_whole_the_next_time(
    name: str, world: Ec2World, action: str, capsys: pytest.CaptureFixture[str]
) -> None:
    world.play("error", action, code="AccessDenied", status=403, message="not you")
    assert setup(name, "--apply") == 1
    assert "may not do this" in capsys.readouterr().err
    assert setup(name, "--apply") == 0
    capsys.readouterr()
    assert setup(name) == 0
    assert capsys.readouterr().out.count("  there ") == 9


def test_what_has_been_loosened_is_made_tight_again(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert setup(name, "--apply") == 0
    bucket = f"{name}-bucket"
    client("s3").delete_public_access_block(Bucket=bucket)
    loose = json.dumps(ec2_policies.role(bucket, "*"))
    client("iam").put_role_policy(RoleName=name, PolicyName=name, PolicyDocument=loose)
    capsys.readouterr()
    assert setup(name) == 0
    told = capsys.readouterr().out
    assert told.count("  to make ") == 2
    assert setup(name, "--apply") == 0
    assert client("s3").get_public_access_block(Bucket=bucket)
    made = client("iam").get_role_policy(RoleName=name, PolicyName=name)["PolicyDocument"]
    assert made == ec2_policies.role(bucket, "launchkit")


def test_a_policy_that_the_bucket_has_is_kept(name: str) -> None:
    bucket = f"{name}-bucket"
    client("s3").create_bucket(Bucket=bucket)
    own = {
        "Sid": "Own",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:DeleteObject",
        "Resource": f"arn:aws:s3:::{bucket}/*",
    }
    client("s3").put_bucket_policy(
        Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [own]})
    )
    assert setup(name, "--apply") == 0
    policy = json.loads(client("s3").get_bucket_policy(Bucket=bucket)["Policy"])
    assert policy["Statement"] == [own, *ec2_policies.bucket(bucket)["Statement"]]


def test_what_the_role_may_do_beside_is_said(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert setup(name, "--apply") == 0
    iam = client("iam")
    every = json.dumps(
        {"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]} | VERSION
    )
    iam.put_role_policy(RoleName=name, PolicyName="inline", PolicyDocument=every)
    policy = iam.create_policy(PolicyName=f"{name}-more", PolicyDocument=every)["Policy"]
    iam.attach_role_policy(RoleName=name, PolicyArn=policy["Arn"])
    capsys.readouterr()
    assert setup(name) == 0
    told = capsys.readouterr().out
    for policy_name in ("inline", f"{name}-more"):
        assert f"the role {name} has the policy {policy_name} too" in told


# What is refused


def test_a_bucket_of_somebody_else(
    name: str, world: Ec2World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.play("error", "HeadBucket", None, code="403", message="Forbidden", status=403)
    assert setup(name, "--apply") == 1
    assert f"s3://{name}-bucket is there, and is somebody else's" in capsys.readouterr().err
    assert name not in [each["RoleName"] for each in client("iam").list_roles()["Roles"]]


def test_a_bucket_in_another_region(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    boto3.client("s3", region_name="eu-west-1").create_bucket(
        Bucket=f"{name}-bucket",
        CreateBucketConfiguration={"LocationConstraint": "eu-west-1"},
    )
    assert setup(name, "--apply") == 1
    assert "is in eu-west-1" in capsys.readouterr().err


def test_a_group_that_lets_others_in(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert setup(name, "--apply") == 0
    ec2 = client("ec2")
    filters = [{"Name": "group-name", "Values": [name]}]
    group = ec2.describe_security_groups(Filters=filters)["SecurityGroups"][0]["GroupId"]
    ec2.authorize_security_group_ingress(
        GroupId=group, IpProtocol="tcp", FromPort=22, ToPort=22, CidrIp="0.0.0.0/0"
    )
    assert setup(name) == 1
    assert f"{group}) lets others in" in capsys.readouterr().err


def test_a_role_that_others_can_take(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    other = ec2_policies.trust()
    other["Statement"][0]["Principal"] = {"Service": "lambda.amazonaws.com"}
    client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(other))
    assert setup(name, "--apply") == 1
    assert f"the role {name} is there, for others" in capsys.readouterr().err


def test_no_credentials_still_show_the_policy(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patch:
        patch.delenv("AWS_ACCESS_KEY_ID")
        patch.delenv("AWS_SECRET_ACCESS_KEY")
        assert setup(name) == 1
    told = capsys.readouterr()
    assert "s3:PutObject" in told.out
    assert "aws configure" in told.err


@pytest.mark.parametrize("library", ["boto3", "botocore"])
def test_without_its_library_it_says_how_to_get_it(library: str) -> None:
    program = (
        f"import sys; sys.modules[{library!r}] = None\n"
        "from launchkit import cli; sys.exit(cli.main(['ec2', 'setup', '--bucket', 'the-bucket']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("launchkit: EC2 needs boto")
    assert "pip install 'hydra-launchkit[ec2]'" in done.stderr


@pytest.mark.parametrize(
    ("option", "value"),
    [("--bucket", "The_Bucket"), ("--prefix", "a/*"), ("--name", "sg-1"), ("--name", "a b")],
)
def test_names_that_are_none(option: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = {"--bucket": "the-bucket", "--region": REGION, option: value}
    assert cli.main(["ec2", "setup", *itertools.chain(*arguments.items())]) == 2
    assert f"{option} is '{value}'" in capsys.readouterr().err


# What the policy says: moto does not enforce it, so it is read here


def allows(action: str, resource: str, **context: str) -> bool:
    """Tell whether the role may do something, by the rules of AWS that its policy uses."""
    answers = [
        statement["Effect"]
        for statement in ec2_policies.role("the-bucket", "logs")["Statement"]
        if action in _list(statement["Action"])
        and any(fnmatch.fnmatchcase(resource, each) for each in _list(statement["Resource"]))
        and _meets(statement.get("Condition", {}), context)
    ]
    return "Allow" in answers and "Deny" not in answers


def _list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def _meets(condition: dict[str, dict[str, str]], context: dict[str, str]) -> bool:
    for operator, wanted in condition.items():
        assert operator in ("StringLike", "ArnLike")
        for key, pattern in wanted.items():
            for variable, value in context.items():
                pattern = pattern.replace(f"${{{variable}}}", value)
            if not fnmatch.fnmatchcase(context.get(key, "\0"), pattern):
                return False
    return True


@pytest.mark.parametrize(
    ("action", "key", "may"),
    [
        ("s3:GetObject", "logs/sweep/.home/sweep/sweep.json", True),
        ("s3:PutObject", "logs/sweep/16-00-00/0/progress.csv", True),
        ("s3:GetObject", "logs/.archives/0.dar", True),
        ("s3:PutObject", "logs/.archives/0.dar", False),
        ("s3:GetObject", "others/secret", False),
        ("s3:PutObject", "logs2/x", False),
        ("s3:DeleteObject", "logs/sweep/0", False),
    ],
)
def test_a_machine_reads_and_writes_below_its_prefix_only(action: str, key: str, may: bool) -> None:
    assert allows(action, f"arn:aws:s3:::the-bucket/{key}") is may
    assert not allows(action, f"arn:aws:s3:::other-bucket/{key}")


def test_a_machine_lists_below_its_prefix_only() -> None:
    bucket = "arn:aws:s3:::the-bucket"
    assert allows("s3:ListBucket", bucket, **{"s3:prefix": "logs/sweep/.home/"})
    assert not allows("s3:ListBucket", bucket, **{"s3:prefix": "others/"})
    assert not allows("s3:ListBucket", bucket, **{"s3:prefix": ""})
    assert not allows("s3:ListBucket", bucket)


def test_a_machine_ends_itself_and_no_other() -> None:
    own, other = "i-0123456789abcdef0", "i-0123456789abcdef1"
    arn = "arn:aws:ec2:eu-west-1:123456789012:instance/"
    asker = {"ec2:SourceInstanceARN": f"{arn}{own}"}
    assert allows("ec2:TerminateInstances", f"{arn}{own}", **asker, **{"ec2:InstanceID": own})
    assert not allows(
        "ec2:TerminateInstances", f"{arn}{other}", **asker, **{"ec2:InstanceID": other}
    )
    # A user, or a key that was carried away, is no instance.
    assert not allows("ec2:TerminateInstances", f"{arn}{own}", **{"ec2:InstanceID": own})
    for action in ("ec2:RunInstances", "ec2:StopInstances", "iam:PassRole"):
        assert not allows(action, f"{arn}{own}", **asker, **{"ec2:InstanceID": own})


def test_the_parts_of_aws_have_names_of_their_own() -> None:
    assert "arn:aws-cn:s3:::b" in json.dumps(ec2_policies.role("b", "p", "aws-cn"))
    assert "arn:aws:" not in json.dumps(ec2_policies.role("b", "p", "aws-cn"))
