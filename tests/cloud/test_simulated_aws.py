"""The simulated AWS of the testbed: it buys, runs, meters and fails as AWS does."""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import testbed

boto3 = pytest.importorskip("boto3")
botocore_errors = pytest.importorskip("botocore.exceptions")
botocore_config = pytest.importorskip("botocore.config")

pytestmark = pytest.mark.cloud

AMAZON_LINUX = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
SYSRQ = Path("/proc/sysrq-trigger")
ONCE = botocore_config.Config(retries={"total_max_attempts": 1}, read_timeout=30)
METADATA = """
token=$(curl -sf -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' \
  http://169.254.169.254/latest/api/token)
told() { curl -s -H "X-aws-ec2-metadata-token: $token" "http://169.254.169.254/latest/$1"; }
id=$(told meta-data/instance-id)
export AWS_DEFAULT_REGION=$(told meta-data/placement/region)
"""


@pytest.fixture(autouse=True)
def _running() -> None:
    if reason := testbed.available("aws"):
        pytest.skip(reason)


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in testbed.aws_environment().items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def bucket() -> Iterator[str]:
    name = f"testbed-{uuid.uuid4().hex[:12]}"
    s3 = client("s3")
    s3.create_bucket(Bucket=name)
    yield name
    for each in s3.list_objects_v2(Bucket=name).get("Contents", ()):
        s3.delete_object(Bucket=name, Key=each["Key"])
    s3.delete_bucket(Bucket=name)


@pytest.fixture
def run(bucket: str) -> Iterator[Callable[..., list[str]]]:
    """Run instances with a script, in which the bucket is named; they are ended afterwards."""
    started: list[str] = []

    def start(script: str, many: int = 1, **more: Any) -> list[str]:
        asked = {**request(script, bucket, many), **more}
        instances = client("ec2").run_instances(**asked)
        ids = [each["InstanceId"] for each in instances["Instances"]]
        started.extend(ids)
        return ids

    yield start
    if started:
        client("ec2").terminate_instances(InstanceIds=started)
        for id in started:
            wait_for(lambda id=id: not machine(id)["running"], 20)
    testbed.aws_control("DELETE", "faults")


def client(service: str, config: Any = ONCE) -> Any:
    return boto3.client(service, config=config)


def request(script: str, bucket: str, many: int = 1) -> dict[str, Any]:
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
    told: dict[str, Any] = testbed.aws_control("GET", f"machines/{id}")
    return told


def described(id: str) -> dict[str, Any]:
    answer = client("ec2").describe_instances(InstanceIds=[id])
    told: dict[str, Any] = answer["Reservations"][0]["Instances"][0]
    return told


def state(id: str) -> str:
    name: str = described(id)["State"]["Name"]
    return name


def wait_for(done: Callable[[], Any], seconds: float = 15) -> Any:
    end = time.monotonic() + seconds
    while not (found := done()):
        assert time.monotonic() < end, "it does not happen"
        time.sleep(0.1)
    return found


def wait_for_word(id: str, word: str) -> str:
    wait_for(lambda: word in machine(id)["log"])
    log: str = machine(id)["log"]
    return log


def error_of(call: Callable[[], Any]) -> tuple[str, int]:
    with pytest.raises(botocore_errors.ClientError) as caught:
        call()
    response = caught.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


def test_a_machine_runs_its_script_with_the_role_of_its_profile_and_ends_itself(run, bucket):
    (id,) = run(
        METADATA
        + """
        told meta-data/iam/info; aws sts get-caller-identity --output text
        echo "from $id" >/tmp/word
        aws s3 cp --only-show-errors /tmp/word "s3://$bucket/word" && shutdown -P now
        """
    )
    wait_for(lambda: state(id) == "terminated")
    stored = client("s3").get_object(Bucket=bucket, Key="word")["Body"].read()
    assert stored == f"from {id}\n".encode()
    assert f"assumed-role/{testbed.AWS_PROFILE}/{id}" in machine(id)["log"]
    assert described(id)["StateReason"]["Code"] == "Client.InstanceInitiatedShutdown"


def test_a_machine_that_only_stops_is_stopped(run):
    (id,) = run("poweroff", InstanceInitiatedShutdownBehavior="stop")
    wait_for(lambda: state(id) == "stopped")
    assert described(id)["StateReason"]["Code"] == "Client.InstanceInitiatedShutdown"


