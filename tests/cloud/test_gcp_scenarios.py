"""Sweeps on the simulated Google Cloud, in good times and in bad ones."""

from __future__ import annotations

import os
import signal
import sys

import pytest
import testbed
from cloud_case import wait_until
from cloud_scenarios import CloudScenarios, ScenarioCase, assert_rows_follow
from gcp_case import GCP, OTHER_ZONE, QUIET_ZONE, ZONE
from mode_case import end_of, kill, states
from mode_tasks import Same

from launchkit import cli, driver, process_table
from launchkit.cloud.ledger import Ledger
from launchkit.cloud.providers import Standing
from launchkit.modes import registry
from launchkit.policy import Policy
from launchkit.runner import Work, check
from launchkit.sweep import Sweep

pytestmark = [pytest.mark.cloud, pytest.mark.docker, pytest.mark.doodad]


class TestGcp(CloudScenarios):
    cloud = GCP

    def take_back(self, machine):
        self.play(machine, "preempt")

    def answers_lost(self, count=None):
        return GCP.fault(kind="lose", method="POST", path=r"/instances\?", count=count)

    def everything_known(self, machine):
        asked = {"project": testbed.GCP_PROJECT, "zone": machine.zone, "instance": machine.id}
        instances = GCP.compute.instances()
        return [
            instances.get(**asked).execute(),
            instances.getSerialPortOutput(**asked).execute(),
            GCP.control("GET", f"machines/{machine.id}"),
        ]

    def listings(self, calls):
        return calls["storage.objects.list"]  # not those of machines

    # Machines

    def test_where_a_zone_has_none_the_next_one_is_asked(self, tmp_path, short):
        self.set(zone=[ZONE, OTHER_ZONE], num_exps_per_instance=1)
        short(zones={ZONE: 1}, script=self.prefix)
        outcomes = self.run(tmp_path / "sweep", Same("good"), 2)
        assert [outcome.value for outcome in outcomes] == [0, 10]
        machines = Ledger(self.sweep_of(tmp_path)).machines
        assert sorted(machine.zone for machine in machines) == [ZONE, OTHER_ZONE]

    def test_where_there_are_none_they_are_waited_for(self, tmp_path, short):
        self.set(capacity_wait_min=0.01)
        short(zones={ZONE: 0}, script=self.prefix)
        (outcome,) = self.run(tmp_path / "sweep", Same("good"), 1)
        assert (str(outcome.attempt.state), outcome.attempt.error.type) == ("failed", "NoCapacity")
        assert ZONE in outcome.attempt.error.message
        assert Ledger(self.sweep_of(tmp_path)).machines == ()

    def test_googles_own_timer_ends_a_machine_whose_own_does_not(self, tmp_path):
        self.set(max_lifetime_min=1)
        # Its own minutes are long, and Google's short.
        self.next_machine(minute_s=600.0, life_factor=0.25)
        program = self.launch(tmp_path / "sweep", ["trains"])
        sweep = self.begun(tmp_path / "sweep", 0)
        os.kill(program.pid, signal.SIGSTOP)  # nobody at home has it end
        wait_until(lambda: not self.cloud.running(sweep.id), "Google to end the machine")
        os.kill(program.pid, signal.SIGCONT)
        end_of(program)
        assert states(sweep) in (["lost"], ["timeout"], ["preempted"])

    def test_a_machine_that_somebody_stops_is_lost_and_its_disk_is_not_kept(self, tmp_path):
        program = self.launch(tmp_path / "sweep", ["trains"])
        sweep = self.begun(tmp_path / "sweep", 0)
        machine = self.only_machine(sweep)
        asked = {"project": testbed.GCP_PROJECT, "zone": machine.zone, "instance": machine.id}
        GCP.compute.instances().stop(**asked).execute()
        code, _, err = end_of(program)
        assert code == 0, err
        (state,) = states(sweep)
        assert state in ("lost", "preempted")
        assert_rows_follow(sweep.jobs[0].directory)
        wait_until(lambda: machine.id not in self.listed(), "the machine to be deleted")
        assert self.cloud.machines(sweep.id)[0].standing is Standing.GONE

    @pytest.mark.parametrize("hidden", ["gcloud", "gsutil"])
    def test_one_of_googles_programs_will_do(self, tmp_path, hidden):
        self.next_machine(hide=[hidden])
        (outcome,) = self.run(tmp_path / "sweep", Same("good"), 1)
        assert outcome.value == 0

    def test_a_machine_of_a_sweep_that_is_over_is_reaped(self, tmp_path, capsys):
        program = self.launch(tmp_path / "sweep", ["trains"])
        sweep = self.begun(tmp_path / "sweep", 0)
        machine = self.only_machine(sweep)
        os.kill(process_table.here(driver.current(sweep).warden), signal.SIGKILL)
        kill(program)
        self.depot(sweep).close(sweep.jobs)
        where = [sweep.id, "--mode", "gcp", "--project", testbed.GCP_PROJECT]
        assert cli.main(["reap", *where]) == 1
        assert machine.id in capsys.readouterr().out
        assert cli.main(["reap", *where, "--apply"]) == 0
        wait_until(lambda: not self.cloud.running(sweep.id), "the machine to be gone")

    def listed(self):
        """Return what Google lists, of all sweeps."""
        told = GCP.compute.instances().list(project=testbed.GCP_PROJECT, zone=ZONE).execute()
        return {each["name"] for each in told.get("items", ())}

    def sweep_of(self, tmp_path):
        return Sweep.open(tmp_path / "sweep")

    @pytest.fixture
    def short(self):
        """Return what makes the cloud short of something, for as long as a test lasts."""
        yield lambda **what: GCP.control("POST", "capacity", what)
        GCP.control("DELETE", "capacity")


