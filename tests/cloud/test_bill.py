"""What `launchkit status` says of rented machines, by the sweep's files alone."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from launchkit.cli import main
from launchkit.cloud.bill import bill
from launchkit.cloud.boot import Boot
from launchkit.cloud.ledger import Ledger
from launchkit.cloud.providers import Machine, Order, Standing
from launchkit.sweep import Sweep

BOOT = Boot("s3://b", "", "x", "s", "a", "0", "k", 0, None, False, 600, 15.0, 30.0)
SETTINGS = {"s3_bucket": "the-bucket", "s3_log_path": "runs"}


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    return Sweep.create(tmp_path / "sweep", mode="ec2", settings=SETTINGS, command=[])


def buy(sweep: Sweep, price: float | None, *names: str) -> Ledger:
    ledger = Ledger(sweep)
    token = f"{len(ledger.machines)}-0"
    ledger.intends(Order(token, BOOT, len(names), sweep.id), price)
    launched = time.time() - 3600
    ledger.got(
        token,
        [
            Machine(name, "us-east-1a", token, num, Standing.RUNNING, launched)
            for num, name in enumerate(names)
        ],
    )
    return ledger


def status(sweep: Sweep, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    assert main(["status", str(sweep.directory), *options]) == 0
    return capsys.readouterr().out


def test_the_bucket_and_the_machines_are_told(
    sweep: Sweep, capsys: pytest.CaptureFixture[str]
) -> None:
    assert f"bucket: s3://the-bucket/runs/{sweep.id}\n" in status(sweep, capsys)
    assert "machines:" not in status(sweep, capsys)
    buy(sweep, 0.1, "i-1", "i-2", "i-3").are_gone(["i-2"])
    # Two that may live for ten hours, and one that is gone after one.
    assert "machines: 2 running, 3 in all, at most 2.10 USD\n" in status(sweep, capsys)


def test_a_price_that_is_not_known_is_not_nought(
    sweep: Sweep, capsys: pytest.CaptureFixture[str]
) -> None:
    buy(sweep, 0.1, "i-1")
    buy(sweep, None, "i-2")
    assert "2 in all, at a price that is not known\n" in status(sweep, capsys)


def test_a_request_without_an_answer_is_told(
    sweep: Sweep, capsys: pytest.CaptureFixture[str]
) -> None:
    Ledger(sweep).intends(Order("t-0", BOOT, 2, sweep.id), 0.1)
    told = status(sweep, capsys)
    assert "0 running, 0 in all" in told
    assert "what has come of 1 request is not known" in told


def test_the_same_as_json(sweep: Sweep, capsys: pytest.CaptureFixture[str]) -> None:
    buy(sweep, 0.1, "i-1")
    rented = json.loads(status(sweep, capsys, "--json"))["rented"]
    assert rented.pop("most") == pytest.approx(1.0)
    assert rented == {
        "bucket": f"s3://the-bucket/runs/{sweep.id}",
        "running": 1,
        "machines": 1,
        "unsettled": 0,
    }


def test_other_modes_rent_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    local = Sweep.create(tmp_path / "local", mode="local", settings={}, command=[])
    assert bill(local) is None
    assert "bucket" not in status(local, capsys)
    assert json.loads(status(local, capsys, "--json"))["rented"] is None


def test_the_bucket_of_google(tmp_path: Path) -> None:
    settings = {"gcp_bucket": "b", "gcp_log_path": "launchkit"}
    found = bill(Sweep.create(tmp_path / "gcp", mode="gcp", settings=settings, command=[]))
    assert found is not None
    assert found.bucket.startswith("gs://b/launchkit/")