def test_metadata_is_told_with_a_token_only(run):
    (id,) = run(
        METADATA
        + """
        curl -s -o /dev/null -w 'without: %{http_code}\\n' \
          http://169.254.169.254/latest/meta-data/instance-id
        curl -s -o /dev/null -w 'wrong: %{http_code}\\n' -H 'X-aws-ec2-metadata-token: x' \
          http://169.254.169.254/latest/meta-data/instance-id
        curl -s -o /dev/null -w 'no lifetime: %{http_code}\\n' -X PUT \
          http://169.254.169.254/latest/api/token
        echo "id: $id, index: $(told meta-data/ami-launch-index)"
        told dynamic/instance-identity/document
        echo; echo done
        """
    )
    log = wait_for_word(id, "done")
    for line in ("without: 401", "wrong: 401", "no lifetime: 400", f"id: {id}, index: 0"):
        assert line in log
    assert f'"instanceId": "{id}"' in log


def test_of_two_machines_each_is_alone(run):
    first, second = run(
        METADATA
        + """
        echo "index $(told meta-data/ami-launch-index)"
        mkdir -p /var/lib/launchkit/$id; touch /etc/mine-$id /var/lib/launchkit/$id/mine
        sleep 0.5; ls -d /etc/mine-* /var/lib/launchkit/*; ps ax
        echo done; sleep 1000
        """,
        many=2,
    )
    for number, (id, other) in enumerate(((first, second), (second, first))):
        log = wait_for_word(id, "done")
        assert f"index {number}" in log
        assert f"/etc/mine-{id}" in log
        assert other not in log
        assert not Path(f"/etc/mine-{id}").exists()
        assert Path(f"/var/lib/launchkit/{id}/mine").exists()
    client("ec2").terminate_instances(InstanceIds=[first])
    wait_for(lambda: state(first) == "terminated")
    assert state(second) == "running"
    assert not Path(f"/var/lib/launchkit/{first}").exists()


def test_the_same_token_buys_once(run, bucket):
    token = uuid.uuid4().hex
    ids = run("sleep 1000", many=2, ClientToken=token)
    again = client("ec2").run_instances(**request("sleep 1000", bucket, 2), ClientToken=token)[
        "Instances"
    ]
    assert [each["InstanceId"] for each in again] == ids
    code, _ = error_of(
        lambda: client("ec2").run_instances(**request("sleep 1", bucket, 2), ClientToken=token)
    )
    assert code == "IdempotentParameterMismatch"
    filters = [{"Name": "client-token", "Values": [token]}]
    found = client("ec2").describe_instances(Filters=filters)["Reservations"]
    assert sorted(each["InstanceId"] for each in found[0]["Instances"]) == sorted(ids)


def test_an_answer_that_is_lost_has_bought_all_the_same(run, bucket):
    token = uuid.uuid4().hex
    testbed.aws_control("POST", "faults", {"kind": "lose", "action": "RunInstances", "count": 1})
    with pytest.raises(botocore_errors.HTTPClientError):
        run("sleep 1000", ClientToken=token)
    (id,) = run("sleep 1000", ClientToken=token)
    assert state(id) in ("pending", "running")
    mine = [each for each in testbed.aws_control("GET", "machines") if each["id"] == id]
    assert len(mine) == 1


def test_there_are_as_many_machines_as_there_are(run, bucket):
    testbed.aws_control("POST", "capacity", {"zone": "us-east-1a", "left": 2, "script": bucket})
    here = {"Placement": {"AvailabilityZone": "us-east-1a"}}
    try:
        assert len(run("sleep 1000", many=5, **here)) == 2
        assert error_of(lambda: run("sleep 1000", **here)) == ("InsufficientInstanceCapacity", 500)
        (elsewhere,) = run("sleep 1000")
        assert described(elsewhere)["Placement"]["AvailabilityZone"] != "us-east-1a"
    finally:
        testbed.aws_control("DELETE", f"capacity?script={bucket}")


def test_a_quota_counts_what_runs(run, bucket):
    limit = {"running": 1, "market": "spot", "error": "MaxSpotInstanceCountExceeded"}
    testbed.aws_control("POST", "capacity", {**limit, "script": bucket})
    spot = {"InstanceMarketOptions": {"MarketType": "spot"}}
    try:
        (id,) = run("sleep 1000", **spot)
        assert error_of(lambda: run("sleep 1", **spot)) == ("MaxSpotInstanceCountExceeded", 400)
        client("ec2").terminate_instances(InstanceIds=[id])
        wait_for(lambda: state(id) == "terminated")
        run("sleep 1000", **spot)
    finally:
        testbed.aws_control("DELETE", f"capacity?script={bucket}")


