"""What a machine of Compute Engine is asked to be, held to Google's own description of it."""

from __future__ import annotations

import json
import re
from typing import Any

import gce_here
import pytest

from launchkit.cloud import gce_names, gce_schema
from launchkit.cloud.gce import metadata
from launchkit.cloud.gce_bodies import Image, Request, body
from launchkit.cloud.gcp_settings import GcpSettings

IMAGE = Image("projects/debian-cloud/global/images/debian-12-x", "debian-12-x", "debian-cloud")
REQUEST = Request(
    "lk-abcdef-t-0",
    "us-central1-a",
    "",
    metadata(gce_here.BOOT, 0),
    {"launchkit": "1", "launchkit-sweep": "s"},
)
KINDS: dict[str, dict[str, Any]] = {
    "on demand": {},
    "spot": {"preemptible": True},
    "gpu": {"instance_type": "n1-standard-4", "gpu_model": "nvidia-tesla-t4", "use_gpu": True},
    "gpu of its own": {"instance_type": "g2-standard-4", "use_gpu": True, "preemptible": True},
    "hyperdisk": {"instance_type": "c4-standard-2"},
    "subnet": {"subnet": "machines"},
    "shared subnet": {"subnet": "projects/host/regions/us-central1/subnetworks/shared"},
    "more fields": {"gcp_kwargs": {"tags": {"items": ["sweeps"]}, "canIpForward": False}},
}


def asked(**changed: Any) -> Any:
    return body(gce_here.settings(**changed), REQUEST, IMAGE, 90)


@pytest.mark.parametrize("kind", KINDS)
def test_google_would_know_every_field(kind: str) -> None:
    assert gce_schema.problems(asked(**KINDS[kind])) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_machine_ends_by_itself_whatever_it_is(kind: str) -> None:
    scheduling = asked(**KINDS[kind])["scheduling"]
    assert scheduling["instanceTerminationAction"] == "DELETE"
    assert scheduling["maxRunDuration"] == {"seconds": "5400"}
    assert scheduling["automaticRestart"] is False


@pytest.mark.parametrize(
    ("kind", "model", "maintenance"),
    [
        ("on demand", "STANDARD", None),
        ("spot", "SPOT", "TERMINATE"),
        ("gpu", "STANDARD", "TERMINATE"),
        ("gpu of its own", "SPOT", "TERMINATE"),
    ],
)
def test_how_it_is_bought(kind: str, model: str, maintenance: str | None) -> None:
    scheduling = asked(**KINDS[kind])["scheduling"]
    assert scheduling["provisioningModel"] == model
    assert scheduling.get("onHostMaintenance") == maintenance


def test_a_disk_goes_with_its_machine() -> None:
    (disk,) = asked(disk_size=77)["disks"]
    assert disk["boot"]
    assert disk["autoDelete"]
    assert disk["initializeParams"]["diskSizeGb"] == "77"
    assert disk["initializeParams"]["diskType"].endswith("/pd-balanced")
    (disk,) = asked(**KINDS["hyperdisk"])["disks"]
    assert disk["initializeParams"]["diskType"].endswith("/hyperdisk-balanced")


def test_gpus_are_attached_as_set() -> None:
    (gpus,) = asked(**KINDS["gpu"], num_gpu=2)["guestAccelerators"]
    assert gpus["acceleratorCount"] == 2
    assert gpus["acceleratorType"].endswith("zones/us-central1-a/acceleratorTypes/nvidia-tesla-t4")
    assert "guestAccelerators" not in asked(**KINDS["gpu of its own"])


def test_the_network_is_the_default_one_or_the_subnet_of_the_region() -> None:
    (interface,) = asked()["networkInterfaces"]
    assert interface["network"] == "global/networks/default"
    assert interface["accessConfigs"][0]["type"] == "ONE_TO_ONE_NAT"
    (interface,) = asked(subnet="machines")["networkInterfaces"]
    assert interface["subnetwork"] == "regions/us-central1/subnetworks/machines"
    assert "network" not in interface
    (interface,) = asked(**KINDS["shared subnet"])["networkInterfaces"]
    assert interface["subnetwork"] == KINDS["shared subnet"]["subnet"]


def test_the_role_is_that_of_one_account() -> None:
    (account,) = asked()["serviceAccounts"]
    assert account["email"] == f"launchkit@{gce_here.PROJECT}.iam.gserviceaccount.com"
    (account,) = asked(service_account="a@b.iam.gserviceaccount.com")["serviceAccounts"]
    assert account["email"] == "a@b.iam.gserviceaccount.com"
    (account,) = asked(gcp_project="example.com:old")["serviceAccounts"]
    assert account["email"] == "launchkit@old.example.com.iam.gserviceaccount.com"


def test_fields_of_the_users_own_are_merged_last() -> None:
    wanted = {"networkInterfaces": [{"subnetwork": "regions/r/subnetworks/private"}]}
    assert asked(gcp_kwargs=wanted)["networkInterfaces"] == wanted["networkInterfaces"]


