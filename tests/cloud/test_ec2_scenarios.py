"""Sweeps on the simulated EC2, in good times and in bad ones."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading

import boto3
import pytest
from cloud_case import wait_until
from cloud_scenarios import CloudScenarios, ScenarioCase
from ec2_case import EC2
from mode_case import LAUNCHER, states
from mode_tasks import Same

from launchkit.cloud import hiring
from launchkit.cloud.ledger import Ledger
from launchkit.runner import Work
from launchkit.sweep import Sweep

pytestmark = [pytest.mark.cloud, pytest.mark.docker, pytest.mark.doodad]


class TestEc2(CloudScenarios):
    cloud = EC2
    of_the_bucket = {"service": "s3"}  # noqa: RUF012 - a constant

    def take_back(self, machine):
        self.play(machine, "interrupt", seconds=20)

    def answers_lost(self, count=None):
        # Dry runs have no tags.
        return EC2.fault(kind="lose", action="RunInstances", body="launchkit-token", count=count)

    def everything_known(self, machine):
        ec2 = boto3.client("ec2")
        named = {"InstanceId": machine.id, "Attribute": "userData"}
        script = ec2.describe_instance_attribute(**named)["UserData"]["Value"]
        return [
            base64.b64decode(script).decode(),
            str(ec2.describe_instances(InstanceIds=[machine.id])),
            EC2.control("GET", f"machines/{machine.id}"),
        ]


class TestBuying(ScenarioCase):
    """What is bought, and what is not."""

    cloud = EC2

    @pytest.fixture(autouse=True)
    def _asks_again_soon(self, monkeypatch):
        monkeypatch.setattr(hiring, "ASK_AGAIN_S", (0.5, 1.0))
        yield
        EC2.control("DELETE", f"capacity?script={self.prefix}")

    def lacking(self, **fields):
        """Let there be too few machines."""
        EC2.control("POST", "capacity", {"script": self.prefix, **fields})

    def refused(self, tmp_path, **settings) -> str:
        """Return why nothing is bought."""
        self.set(**settings)
        sweep = self.make_sweep(tmp_path / "sweep")
        work = Work(sweep, self.make_jobs(sweep, range(2)), Same("good"))
        with pytest.raises(ValueError) as caught:
            self.drive(work)
        assert EC2.machines(sweep.id) == []
        assert not (sweep.directory / "0").exists()
        return str(caught.value)

    @pytest.mark.parametrize(
        ("error", "spot_price"),
        [("InsufficientInstanceCapacity", None), ("SpotMaxPriceTooLow", 0.5)],
    )
    def test_capacity_is_waited_for(self, tmp_path, caplog, error, spot_price):
        self.set(spot_price=spot_price)
        self.lacking(left=0, error=error)

        def let_there_be_some():
            wait_until(lambda: "capacity_wait_min" in caplog.text, "it to be said")
            EC2.control("DELETE", f"capacity?script={self.prefix}")

        thread = threading.Thread(target=let_there_be_some)
        thread.start()
        (outcome,) = self.run(tmp_path / "sweep", Same("good"), 1)
        thread.join()
        assert outcome.value == 0
        assert len(EC2.machines(Sweep.open(tmp_path / "sweep").id)) == 1

    def test_capacity_is_not_waited_for_for_ever(self, tmp_path):
        self.set(capacity_wait_min=0.05)
        self.lacking(left=0)
        (outcome,) = self.run(tmp_path / "sweep", Same("good"), 1)
        assert str(outcome.attempt.state) == "failed"
        assert outcome.attempt.error.type == "NoCapacity"
        assert "capacity_wait_min" in outcome.attempt.error.message

    @pytest.mark.parametrize("error", ["InsufficientInstanceCapacity", "VcpuLimitExceeded"])
    def test_fewer_machines_than_asked_for_do_it_in_turn(self, tmp_path, error):
        self.set(num_exps_per_instance=1)
        self.lacking(running=1, error=error)
        outcomes = self.run(tmp_path / "sweep", Same("good"), 2)
        assert [outcome.value for outcome in outcomes] == [0, 10]
        sweep = Sweep.open(tmp_path / "sweep")
        assert len({outcome.attempt.host for outcome in outcomes}) == 2
        assert len(EC2.machines(sweep.id)) == len(Ledger(sweep).machines) == 2

    def test_a_provider_that_is_asked_too_often_is_asked_again(self, tmp_path):
        fault = {"kind": "throttle", "action": "RunInstances|DescribeInstances", "count": 6}
        with EC2.fault(**fault):
            (outcome,) = self.run(tmp_path / "sweep", Same("good"), 1)
        assert outcome.value == 0
        assert len(EC2.machines(Sweep.open(tmp_path / "sweep").id)) == 1

    @pytest.mark.parametrize(
        ("settings", "said"),
        [
            ({"max_price_per_hour": 0.01}, "max_price_per_hour is 0.01 USD"),
            ({"max_total_price": 0.01}, "max_total_price is 0.01 USD"),
            ({"confirm": True}, "nothing is bought without a yes"),
            ({"s3_bucket": "launchkit-tests-nobody-has"}, "launchkit-tests-nobody-has"),
            ({"region": "eu-nowhere-1"}, "eu-nowhere-1"),
            ({"instance_type": "q9.huge"}, "q9.huge"),
        ],
        ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
    )
    def test_what_may_not_be_bought_is_not(self, tmp_path, settings, said):
        assert said in self.refused(tmp_path, **settings)

    @pytest.mark.parametrize(("answer", "many"), [("y", 1), ("n", 0), ("", 0)])
    def test_a_person_is_asked(self, tmp_path, answer, many):
        wanted = {
            "directory": str(tmp_path / "sweep"),
            "mode": "ec2",
            "settings": {**self.settings, "confirm": True},
            "actions": ["good"],
        }
        master, terminal = os.openpty()
        program = subprocess.Popen(
            [sys.executable, LAUNCHER, json.dumps(wanted)],
            stdin=terminal,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._programs.append(program)
        os.close(terminal)
        os.write(master, f"{answer}\n".encode())
        out, err = program.communicate(timeout=60)
        os.close(master)
        assert "mode ec2 is going to rent:" in err
        assert "1 job on 1 machine" in err
        assert "launchkit: go on? [y/N]" in out + err
        sweep = Sweep.open(tmp_path / "sweep")
        assert len(EC2.machines(sweep.id)) == many
        assert states(sweep) == ["completed"] * many
        assert ("the answer was no" in err) == (not many)
