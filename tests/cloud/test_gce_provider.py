"""Compute Engine as a provider, against the testbed's compute API in this process."""

from __future__ import annotations

import json
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gce_here
import pytest
import testbed
from gce_here import SWEEP, TOKEN, ZONE, GoogleHere, gce, order

from launchkit.cloud import gce_look, gce_schema
from launchkit.cloud.gce import Gce
from launchkit.cloud.providers import (
    Expired,
    Machine,
    NoCapacity,
    Refused,
    Standing,
    Unreachable,
)
from launchkit.doodad import engine, gcp_mode

B, C = "us-central1-b", "us-central1-c"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Any, Path]]:
    directory = tmp_path_factory.mktemp("google")
    with gce_here.google_server(directory) as (here, server):
        yield here, server, directory


@pytest.fixture
def google(server: tuple[Any, Any, Path], monkeypatch: pytest.MonkeyPatch) -> GoogleHere:
    here, running, directory = server
    here.reset()
    gce_here.use(monkeypatch, running, directory)
    monkeypatch.setattr("launchkit.cloud.gce_buying.LOOK_S", 0.02)
    return here


def by_pack(machines: list[Machine]) -> dict[int, Machine]:
    return {machine.pack: machine for machine in machines}


class TestStart:
    def test_each_machine_has_a_pack_and_is_found_again(self, google: GoogleHere) -> None:
        bought = gce().start(order(3))
        assert [machine.pack for machine in bought] == [0, 1, 2]
        assert {machine.token for machine in bought} == {TOKEN}
        found = gce().machines(SWEEP)
        assert {machine.id for machine in found} == {machine.id for machine in bought}
        assert {machine.standing for machine in found} == {Standing.RUNNING}
        assert {machine.kind for machine in found} == {"e2-standard-2"}
        assert all(machine.launched > 0 for machine in found)
        packs = {body["labels"]["launchkit-pack"] for body in google.bodies}
        assert packs == {"0", "1", "2"}

    def test_packs_count_on_from_the_first_of_the_request(self, google: GoogleHere) -> None:
        boot = replace(gce_here.BOOT, first_pack=40)
        assert [m.pack for m in gce().start(order(2, boot=boot))] == [40, 41]

    def test_what_is_sent_is_what_google_describes(self, google: GoogleHere) -> None:
        gce(preemptible=True).start(order())
        (body,) = google.bodies
        assert gce_schema.problems(body) == []
        assert body["scheduling"]["maxRunDuration"] == {"seconds": "3600"}

    def test_asking_twice_buys_once(self, google: GoogleHere) -> None:
        provider = gce()
        first = provider.start(order(2))
        again = provider.start(order(2))
        later = gce().start(order(2))
        assert {m.id for m in first} == {m.id for m in again} == {m.id for m in later}
        assert len(google.bodies) == 2

    def test_asking_for_what_has_run_and_gone_buys_nothing(self, google: GoogleHere) -> None:
        (machine,) = gce().start(order())
        gce().end([machine])
        (again,) = gce().start(order())
        assert again.id == machine.id
        assert again.standing is Standing.GONE
        assert len(google.bodies) == 1

    def test_a_repeat_fills_what_was_lacking(self, google: GoogleHere) -> None:
        google.shorten(zones={ZONE: 1})
        assert len(gce().start(order(3))) == 1
        google.shorten()
        assert by_pack(gce().start(order(3))).keys() == {0, 1, 2}
        assert len(google.world.instances) == 3

    def test_a_request_whose_answer_was_lost_is_not_made_twice(self, google: GoogleHere) -> None:
        google.play("lost", path="/instances", method="POST")
        (machine,) = gce().start(order())
        assert len(google.world.instances) == 1
        assert machine.id in {m.id for m in gce().machines(SWEEP)}

    def test_a_launcher_that_dies_between_request_and_answer_finds_its_machine(
        self, google: GoogleHere
    ) -> None:
        google.shorten(delay_s=0.5)
        killed = threading.Thread(target=lambda: gce().start(order()), daemon=True)
        killed.start()
        while not google.bodies:
            killed.join(0.01)
        (machine,) = gce().start(order())
        killed.join()
        assert len(google.bodies) == 1
        assert len(google.world.instances) == 1
        assert machine.pack == 0

    def test_another_token_buys_anew(self, google: GoogleHere) -> None:
        gce().start(order())
        gce().start(order(token="another-0"))
        assert {m.token for m in gce().machines(SWEEP)} == {TOKEN, "another-0"}

    def test_zones_are_tried_in_order(self, google: GoogleHere) -> None:
        google.shorten(zones={ZONE: 1, B: 0})
        bought = by_pack(gce(zone=[ZONE, B, C]).start(order(3)))
        assert sorted(machine.zone for machine in bought.values()) == [ZONE, C, C]
        assert len(google.world.instances) == 3

    def test_zones_of_the_order_come_before_those_of_the_settings(self, google: GoogleHere) -> None:
        (machine,) = gce(zone=[ZONE]).start(order(zones=[C]))
        assert machine.zone == C

    def test_a_machine_in_the_second_zone_is_not_bought_again_in_the_first(
        self, google: GoogleHere
    ) -> None:
        google.shorten(zones={ZONE: 0})
        (machine,) = gce(zone=[ZONE, B]).start(order())
        google.shorten()
        (again,) = gce(zone=[ZONE, B]).start(order())
        assert (machine.zone, again.zone) == (B, B)
        assert len(google.world.instances) == 1

    def test_none_at_all_is_no_capacity_and_may_be_asked_for_again(
        self, google: GoogleHere
    ) -> None:
        google.shorten(zones={ZONE: 0, B: 0})
        provider = gce(zone=[ZONE, B])
        for _ in range(2):
            with pytest.raises(NoCapacity, match=f"{B} has none now: .*enough resources"):
                provider.start(order(2))
        google.shorten()
        assert len(provider.start(order(2))) == 2

    @pytest.mark.parametrize("answers", [True, False])
    def test_a_quota_that_is_used_up_is_no_capacity(
        self, google: GoogleHere, answers: bool
    ) -> None:
        google.shorten(quotas={"us-central1": {"CPUS": 4}}, quota_answers=answers)
        assert len(gce().start(order(3))) == 2
        with pytest.raises(NoCapacity, match="Quota 'CPUS' exceeded"):
            gce().start(order(token="another-0"))

    def test_what_google_refuses_is_told_and_nothing_is_left(self, google: GoogleHere) -> None:
        with pytest.raises(Refused, match="disk size cannot be smaller"):
            gce(gcp_image=LEARNING, disk_size=10).start(order(2))
        assert not google.world.instances

    def test_many_take_a_call_each_and_few_more(self, google: GoogleHere) -> None:
        google.shorten(quotas={"us-central1": {"CPUS": 1000, "INSTANCES": 1000,
                                               "IN_USE_ADDRESSES": 1000},
                               "": {"CPUS_ALL_REGIONS": 1000}})  # fmt: skip
        assert len(gce().start(order(150))) == 150
        assert google.calls("instances.insert") == 150
        assert len(google.site.log.since(0)["requests"]) < 150 + 20


