"""How machines of the simulated EC2 end when they do not want to."""

from __future__ import annotations

import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import testbed
from simulated_aws import (
    METADATA,
    Renter,
    client,
    described,
    end_all,
    machine,
    renting,
    request,
    state,
    wait_for,
    wait_for_word,
)

pytestmark = pytest.mark.cloud


@pytest.fixture
def aws() -> Iterator[Renter]:
    with renting() as renter:
        yield renter


def test_a_spot_machine_is_told_before_it_is_taken(aws):
    (id,) = aws.run(
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


def test_a_machine_that_dies_says_nothing(aws):
    (id,) = aws.run("trap 'echo warned' TERM; echo up; while :; do sleep 0.1; done")
    wait_for_word(id, "up")
    testbed.aws_control("POST", f"machines/{id}/die")
    wait_for(lambda: state(id) == "terminated")
    assert "warned" not in machine(id)["log"]
    assert described(id)["StateReason"]["Code"] == "Server.InternalError"


def test_a_machine_that_is_ended_is_warned(aws):
    (id,) = aws.run("trap 'echo warned' TERM; echo up; while :; do sleep 0.1; done")
    wait_for_word(id, "up")
    client("ec2").terminate_instances(InstanceIds=[id])
    assert state(id) == "shutting-down"
    wait_for(lambda: state(id) == "terminated")
    assert "warned" in machine(id)["log"]
    assert described(id)["StateReason"]["Code"] == "Client.UserInitiatedShutdown"


def test_a_machine_that_is_cut_off_goes_on(aws):
    (id,) = aws.run(
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


def test_machines_that_come_and_go_do_not_cut_off_others(aws):
    (id,) = aws.run(
        """
        echo up
        while curl -s -o /dev/null -m 2 $AWS_ENDPOINT_URL/_testbed/; do sleep 0.05; done
        echo "cut off"; sleep 1000
        """
    )
    wait_for_word(id, "up")
    for _ in range(3):
        end_all(aws.run("sleep 1000", many=2))
    assert "cut off" not in machine(id)["log"]
    assert machine(id)["running"]


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


def answers(endpoint: str) -> bool:
    try:
        with urllib.request.urlopen(f"{endpoint}/_testbed/", timeout=5) as response:
            return response.status == 200
    except OSError:
        return False