def test_what_ec2_refuses_is_refused(bucket):
    ec2 = client("ec2")
    good = request("true", bucket)
    wrong = {
        "InvalidAMIID.NotFound": {"ImageId": "ami-0123456789abcdef0"},
        "InvalidInstanceType.NotFound": {"InstanceType": "c7x.large"},
        "InvalidKeyPair.NotFound": {"KeyName": "nobody"},
        "InvalidParameterValue": {"UserData": "#!/bin/sh\n" + "#" * 16384},
        "DryRunOperation": {"DryRun": True},
    }
    for code, change in wrong.items():
        assert error_of(lambda change=change: ec2.run_instances(**{**good, **change}))[0] == code


def test_a_spot_machine_is_told_before_it_is_taken(run):
    (id,) = run(
        METADATA
        + """
        until told meta-data/spot/instance-action | grep '"terminate"'; do sleep 0.1; done
        echo noticed; sleep 1000
        """,
        InstanceMarketOptions={"MarketType": "spot"},
    )
    wait_for(lambda: state(id) == "running")
    asked = time.monotonic()
    testbed.aws_control("POST", f"machines/{id}/interrupt", {"seconds": 2})
    wait_for_word(id, "noticed")
    wait_for(lambda: state(id) == "terminated")
    assert time.monotonic() - asked >= 2
    assert described(id)["StateReason"]["Code"] == "Server.SpotInstanceTermination"


def test_a_machine_that_dies_says_nothing(run):
    (id,) = run("trap 'echo warned' TERM; echo up; while :; do sleep 0.1; done")
    wait_for_word(id, "up")
    testbed.aws_control("POST", f"machines/{id}/die")
    wait_for(lambda: state(id) == "terminated")
    assert "warned" not in machine(id)["log"]
    assert described(id)["StateReason"]["Code"] == "Server.InternalError"


def test_a_machine_that_is_ended_is_warned(run):
    (id,) = run("trap 'echo warned' TERM; echo up; while :; do sleep 0.1; done")
    wait_for_word(id, "up")
    client("ec2").terminate_instances(InstanceIds=[id])
    assert state(id) == "shutting-down"
    wait_for(lambda: state(id) == "terminated")
    assert "warned" in machine(id)["log"]
    assert described(id)["StateReason"]["Code"] == "Client.UserInitiatedShutdown"


def test_a_machine_that_is_cut_off_goes_on(run):
    (id,) = run(
        """
        while :; do
          curl -s -o /dev/null -m 1 $AWS_ENDPOINT_URL/_testbed/ && echo reached || echo alone
          sleep 0.1
        done
        """
    )
    wait_for_word(id, "reached")
    testbed.aws_control("POST", f"machines/{id}/hang")
    wait_for_word(id, "alone")
    assert state(id) == "running"
    testbed.aws_control("POST", f"machines/{id}/mend")
    wait_for(lambda: machine(id)["log"].endswith("reached\n"))


def test_a_timer_ends_a_machine_unless_it_is_cancelled(run, bucket):
    testbed.aws_control("POST", "next", {"script": bucket, "minute_s": 1, "count": 1})
    (id,) = run("shutdown -P +1; shutdown -c; shutdown -P +2; date +%s.%N; sleep 1000")
    began = time.monotonic()
    wait_for(lambda: state(id) == "terminated")
    assert time.monotonic() - began >= 1.5


@pytest.mark.skipif(not SYSRQ.exists(), reason="this kernel has no such file")
def test_even_the_kernels_last_resort_ends_the_machine_only(run):
    (id,) = run("echo o >/proc/sysrq-trigger; sleep 1000")
    wait_for(lambda: state(id) == "terminated")


def test_what_is_hidden_is_not_there_and_can_be_installed_if_that_is_allowed(run, bucket):
    for install in ([], ["python3"]):
        testbed.aws_control(
            "POST",
            "next",
            {"script": bucket, "hide": ["python3", "aws"], "install": install, "count": 1},
        )
        (id,) = run(
            """
            command -v python3 aws || echo none
            dnf install -y python3 && python3 -c 'print("installed")'; echo done
            """
        )
        log = wait_for_word(id, "done")
        assert "none" in log
        assert ("installed" in log) == bool(install)