class TestRefused(ScenarioCase):
    """What cannot be had is said by name, before anything is bought or written."""

    cloud = GCP

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"zone": "us-central1-z"}, ["zone is 'us-central1-z'", "us-central1-a"]),
            ({"zone": "mars-east1-a"}, ["zone is 'mars-east1-a'", "there are"]),
            ({"instance_type": "e2-standard-3"}, ["'e2-standard-3'", "e2-standard-4"]),
            ({"gcp_image": "debian-5"}, ["debian-5"]),
            ({"gcp_project": "somebody-elses"}, ["somebody-elses"]),
            ({"gcp_bucket": "launchkit-nobodys"}, ["launchkit-nobodys", "gcp setup"]),
            ({"service_account": "no@launchkit-test.iam.gserviceaccount.com"}, ["'no@launchkit"]),
            ({"subnet": "no-such-net"}, ["no-such-net"]),
            ({"gpu_model": "nvidia-tesla-t4"}, ["gpu_model", "use_gpu"]),
            ({"gpu_model": "nvidia-tesla-t4", "use_gpu": True}, ["gpu_model", "e2-standard-2"]),
            ({"use_gpu": True}, ["use_gpu", "gpu_model"]),
            ({"max_total_price": 5.0}, ["max_total_price", "price_per_hour"]),
            ({"max_price_per_hour": 5.0}, ["max_price_per_hour", "price_per_hour"]),
            (
                {"max_price_per_hour": 0.1, "price_per_hour": 0.2},
                ["max_price_per_hour", "0.20 USD"],
            ),
            ({"max_total_price": 1.0, "price_per_hour": 0.2}, ["max_total_price", "4.80 USD"]),
            ({"spot_price": 0.1}, ["'gcp' has no setting 'spot_price'", "preemptible"]),
        ],
        ids=lambda value: "-".join(map(str, value)) if isinstance(value, dict) else "",
    )
    def test_what_cannot_be_had(self, tmp_path, changes, words):
        told = self.refused(tmp_path, **changes)
        assert all(word in told for word in words), told

    def test_a_quota_of_nothing(self, tmp_path):
        quotas = {QUIET_ZONE.rpartition("-")[0]: {"CPUS": 0}}
        GCP.control("POST", "capacity", {"quotas": quotas})
        try:
            told = self.refused(tmp_path, zone=QUIET_ZONE)
        finally:
            GCP.control("DELETE", "capacity")
        assert "CPUS" in told
        assert "quota" in told.lower()

    def test_a_bucket_of_somebody_else(self, tmp_path):
        fault = {"kind": "denied", "path": "launchkit-theirs", "count": None}
        with self.cloud.fault(**fault):
            told = self.refused(tmp_path, gcp_bucket="launchkit-theirs")
        assert "launchkit-theirs" in told

    def test_without_a_terminal_nothing_is_bought_without_a_yes(self, tmp_path, monkeypatch):
        with open(os.devnull) as nothing:
            monkeypatch.setattr(sys, "stdin", nothing)
            told = self.refused(tmp_path, confirm=True)
        assert "confirm=false" in told

    def refused(self, tmp_path, **changes) -> str:
        """Return why a sweep is refused; see that nothing was asked for, and nothing written."""
        sweep = self.make_sweep(tmp_path / "sweep")
        work = Work(sweep, self.make_jobs(sweep, [0]), Same("good"))
        before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
        mark = self.cloud.mark()
        with pytest.raises(ValueError) as caught:
            check(work, registry.create("gcp", {**self.settings, **changes}), Policy())
        assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
        # Other tests buy meanwhile; this one has put nothing where only it puts something.
        assert "storage.objects.insert" not in self.cloud.calls(mark, self.prefix)
        assert self.cloud.machines(sweep.id) == []
        told = str(caught.value)
        assert "\n" not in told
        return told
