"""`launchkit reap`: what is left of any sweep is found and ended, and what works is not."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from ec2_here import ABROAD, REGION, Ec2World, described, ec2_front, provider
from ec2_here import use as use_ec2
from gce_here import GoogleHere, gce, google_server
from gce_here import order as gce_order
from gce_here import use as use_gce

from launchkit.cli import main
from launchkit.cloud import ec2_types, logins, reaping
from launchkit.cloud.depot import Lease
from launchkit.cloud.gcs import GcsStore
from launchkit.cloud.providers import Machine, Standing, Unreachable
from launchkit.cloud.reaping import Fate, Kept, judge, read, span
from launchkit.cloud.s3 import S3Store
from launchkit.cloud.stores import Store

NOW = 1_795_000_000.0
BUCKET = "the-bucket"
MACHINE = Machine("i-1", "us-east-1a", "t", 3, Standing.RUNNING, NOW - 3600, sweep="s", base="b")
ALIVE = Lease("host", 7, "p", "/home/me/sweep", NOW - 100)
GONE = replace(ALIVE, time=NOW - 130)
THERE = Kept(there=True, lifetime_min=120)


@pytest.mark.parametrize(
    ("kept", "fate", "why", "alone"),
    [
        (Kept(), Fate.LEFT, "nothing of its sweep is in the bucket", False),
        (replace(THERE, closed=True), Fate.LEFT, "its sweep is over", False),
        (replace(THERE, closed=True, lease=ALIVE), Fate.LEFT, "its sweep is over", False),
        (replace(THERE, lease=ALIVE), Fate.WORKING, "driven by process 7 on host", False),
        (replace(THERE, lease=GONE), Fate.LEFT, "and it has never said anything", False),
        (THERE, Fate.LEFT, "its launcher is gone", False),
        (replace(THERE, looks={3: NOW - 899}), Fate.WORKING, "it ends itself by", True),
        (replace(THERE, looks={3: NOW - 960}), Fate.LEFT, "said nothing for 16 min", False),
        (replace(THERE, looks={2: NOW - 1}), Fate.LEFT, "never said anything", False),
        (Kept(problem="no answer"), Fate.UNKNOWN, "no answer", True),
    ],
)
def test_what_the_bucket_says_decides(kept: Kept, fate: Fate, why: str, *, alone: bool) -> None:
    judged = judge(MACHINE, kept, NOW)
    assert (judged.fate, judged.alone) == (fate, alone)
    assert why in judged.why


def test_a_machine_has_a_quarter_of_an_hour_for_its_first_word() -> None:
    for age, fate in ((899, Fate.WORKING), (901, Fate.LEFT)):
        young = replace(MACHINE, launched=NOW - age, standing=Standing.STARTING)
        assert judge(young, THERE, NOW).fate is fate
        # What the machine before it on the same pack has said does not count.
        assert judge(young, replace(THERE, looks={3: NOW - 5000}), NOW).fate is fate


def test_when_a_machine_ends_is_told_if_it_is_known() -> None:
    spoke = replace(THERE, looks={3: NOW - 1})
    at = time.localtime(MACHINE.launched + 120 * 60)
    assert judge(MACHINE, spoke, NOW).why.endswith(
        f"it ends itself by {time.strftime('%H:%M', at)}"
    )
    days = judge(MACHINE, replace(spoke, lifetime_min=5000), NOW).why
    assert days.endswith(
        time.strftime("%Y-%m-%d %H:%M", time.localtime(MACHINE.launched + 300_000))
    )
    assert judge(MACHINE, replace(spoke, lifetime_min=None), NOW).why.endswith("it ends by itself")


def test_a_machine_that_ends_is_not_left_but_one_that_is_stopped_is() -> None:
    ending = replace(MACHINE, standing=Standing.ENDING, reason="Client.UserInitiatedShutdown")
    assert judge(ending, Kept(), NOW).fate is Fate.ENDING
    assert judge(replace(ending, stopped=True), replace(THERE, lease=GONE), NOW).fate is Fate.LEFT
    assert judge(replace(ending, stopped=True), replace(THERE, lease=ALIVE), NOW).fate is (
        Fate.WORKING
    )


def test_lengths_of_time_in_words() -> None:
    spans = {59: "0 min", 3599: "59 min", 3600: "1 h 00 min", 172_799: "47 h 59 min"}
    assert {seconds: span(seconds) for seconds in spans} == spans
    assert span(3 * 86400 + 1) == "3 days"
    assert span(-1) == "0 min"


# With the clouds


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with ec2_front(tmp_path_factory.mktemp("aws")) as front:
        yield front


@pytest.fixture
def world(front: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ec2World]:
    use_ec2(monkeypatch, front)
    world = Ec2World(front)
    boto3.client("s3", region_name=REGION).create_bucket(Bucket=BUCKET)
    monkeypatch.setattr(logins, "gcp_lacking", lambda: ["credentials"])
    yield world
    S3Store(BUCKET, patience_s=1).delete(
        [each.key for each in S3Store(BUCKET, patience_s=1).list("")]
    )
    world.leave()


@pytest.fixture
def near(world: Ec2World, monkeypatch: pytest.MonkeyPatch) -> Ec2World:
    """Let there be two regions: to ask all of them takes a second."""
    monkeypatch.setattr(ec2_types, "enabled_regions", lambda *_: [ABROAD, REGION])
    return world


@pytest.fixture
def google(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[GoogleHere]:
    with google_server(tmp_path) as (here, server):
        use_gce(monkeypatch, server, tmp_path)
        here.reset()
        monkeypatch.setattr(logins, "ec2_lacking", lambda: ["credentials"])
        yield here


def leave(store: Store, base: str, *, lease_s: float | None = None, **more: bytes) -> None:
    """Let there be a sweep in a bucket, whose launcher was there so many seconds ago."""
    content = {"id": base.rpartition("/")[2], "settings": {"max_lifetime_min": 90}}
    store.put(f"{base}/.home/sweep/sweep.json", json.dumps(content).encode())
    if lease_s is not None:
        lease = replace(ALIVE, time=time.time() - lease_s)
        store.put(f"{base}/.home/lease", json.dumps(asdict(lease)).encode())
    for name, data in more.items():
        store.put(f"{base}/.home/{name}", data)


def reap(capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, str, str]:
    code = main(["reap", *options])
    told = capsys.readouterr()
    return code, told.out, told.err


def alive(region: str = REGION) -> set[str]:
    ec2 = boto3.client("ec2", region_name=region)
    return {each["InstanceId"] for each in described(ec2)}


def test_the_bucket_is_read_as_launchers_and_machines_write_it(world: Ec2World) -> None:
    store = S3Store(BUCKET)
    assert read(store, "launchkit/x") == Kept()
    leave(store, "launchkit/x", lease_s=5, closed=b"{}")
    store.put("launchkit/x/.machines/12/look", b"look")
    store.put("launchkit/x/.machines/12/log", b"log")
    found = read(store, "launchkit/x")
    assert (found.there, found.closed, found.lifetime_min) == (True, True, 90)
    assert found.lease is not None and found.lease.host == "host"
    assert found.looks.keys() == {12}
    assert abs(found.looks[12] - time.time()) < 5
    store.put("launchkit/x/.home/sweep/sweep.json", b"{")
    assert read(store, "launchkit/x").lifetime_min is None


def test_machines_of_sweeps_that_are_over_are_ended_wherever_they_are(
    world: Ec2World, capsys: pytest.CaptureFixture[str]
) -> None:
    order = world.order(2)
    leave(S3Store(BUCKET), order.boot.base, closed=b"{}")
    here = provider().start(order)
    abroad = provider(region=ABROAD).start(world.order(1, token="abroad-0"))
    code, out, err = reap(capsys)
    assert code == 1
    assert out.count("its sweep is over") == 3
    assert "3 machines left: `--apply` ends them" in err
    assert "gcp is not asked: it needs credentials" in err
    assert alive() == {each.id for each in here}
    code, out, _ = reap(capsys, "--apply")
    assert (code, out.splitlines()[-1]) == (0, "ended 3 of 3 machines")
    assert alive() == set() == alive(ABROAD)
    assert abroad[0].id in out
    assert reap(capsys, "--mode", "ec2") == (0, "no machines\n", "")


def test_machines_of_a_sweep_of_which_nothing_is_known_are_left(
    near: Ec2World, capsys: pytest.CaptureFixture[str]
) -> None:
    provider().start(near.order())
    assert "nothing of its sweep is in the bucket" in reap(capsys, "--mode", "ec2")[1]
    assert reap(capsys, "--mode", "ec2", "--apply")[0] == 0
    assert alive() == set()


def test_a_machine_that_is_looked_after_is_never_ended(
    near: Ec2World, capsys: pytest.CaptureFixture[str]
) -> None:
    order = near.order()
    leave(S3Store(BUCKET), order.boot.base, lease_s=10)
    (machine,) = provider().start(order)
    code, out, err = reap(capsys, "--mode", "ec2", "--apply", "--all")
    assert (code, err) == (0, "")
    assert "driven by process 7 on host" in out
    assert alive() == {machine.id}


def test_a_machine_that_works_without_a_launcher_is_ended_only_if_all_are(
    near: Ec2World, capsys: pytest.CaptureFixture[str]
) -> None:
    order = near.order()
    leave(S3Store(BUCKET), order.boot.base, lease_s=500)
    (machine,) = provider().start(order)
    code, out, _ = reap(capsys, "--mode", "ec2", "--apply")
    assert code == 0
    assert "its launcher is gone; it ends itself by" in out
    assert alive() == {machine.id}
    assert reap(capsys, "--mode", "ec2", "--all")[0] == 1
    assert alive() == {machine.id}
    assert reap(capsys, "--mode", "ec2", "--all", "--apply")[0] == 0
    assert alive() == set()


def test_a_machine_that_is_silent_without_a_launcher_is_left(
    near: Ec2World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    order = near.order()
    leave(S3Store(BUCKET), order.boot.base, lease_s=500)
    provider().start(order)
    monkeypatch.setattr(reaping, "SILENT_S", -5.0)
    assert reap(capsys, "--mode", "ec2", "--apply")[0] == 0
    assert alive() == set()


def test_only_the_sweeps_that_are_named(near: Ec2World, capsys: pytest.CaptureFixture[str]) -> None:
    (machine,) = provider().start(near.order())
    assert reap(capsys, "--mode", "ec2", "--apply", "another")[:2] == (0, "no machines\n")
    assert alive() == {machine.id}
    assert reap(capsys, "--mode", "ec2", "--apply", near.sweep)[0] == 0
    assert alive() == set()


def test_a_bucket_that_cannot_be_asked_keeps_its_machines(
    near: Ec2World, capsys: pytest.CaptureFixture[str]
) -> None:
    order = near.order()
    elsewhere = replace(order, boot=replace(order.boot, store="s3://no-such-bucket"))
    (machine,) = provider().start(elsewhere)
    code, out, _ = reap(capsys, "--mode", "ec2", "--apply")
    assert code == 1
    assert "unknown" in out and "no-such-bucket" in out
    assert alive() == {machine.id}
    assert reap(capsys, "--mode", "ec2", "--apply", "--all")[0] == 0
    assert alive() == set()


def test_what_cannot_be_ended_is_said(near: Ec2World, capsys: pytest.CaptureFixture[str]) -> None:
    provider().start(near.order())
    near.play("error", "TerminateInstances", code="UnauthorizedOperation", status=403)
    code, out, err = reap(capsys, "--mode", "ec2", "--apply")
    assert code == 1
    assert "ended 0 of 1 machine" in out
    assert "cannot be ended" in err and "UnauthorizedOperation" in err


def test_a_cloud_that_cannot_be_asked_is_said(
    near: Ec2World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> list[Machine]:
        raise Unreachable("no answer")

    monkeypatch.setattr("launchkit.cloud.ec2.Ec2.machines", fail)
    assert reap(capsys, "--mode", "ec2") == (1, "", "launchkit: ec2 cannot be asked: no answer\n")


def test_a_cloud_that_is_named_has_to_be_one_that_can_be_asked(
    near: Ec2World, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = reap(capsys, "--mode", "gcp")
    assert (code, out) == (2, "")
    assert "gcp is not asked: it needs credentials" in err


def test_where_no_cloud_can_be_asked_nothing_is_known(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for cloud in ("ec2", "gcp"):
        monkeypatch.setattr(f"launchkit.cloud.logins.{cloud}_lacking", lambda: ["a login"])
    code, out, err = reap(capsys)
    assert (code, out) == (2, "")
    assert "no cloud can be asked from here" in err


def test_machines_of_google_are_ended_in_all_zones(
    google: GoogleHere, capsys: pytest.CaptureFixture[str]
) -> None:
    google.objects.make_bucket({"name": BUCKET})
    order = gce_order(2)
    leave(GcsStore(BUCKET), order.boot.base, closed=b"{}")
    gce().start(order)
    gce(zone="europe-west4-a").start(gce_order(1, token="elsewhere-0"))
    google.instance(next(iter(google.world.instances))[1]).status = "TERMINATED"
    code, out, err = reap(capsys)
    assert code == 1
    assert out.count("its sweep is over") == 3
    assert "europe-west4-a" in out
    assert "ec2 is not asked" in err
    assert reap(capsys, "--apply")[0] == 0
    assert not google.world.instances