@pytest.mark.docker
def test_containers_go_with_their_machine(run):
    (id,) = run(
        METADATA
        + f"""
        mkdir -p /var/lib/launchkit/$id/work
        docker run --rm --network none -v /var/lib/launchkit/$id/work:/work \\
          {testbed.PYTHON_IMAGE} sh -c 'echo inside >/work/word; echo started; sleep 1000'
        """
    )
    wait_for_word(id, "started")
    assert Path(f"/var/lib/launchkit/{id}/work/word").read_text() == "inside\n"
    testbed.aws_control("POST", f"machines/{id}/die")
    wait_for(lambda: state(id) == "terminated", 30)
    assert containers_of(id) == []


def containers_of(id: str) -> list[str]:
    known = subprocess.run(
        ["docker", "ps", "-aq"], capture_output=True, text=True, check=True
    ).stdout.split()
    return [
        each
        for each in known
        if id in subprocess.run(["docker", "inspect", each], capture_output=True, text=True).stdout
    ]


def test_the_console_is_what_the_machine_has_printed(run):
    (id,) = run("echo printed; echo 'to the console' >/dev/console; sleep 1000")
    wait_for_word(id, "to the console")
    output = client("ec2").get_console_output(InstanceId=id)["Output"]
    assert "printed\n" in output


def test_credentials_of_a_machine_expire_and_are_renewed(run, bucket):
    testbed.aws_control("POST", "next", {"script": bucket, "credentials_s": 2, "count": 1})
    (id,) = run(
        METADATA
        + """
        role=$(told meta-data/iam/security-credentials/)
        old=$(told meta-data/iam/security-credentials/$role)
        field() { echo "$old" | sed -n "s/.*\\"$1\\": \\"\\(.*\\)\\".*/\\1/p"; }
        sleep 2.1
        AWS_ACCESS_KEY_ID=$(field AccessKeyId) AWS_SECRET_ACCESS_KEY=$(field SecretAccessKey) \
          AWS_SESSION_TOKEN=$(field Token) aws s3 ls s3://$bucket
        aws s3 ls s3://$bucket && echo renewed; echo done
        """
    )
    log = wait_for_word(id, "done")
    assert "ExpiredToken" in log
    assert "renewed" in log


def test_storage_fails_as_often_as_asked(bucket):
    s3 = client("s3")
    s3.put_object(Bucket=bucket, Key="a", Body=b"x" * 1000)
    read = lambda: s3.get_object(Bucket=bucket, Key="a")["Body"].read()  # noqa: E731 - said often
    for kind, (code, status) in {
        "slow_down": ("SlowDown", 503),
        "expired": ("ExpiredToken", 400),
        "denied": ("AccessDenied", 403),
    }.items():
        testbed.aws_control("POST", "faults", {"kind": kind, "path": bucket, "count": 2})
        assert [error_of(read), error_of(read)] == [(code, status)] * 2
        assert read() == b"x" * 1000


@pytest.mark.parametrize("kind", ["reset", "truncate", "hang", "lose"])
def test_a_connection_breaks(bucket, kind):
    config = botocore_config.Config(retries={"total_max_attempts": 1}, read_timeout=1)
    s3 = client("s3", config)
    s3.put_object(Bucket=bucket, Key="a", Body=b"x" * 1000)
    testbed.aws_control("POST", "faults", {"kind": kind, "path": f"{bucket}/a", "count": 1})
    with pytest.raises((botocore_errors.HTTPClientError, botocore_errors.BotoCoreError, OSError)):
        s3.get_object(Bucket=bucket, Key="a")["Body"].read()
    assert s3.get_object(Bucket=bucket, Key="a")["Body"].read() == b"x" * 1000


def test_a_fault_that_hangs_is_let_go(bucket):
    fault = testbed.aws_control("POST", "faults", {"kind": "hang", "path": bucket})
    testbed.aws_control("DELETE", f"faults/{fault['id']}")
    client("s3").head_bucket(Bucket=bucket)


def test_a_machine_alone_has_a_fault(run, bucket):
    (id,) = run(
        METADATA
        + """
        until told meta-data/placement/region; do :; done
        while :; do aws s3 ls s3://$bucket --no-paginate && echo good || echo bad; done
        """
    )
    wait_for_word(id, "good")
    testbed.aws_control("POST", "faults", {"kind": "denied", "service": "s3", "machine": id})
    wait_for_word(id, "bad")
    client("s3").head_bucket(Bucket=bucket)