@pytest.mark.parametrize(
    "name", ["scheduling", "metadata", "labels", "name", "serviceAccounts", "machineType"]
)
def test_what_keeps_the_bill_small_is_not_the_users_to_overwrite(name: str) -> None:
    with pytest.raises(ValueError, match=f"gcp_kwargs has {name}"):
        gce_here.settings(gcp_kwargs={name: {}})


def test_metadata_are_texts_and_hold_the_scripts() -> None:
    found = metadata(gce_here.BOOT, 7)
    assert all(isinstance(value, str) for value in found.values())
    assert found["launchkit-pack"] == "7"
    assert found["launchkit-base"] == f"gs://{gce_here.BUCKET}/{gce_here.BOOT.base}"
    assert found["startup-script"].startswith("#!")
    assert found["shutdown-script"].startswith("#!")
    assert found["block-project-ssh-keys"] == "TRUE"


def test_nothing_of_the_environment_is_told_to_a_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "planted-a1b2c3d4e5f6")
    text = json.dumps(
        body(
            gce_here.settings(env={"MY_KEY": "planted-b"}),
            REQUEST,
            IMAGE,
            90,
        )
    )
    assert "planted" not in text
    assert "planted" not in json.dumps(metadata(gce_here.BOOT, 0))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"labells": {}}, "labells is no field that there is; there are labels"),
        ({"metadata": {"items": [{"key": "a", "value": 1}]}}, r"items\[0\].value is 1; .*string"),
        ({"scheduling": {"maxRunDuration": {"seconds": 60}}}, "seconds is 60; .* type string"),
        ({"scheduling": {"maxRunDuration": {"seconds": "1h"}}}, "digits of a whole number"),
        ({"scheduling": {"provisioningModel": "CHEAP"}}, "one of .*SPOT"),
        ({"scheduling": {"automaticRestart": "no"}}, "must be of type boolean"),
        ({"guestAccelerators": [{"acceleratorCount": True}]}, "must be of type integer"),
        ({"disks": {}}, "disks is {}; it must be a list"),
        ({"status": "RUNNING"}, "status is the provider's to say"),
    ],
)
def test_what_google_would_not_take_is_seen(wrong: dict[str, Any], said: str) -> None:
    (problem,) = gce_schema.problems({**asked(), **wrong})
    assert re.search(said, problem)


@pytest.mark.parametrize("pack", [0, 9999, 10**7])
@pytest.mark.parametrize("token", ["t", "0123456789abcdef-0", "x" * 44, "x" * 48])
def test_a_name_is_one_that_a_machine_may_have(token: str, pack: int) -> None:
    name = gce_names.name("20261122-160000-abcdef", token, pack)
    assert re.fullmatch(r"[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?", name)
    assert gce_names.pack_of(name) == pack
    assert gce_names.token_of(name) == (token if len(token) < 44 else "")
    assert name.startswith(gce_names.stem("20261122-160000-abcdef"))


def test_names_are_different_where_requests_are() -> None:
    tokens = ["x" * 44, "x" * 45, "x" * 48, "x" * 47 + "y", "y", "y-1"]
    names = {
        gce_names.name(sweep, token, pack) for sweep in "ab" for token in tokens for pack in (1, 2)
    }
    assert len(names) == 2 * len(tokens) * 2


def test_a_token_that_makes_no_name_is_refused() -> None:
    with pytest.raises(ValueError, match="'A_B' makes no name"):
        gce_names.name("s", "A_B", 0)


@pytest.mark.parametrize("value", ["20261122-160000-abcdef", "Sweep.1", "s" * 80, "ü"])
def test_a_label_is_one_that_google_takes(value: str) -> None:
    found = gce_names.label(value)
    assert re.fullmatch(r"[a-z0-9_-]{1,63}", found)
    assert (found == value) == bool(re.fullmatch(r"[a-z0-9_-]{1,63}", value))


def test_labels_of_values_that_look_alike_differ() -> None:
    assert gce_names.label("Sweep.1") != gce_names.label("sweep-1") != gce_names.label("sweep.1")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"gcp_project": None}, "gcp_project is not set"),
        ({"gcp_bucket": "A"}, "gcp_bucket is 'A'"),
        ({"zone": None}, "zone is not set"),
        ({"zone": ["us-central1"]}, "zone is 'us-central1'"),
        ({"max_lifetime_min": 121 * 24 * 60}, "lives for 172800 minutes at most"),
        ({"gpu_model": "nvidia-tesla-t4"}, "use_gpu is false"),
        ({"disk_size": 5}, "disk_size"),
        ({"gcp_kwargs": [1]}, "gcp_kwargs is"),
        ({"service_account": "me"}, "service_account is 'me'"),
    ],
)
def test_settings_that_are_wrong_are_named(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        gce_here.settings(**changed)


def test_zones_may_be_one_or_several() -> None:
    assert gce_here.settings().zones == (gce_here.ZONE,)
    several: GcpSettings = gce_here.settings(zone=["us-central1-b", "us-east1-b"])
    assert several.zones == ("us-central1-b", "us-east1-b")