class TestMachines:
    def test_of_one_sweep_or_of_all(self, google: GoogleHere) -> None:
        provider = gce()
        provider.start(order())
        provider.start(order(sweep="another", token="another-0"))
        assert len(provider.machines(SWEEP)) == 1
        everyone = provider.machines()
        assert {machine.sweep for machine in everyone} == {SWEEP, "another"}
        assert {machine.base for machine in everyone} == {
            f"{gce_here.BOOT.store}/{gce_here.BOOT.base}"
        }

    def test_machines_of_others_are_not_ours(self, google: GoogleHere) -> None:
        gce().start(order())
        name = by_pack(gce().machines(SWEEP))[0].id
        google.instance(name).fields["labels"] = {"team": "other"}
        assert gce().machines() == []
        assert all(m.standing is Standing.GONE for m in gce().machines(SWEEP))

    def test_what_was_deleted_is_gone_and_says_by_whom(self, google: GoogleHere) -> None:
        provider = gce()
        (machine,) = provider.start(order())
        provider.end([machine])
        (gone,) = provider.machines(SWEEP)
        assert gone.standing is Standing.GONE
        assert not gone.reclaimed
        assert gone.reason.startswith("deleted by tester@")
        assert provider.machines() == []
        # Another process, which has never seen it, knows the same.
        assert gce().machines(SWEEP) == [gone]

    def test_what_was_preempted_is_reclaimed(self, google: GoogleHere) -> None:
        provider = gce(preemptible=True)
        bought = provider.start(order(2))
        google.lives.preempt(google.instance(bought[0].id))
        found = by_pack(provider.machines(SWEEP))
        assert found[0].standing is Standing.GONE
        assert found[0].reclaimed
        assert "preempted" in found[0].reason
        assert found[1].standing is Standing.RUNNING
        assert not found[1].reclaimed

    def test_preempted_and_then_cleared_away_is_still_reclaimed(self, google: GoogleHere) -> None:
        (machine,) = gce().start(order())
        instance = google.instance(machine.id)
        google.operate("compute.instances.preempted", instance, "Instance was preempted.")
        google.operate("delete", instance)
        google.vanish(machine.id)
        (gone,) = gce().machines(SWEEP)
        assert gone.reclaimed
        assert gone.reason == "preempted: Instance was preempted."

    def test_deleted_by_its_own_account_is_not_reclaimed(self, google: GoogleHere) -> None:
        (machine,) = gce().start(order())
        google.operate("delete", google.instance(machine.id), user="launchkit@p")
        google.vanish(machine.id)
        (gone,) = gce().machines(SWEEP)
        assert (gone.reclaimed, gone.reason) == (False, "deleted by launchkit@p")

    def test_what_is_stopped_counts_as_gone_and_its_disk_is_not_kept(
        self, google: GoogleHere
    ) -> None:
        provider = gce()
        (machine,) = provider.start(order())
        google.lives.die(google.instance(machine.id))
        (left,) = gce().machines()  # what reap lists: the disk costs something
        assert left.standing is Standing.ENDING
        assert left.stopped
        (found,) = provider.machines(SWEEP)
        assert found.standing is Standing.GONE
        assert found.reason.startswith("its host failed")
        assert not google.world.instances

    def test_nothing_is_asked_about_the_past_while_all_run(self, google: GoogleHere) -> None:
        provider = gce()
        provider.start(order(2))
        provider.machines(SWEEP)
        google.site.log.clear()
        for _ in range(3):
            provider.machines(SWEEP)
        assert google.calls("globalOperations.aggregatedList") == 0
        assert google.calls("instances.aggregatedList") == 3

    def test_a_zone_that_cannot_be_asked_hides_no_machine(self, google: GoogleHere) -> None:
        provider = gce()
        provider.start(order())
        answer = {"items": {f"zones/{ZONE}": {"warning": {"code": "UNREACHABLE"}}}}
        google.before = lambda request: (
            gce_here.Answer.of(answer) if "aggregated/instances" in request.path else None
        )
        with pytest.raises(Unreachable, match=f"cannot say now what there is in {ZONE}"):
            provider.machines(SWEEP)
        assert provider.machines() == []

    def test_pages_are_read_to_the_end(
        self, google: GoogleHere, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("launchkit.cloud.gce_look.PAGE", 2)
        bought = gce().start(order(5))
        assert len(gce().machines(SWEEP)) == len(bought) == 5
        assert google.calls("instances.aggregatedList") > 3

    @pytest.mark.parametrize(
        ("stamp", "seconds"),
        [
            ("2026-11-22T08:00:00.250-08:00", 1795363200.25),
            ("2026-11-22T16:00:00Z", 1795363200.0),
            ("2026-11-22T16:00:00.5+00:00", 1795363200.5),
            ("", 0.0),
            (None, 0.0),
        ],
    )
    def test_times_are_read_as_google_writes_them(self, stamp: str | None, seconds: float) -> None:
        assert gce_look.seconds(stamp) == seconds


class TestEnd:
    def test_those_that_are_gone_are_no_error(self, google: GoogleHere) -> None:
        provider = gce()
        machines = provider.start(order(3))
        google.vanish(machines[1].id)
        provider.end(machines)
        provider.end(machines)
        assert not google.world.instances

    def test_one_that_fails_keeps_no_other_from_its_end(self, google: GoogleHere) -> None:
        provider = gce()
        machines = provider.start(order(3))
        google.play(
            "status", path=f"/instances/{machines[0].id}", method="DELETE",
            status=403, reason="forbidden",
        )  # fmt: skip
        with pytest.raises(Refused, match=machines[0].id):
            provider.end(machines)
        assert {name for _, name in google.world.instances} == {machines[0].id}

    def test_nothing_to_end(self, google: GoogleHere) -> None:
        gce().end([])
        assert google.calls("delete") == 0


class TestLastWords:
    @pytest.mark.parametrize(
        ("console", "said"),
        [
            ("", ""),
            ("Booting\nReady\n\n", "Ready"),
            ("x\r\n\x1b[1;31mFailed\x1b[0m to start\r\n", "Failed to start"),
            (
                "Nov 22 m google_metadata_script_runner[5]: startup-script: docker is missing\n"
                "[   63.2] reboot: Power down\n",
                "docker is missing",
            ),
        ],
    )
    def test_the_last_line_of_the_console(
        self, google: GoogleHere, monkeypatch: pytest.MonkeyPatch, console: str, said: str
    ) -> None:
        provider = gce()
        (machine,) = provider.start(order())
        monkeypatch.setattr(google.lives, "console", lambda _instance: console.encode())
        assert provider.last_words(machine) == said

    def test_of_a_machine_that_is_gone(self, google: GoogleHere) -> None:
        provider = gce()
        (machine,) = provider.start(order())
        provider.end([machine])
        assert provider.last_words(machine) == ""


class TestTrouble:
    @pytest.mark.parametrize(
        "fault",
        [
            {"kind": "reset"},
            {"kind": "truncated"},
            {"kind": "status", "status": 503, "reason": "backendError"},
            {"kind": "status", "status": 429, "reason": "rateLimitExceeded"},
            {"kind": "status", "status": 403, "reason": "rateLimitExceeded"},
        ],
        ids=lambda fault: "-".join(str(value) for value in fault.values()),
    )
    def test_what_passes_is_asked_again(self, google: GoogleHere, fault: dict[str, Any]) -> None:
        google.play(**fault, count=2, path="/compute/")
        provider = gce(patience_s=20.0)
        assert len(provider.start(order())) == 1
        google.play(**fault, count=2, path="aggregated")
        assert len(provider.machines(SWEEP)) == 1
        assert not len(google.site.faults)

    def test_what_does_not_pass_in_time_is_unreachable(self, google: GoogleHere) -> None:
        provider = gce(patience_s=0.3)
        provider.start(order())
        google.play("reset", count=1000)
        with pytest.raises(Unreachable, match="tried again for"):
            provider.machines(SWEEP)

    def test_credentials_that_expire_are_renewed(self, google: GoogleHere) -> None:
        provider = gce()
        provider.start(order())
        google.accounts.expire_tokens()
        assert len(provider.machines(SWEEP)) == 1

    def test_credentials_that_are_not_taken_are_expired(self, google: GoogleHere) -> None:
        provider = gce()
        google.play("expired", count=1000, path="/compute/")
        with pytest.raises(Expired, match="gcloud auth application-default login"):
            provider.start(order())
        google.site.faults.clear()
        assert len(provider.start(order())) == 1

    def test_a_token_that_is_refused_is_expired(self, google: GoogleHere) -> None:
        google.play("status", count=1000, path="/token", status=400, reason="invalid_grant")
        with pytest.raises(Expired, match="not valid, or no longer"):
            gce().machines(SWEEP)


LEARNING = "common-cu129-ubuntu-2204-nvidia-580"
T4 = {"instance_type": "n1-standard-4", "gpu_model": "nvidia-tesla-t4", "use_gpu": True}


class TestCheck:
    def test_nothing_is_bought_and_all_is_said(self, google: GoogleHere) -> None:
        offer = gce(zone=[ZONE, B], preemptible=True).check(4)
        assert not google.world.instances
        assert offer.image == "debian-12-bookworm-v20261110"
        assert re.match(r"e2-standard-2 \(2 vCPUs, 8 GB\), 64 GB of disk, Spot, in", offer.lines[0])
        assert offer.most == 36
        assert offer.price_per_hour is None
        assert "set price_per_hour" in offer.price_source

    def test_a_price_that_is_set_is_taken(self, google: GoogleHere) -> None:
        offer = gce(price_per_hour=0.07).check(1)
        assert (offer.price_per_hour, offer.price_source) == (0.07, "price_per_hour")

    def test_the_image_is_todays(self, google: GoogleHere) -> None:
        offer = gce(**T4).check(1)
        assert offer.image == "common-cu129-ubuntu-2204-nvidia-580-v20261015"
        assert "1 x nvidia-tesla-t4" in offer.lines[0]

    @pytest.mark.parametrize(
        ("named", "found"),
        [
            ("ubuntu-2404-lts-amd64", "ubuntu-2404-noble-amd64-v20261101"),
            ("debian-12-bookworm-v20261013", "debian-12-bookworm-v20261013"),
            (
                "projects/debian-cloud/global/images/family/debian-13",
                "debian-13-trixie-v20261110",
            ),
        ],
    )
    def test_an_image_is_named_or_the_newest_of_its_family(
        self, google: GoogleHere, named: str, found: str
    ) -> None:
        assert gce(gcp_image=named).check(1).image == found

    @pytest.mark.parametrize(
        ("changed", "said"),
        [
            ({"gcp_project": "somebody-elses"}, "gcp_project is 'somebody-elses'|somebody-elses:"),
            ({"zone": "us-central1-d"}, "zone is 'us-central1-d', and there is none; there are "
             "us-central1-a, us-central1-b"),
            ({"zone": [ZONE, "mars-north1-a"]}, "zone is 'mars-north1-a'"),
            ({"instance_type": "e2-standard-3"}, "instance_type is 'e2-standard-3', which zone "
             "us-central1-a has not; it has .*e2-standard-2"),
            ({"instance_type": "zz-huge-1"}, "'zz-huge-1', .* it has .*n2-…"),
            ({"instance_type": "g2-standard-4", "use_gpu": True, "zone": [ZONE, C]},
             f"which zone {C} has not"),
            ({**T4, "gpu_model": "nvidia-h100-80gb"}, "gpu_model is 'nvidia-h100-80gb', which zone "
             "us-central1-a has not; it has nvidia-l4, nvidia-tesla-a100, nvidia-tesla-t4"),
            ({**T4, "zone": C}, "gpu_model is 'nvidia-tesla-t4', which zone us-central1-c has not; "
             "it has none at all"),
            ({**T4, "num_gpu": 8}, "num_gpu is 8; a machine takes 4"),
            ({**T4, "instance_type": "e2-standard-4"}, "e2-standard-4 takes no GPUs"),
            ({**T4, "instance_type": "g2-standard-4"}, "has GPUs of its own"),
            ({"use_gpu": True}, "use_gpu is true, and e2-standard-2 has no GPU"),
            ({"instance_type": "g2-standard-4"}, "has GPUs \\(nvidia-l4\\), and use_gpu is false"),
            ({"gcp_image": "debian-99"}, "gcp_image is 'debian-99', and there is neither"),
            ({"gcp_image": "debian-10-buster-v20240312"}, "which is obsolete"),
            ({"gcp_image": "debian-12-arm64", "gcp_image_project": "debian-cloud"}, "for ARM64"),
            ({**T4, "disk_size": 20}, "disk_size is 20; the image .* needs 50"),
            ({"subnet": "nowhere"}, "subnet is 'nowhere', and there is none in us-central1"),
            ({"subnet": "projects/p/regions/us-east1/subnetworks/x"}, "is in us-east1, and zone"),
            ({"service_account": f"nobody@{gce_here.PROJECT}.iam.gserviceaccount.com"},
             "service_account is 'nobody@.*', and there is none; `launchkit gcp setup"),
            ({"instance_type": "a2-highgpu-1g", "use_gpu": True},
             "the quota A2_CPUS in us-central1 is 0, and a machine takes 12"),
            ({**T4, "gpu_model": "nvidia-tesla-v100"}, "quota PREEMPTIBLE_NVIDIA_V100_GPUS and "
             "NVIDIA_V100_GPUS in us-central1 is 0"),
            ({"gcp_kwargs": {"tagz": {}}}, "gcp_kwargs: tagz is no field that there is; there are "
             "tags"),
            ({"gcp_kwargs": {"canIpForward": "yes"}}, "gcp_kwargs: canIpForward is 'yes'"),
        ],
    )  # fmt: skip
    def test_what_cannot_be_had_is_named_with_a_way_out(
        self, google: GoogleHere, changed: dict[str, Any], said: str
    ) -> None:
        with pytest.raises(ValueError, match=said) as told:
            gce(**changed).check(1)
        assert "\n" not in str(told.value)

    def test_a_project_without_quota_for_gpus_anywhere(self, google: GoogleHere) -> None:
        google.shorten(quotas={"": {"GPUS_ALL_REGIONS": 0}})
        with pytest.raises(ValueError, match="quota GPUS_ALL_REGIONS of all regions is 0"):
            gce(**T4).check(1)

    def test_quotas_limit_how_many_run_at_a_time(self, google: GoogleHere) -> None:
        assert gce(**T4).check(100).most == 4
        assert gce(**T4, num_gpu=2).check(100).most == 2

    def test_without_credentials_it_says_how_to_log_in(
        self, google: GoogleHere, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS")
        monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
        monkeypatch.setenv("NO_GCE_CHECK", "true")
        with pytest.raises(ValueError, match="`gcloud auth application-default login`"):
            gce().check(1)

    def test_lacking_permissions_are_named(self, google: GoogleHere) -> None:
        allowed = ["compute.instances.list"]
        google.before = lambda request: (
            gce_here.Answer.of({"permissions": allowed})
            if request.path.endswith(":testIamPermissions")
            else None
        )
        with pytest.raises(
            ValueError, match=r"may not do .*compute.instances.create.*instanceAdmin"
        ):
            gce().check(1)

    def test_an_account_that_we_may_not_give_to_machines_is_said_so(
        self, google: GoogleHere
    ) -> None:
        google.before = lambda request: (
            gce_here.Answer.of({})
            if "/serviceAccounts/" in request.path and ":testIam" in request.path
            else None
        )
        with pytest.raises(ValueError, match=r"service_account is .*roles/iam.serviceAccountUser"):
            gce().check(1)

    def test_an_account_that_is_disabled_is_said_so(self, google: GoogleHere) -> None:
        google.accounts.accounts[gce_here.account_of(gce_here.PROJECT)]["disabled"] = True
        with pytest.raises(ValueError, match="which is disabled"):
            gce().check(1)

    def test_what_we_may_not_ask_is_not_held_against_us(self, google: GoogleHere) -> None:
        google.play("status", count=1000, path="/serviceAccounts/|testIam|/networks/",
                    status=403, reason="forbidden")  # fmt: skip
        assert gce().check(1).most == 36

    def test_an_api_that_is_not_enabled_is_said_so(self, google: GoogleHere) -> None:
        google.play("status", count=1000, path="/compute/", status=403,
                    reason="accessNotConfigured")  # fmt: skip
        with pytest.raises(ValueError, match="enable that API"):
            gce().check(1)

    def test_no_secret_is_in_what_is_sent(
        self, google: GoogleHere, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("WANDB_API_KEY", "planted-a1b2c3")
        gce(env={"OTHER": "planted-d4e5f6"}).start(order())
        assert "planted" not in json.dumps(google.bodies)


@pytest.mark.doodad
class TestThroughDoodad:
    def test_requests_go_through_its_mode(
        self, google: GoogleHere, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        base: Any = engine.load().mode.GCPMode
        asked = []
        monkeypatch.setattr(
            base,
            "__init__",
            lambda self, begin=base.__init__, **told: (asked.append(told), begin(self, **told))[1],
        )
        gcp_mode._mode_class.cache_clear()
        wanted = gce_here.settings(preemptible=True)
        bought = Gce(wanted, gcp_mode.buy, patience_s=3.0).start(order(3))
        assert [machine.pack for machine in bought] == [0, 1, 2]
        (told,) = asked
        assert told["gcp_project"] == gce_here.PROJECT
        assert told["zone"] == ZONE
        assert told["preemptible"] is True
        assert told["gcp_image"] == "debian-12-bookworm-v20261110"

    def test_what_is_asked_for_is_the_same_without_it(self, google: GoogleHere) -> None:
        wanted = {**T4, "num_gpu": 2}
        Gce(gce_here.settings(**wanted), gcp_mode.buy, patience_s=3.0).start(order())
        gce(**wanted).start(order(token="another-0"))
        first, second = (json.dumps(body).replace("another-0", TOKEN) for body in google.bodies)
        assert first == second
        assert '"acceleratorCount": 2' in first


@pytest.mark.cloud
class TestOnMachines:
    @pytest.fixture
    def provider(self, monkeypatch: pytest.MonkeyPatch) -> Gce:
        for name, value in testbed.gcp_environment().items():
            monkeypatch.setenv(name, value)
        return gce(preemptible=True, service_account=testbed.GCP_ACCOUNT)

    def test_a_machine_says_what_it_does_and_is_taken_back(self, provider: Gce) -> None:
        sweep = f"test-{secrets.token_hex(6)}"
        boot = replace(gce_here.BOOT, image=None, first_pack=7)
        (machine,) = provider.start(order(sweep=sweep, token=secrets.token_hex(4), boot=boot))
        try:
            until(lambda: f"machine {machine.id}, pack 7" in console(machine), 30)
            said = provider.last_words(machine)
            assert said
            assert said in console(machine)
            testbed.gcp_control("POST", f"machines/{machine.id}/preempt", {"seconds": 1})
            gone = until(
                lambda: [m for m in provider.machines(sweep) if m.standing is Standing.GONE], 60
            )
            assert gone[0].reclaimed
            assert machine.id not in {each.id for each in provider.machines()}
        finally:
            provider.end([machine])


def console(machine: Machine) -> str:
    log: str = testbed.gcp_control("GET", f"machines/{machine.id}")["log"]
    return log


def until(look: Callable[[], Any], seconds: float) -> Any:
    """Return what there is to see, once there is something."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, "nothing to see in time"
        time.sleep(0.2)
    return found