def test_requests_are_counted_with_their_bytes(bucket):
    s3 = client("s3")
    mark = testbed.aws_control("GET", "requests")["mark"]
    s3.put_object(Bucket=bucket, Key="a", Body=b"x" * 1000)
    s3.get_object(Bucket=bucket, Key="a")["Body"].read()
    list(s3.list_objects_v2(Bucket=bucket)["Contents"])
    told = testbed.aws_control("GET", f"requests?since={mark}&path={bucket}")
    assert told["counts"] == {"s3:PutObject": 1, "s3:GetObject": 1, "s3:ListObjectsV2": 1}
    assert told["bytes_in"] >= 1000
    assert [each["bytes_out"] for each in told["requests"]][1] == 1000


def test_a_machine_is_not_told_which_objects_are_not_there(run, bucket):
    (id,) = run(
        METADATA + "aws s3api head-object --bucket $bucket --key nothing; echo done; sleep 1000"
    )
    assert "(403)" in wait_for_word(id, "done")
    assert error_of(lambda: client("s3").head_object(Bucket=bucket, Key="nothing"))[1] == 404


def test_prices_quotas_and_images_for_gpus_can_be_asked(bucket):
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
    good = request("true", bucket)
    dry = {**good, "ImageId": image, "DryRun": True}
    assert error_of(lambda: client("ec2").run_instances(**dry))[0] == "DryRunOperation"


def test_user_data_reaches_the_machine_unchanged(run):
    (id,) = run(METADATA + "told user-data | base64 -w0; echo; echo done; sleep 1000")
    log = wait_for_word(id, "done")
    said = base64.b64decode(log.splitlines()[0])
    asked = client("ec2").describe_instance_attribute(InstanceId=id, Attribute="userData")
    assert said == base64.b64decode(asked["UserData"]["Value"])


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Start a daemon of one's own, whose endpoint is that of the environment."""
    if os.getuid() != 0:
        pytest.skip("a simulated machine needs root")
    with socket.create_server(("", 0)) as free:
        port = free.getsockname()[1]
    endpoint = f"http://127.0.0.1:{port}"
    program = Path(testbed.__file__).parent / "clouds" / "aws_daemon.py"
    python = testbed.STATE / "clouds" / "venv-aws" / "bin" / "python"
    started: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        process = subprocess.Popen([python, program, tmp_path, str(port)])
        started.append(process)
        wait_for(lambda: answers(endpoint), 30)
        return process

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", endpoint)
        yield start
    for process in started:
        process.terminate()
        process.wait(30)


def answers(endpoint: str) -> bool:
    try:
        with urllib.request.urlopen(f"{endpoint}/_testbed/", timeout=5) as response:
            return response.status == 200
    except OSError:
        return False


def test_the_machines_of_a_daemon_that_was_killed_are_ended_by_the_next(daemon, tmp_path):
    first = daemon()
    asked = request("echo up; sleep 1000", "none", 2)
    instances = client("ec2").run_instances(**asked)["Instances"]
    ids = [each["InstanceId"] for each in instances]
    folders = [tmp_path / "clouds" / "aws" / "machines" / id for id in ids]
    wait_for(lambda: all("up" in (each / "console.log").read_text() for each in folders))
    processes = [Path("/proc", (each / "pid").read_text()) for each in folders]
    networks = [Path("/run/netns", (each / "network").read_text()) for each in folders]
    first.kill()
    first.wait()
    assert all(each.exists() for each in (*processes, *networks))
    daemon()
    wait_for(lambda: not any(each.exists() for each in processes))
    assert not any(each.exists() for each in networks)
    assert not any(Path("/var/lib/launchkit", id).exists() for id in ids)
    assert client("ec2").describe_instances()["Reservations"] == []


def test_a_daemon_takes_its_machines_with_it(daemon, tmp_path):
    process = daemon()
    asked = request("echo up; sleep 1000", "none")
    id = client("ec2").run_instances(**asked)["Instances"][0]["InstanceId"]
    folder = tmp_path / "clouds" / "aws" / "machines" / id
    wait_for(lambda: "up" in (folder / "console.log").read_text())
    machine_process = Path("/proc", (folder / "pid").read_text())
    process.terminate()
    assert process.wait(20) == 0
    assert not machine_process.exists()
    assert not Path("/var/lib/launchkit", id).exists()


def test_a_control_that_is_not_understood_says_why():
    for method, path, body in (
        ("POST", "faults", {"kind": "flood"}),
        ("POST", "faults", {"kinds": "reset"}),
        ("GET", "machines/i-0", None),
        ("POST", "nothing", None),
    ):
        with pytest.raises(ValueError, match="flood|kinds|i-0|nothing"):
            testbed.aws_control(method, path, body)
