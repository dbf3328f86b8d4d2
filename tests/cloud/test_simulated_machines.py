"""The machines of the simulated EC2: they run their user-data, and end as real ones do."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import testbed
from simulated_aws import (
    METADATA,
    Renter,
    client,
    described,
    error_of,
    machine,
    renting,
    state,
    wait_for,
    wait_for_word,
)

pytestmark = pytest.mark.cloud

# Not every kernel has the file.
LAST_RESORTS = ["poweroff", "systemctl poweroff --force --force"]
if Path("/proc/sysrq-trigger").exists():
    LAST_RESORTS.append("echo o >/proc/sysrq-trigger")


@pytest.fixture
def aws() -> Iterator[Renter]:
    with renting() as renter:
        yield renter


def test_a_machine_runs_its_script_with_the_role_of_its_profile_and_ends_itself(aws):
    (id,) = aws.run(
        METADATA
        + """
        told meta-data/iam/info; aws sts get-caller-identity --output text
        echo "from $id" >/tmp/word
        aws s3 cp --only-show-errors /tmp/word "s3://$bucket/word" && shutdown -P now
        """
    )
    wait_for(lambda: state(id) == "terminated")
    stored = client("s3").get_object(Bucket=aws.bucket, Key="word")["Body"].read()
    assert stored == f"from {id}\n".encode()
    assert f"assumed-role/{testbed.AWS_PROFILE}/{id}" in machine(id)["log"]
    assert described(id)["StateReason"]["Code"] == "Client.InstanceInitiatedShutdown"


def test_a_machine_that_only_stops_is_stopped(aws):
    (id,) = aws.run("poweroff", InstanceInitiatedShutdownBehavior="stop")
    wait_for(lambda: state(id) == "stopped")
    assert described(id)["StateReason"]["Code"] == "Client.InstanceInitiatedShutdown"


def test_metadata_is_told_with_a_token_only(aws):
    (id,) = aws.run(
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


def test_of_two_machines_each_is_alone(aws):
    first, second = aws.run(
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


def test_a_timer_ends_a_machine_unless_it_is_cancelled(aws):
    testbed.aws_control("POST", "next", {"script": aws.bucket, "minute_s": 0.5, "count": 2})
    (cancelled,) = aws.run("shutdown -P +1; shutdown -c; sleep 1000")
    (timed,) = aws.run("shutdown -P +4; date +%s; sleep 1000")
    wait_for(lambda: state(timed) == "terminated")
    assert time.time() - int(machine(timed)["log"].splitlines()[-1]) >= 2
    assert state(cancelled) == "running"


@pytest.mark.parametrize("way", LAST_RESORTS)
def test_even_the_last_resort_ends_the_machine_only(aws, way):
    (id,) = aws.run(f"{way}; sleep 1000")
    wait_for(lambda: state(id) == "terminated")


def test_what_is_hidden_is_not_there_and_can_be_installed_if_that_is_allowed(aws):
    for install in ([], ["python3"]):
        testbed.aws_control(
            "POST",
            "next",
            {"script": aws.bucket, "hide": ["python3", "aws"], "install": install, "count": 1},
        )
        (id,) = aws.run(
            """
            command -v python3 aws || echo none
            dnf install -y python3 && python3 -c 'print("installed")'; echo done
            """
        )
        log = wait_for_word(id, "done")
        assert "none" in log
        assert ("installed" in log) == bool(install)


@pytest.mark.docker
def test_containers_go_with_their_machine(aws):
    (id,) = aws.run(
        METADATA
        + f"""
        mkdir -p /var/lib/launchkit/$id/shared
        docker run --rm --network none -v /var/lib/launchkit/$id/shared:/mnt \\
          {testbed.PYTHON_IMAGE} sh -c 'echo inside >/mnt/word; echo started; sleep 1000'
        """
    )
    wait_for_word(id, "started")
    assert Path(f"/var/lib/launchkit/{id}/shared/word").read_text() == "inside\n"
    testbed.aws_control("POST", f"machines/{id}/die")
    wait_for(lambda: state(id) == "terminated", 30)
    assert containers_of(id) == []


def test_the_console_is_what_the_machine_has_printed(aws):
    (id,) = aws.run("echo printed; echo 'to the console' >/dev/console; sleep 1000")
    wait_for_word(id, "to the console")
    output = client("ec2").get_console_output(InstanceId=id)["Output"]
    assert "printed\n" in output


def test_credentials_of_a_machine_expire_and_are_renewed(aws):
    testbed.aws_control("POST", "next", {"script": aws.bucket, "credentials_s": 2, "count": 1})
    (id,) = aws.run(
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


def test_a_machine_is_not_told_which_objects_are_not_there(aws):
    (id,) = aws.run(
        METADATA + "aws s3api head-object --bucket $bucket --key nothing; echo done; sleep 1000"
    )
    assert "(403)" in wait_for_word(id, "done")
    assert error_of(lambda: client("s3").head_object(Bucket=aws.bucket, Key="nothing"))[1] == 404


def containers_of(id: str) -> list[str]:
    known = told_by_docker("ps", "--all", "--quiet").split()
    return [each for each in known if id in told_by_docker("inspect", each)]


def told_by_docker(*words: str) -> str:
    # A container may be gone by now: that is no failure.
    return subprocess.run(["docker", *words], capture_output=True, text=True, check=False).stdout
