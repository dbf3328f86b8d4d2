"""What sweeps on rented machines live through, whichever cloud it is.

A cloud is tested by a subclass of `CloudScenarios` that names it; what only one cloud can play
is in the subclass.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import signal
import statistics
import sys
import tarfile
import time
from pathlib import Path

import pytest

sys.path += [str(Path(__file__).parents[1] / folder) for folder in ("modes", "engine")]

from cloud_case import containers_of, new_prefix, wait_until
from cloud_contract import CloudContract
from mode_case import ModeCase, changes_of, end_of, kill, states
from mode_tasks import Act, Same

from launchkit import cli, driver, process_table
from launchkit import job as jobs
from launchkit.cloud.depot import Depot
from launchkit.cloud.ledger import Ledger
from launchkit.cloud.providers import Standing
from launchkit.resume import work_of
from launchkit.standing import standing
from launchkit.sweep import Sweep

MODES = Path(__file__).parents[1] / "modes"
RETRY = {"max_retries": 1, "retry_delay_s": 0.0}


class ScenarioCase(CloudContract, ModeCase):
    """How scenarios run sweeps: below a prefix of their own."""

    @pytest.fixture(autouse=True)
    def _own_prefix(self):
        self.prefix = new_prefix()
        self.settings = self.cloud.settings(
            **{self.cloud.prefix_setting: self.prefix}, code_dirs=[str(MODES)]
        )

    @property
    def name(self):
        return self.cloud.mode

    def set(self, **changes):
        """Change settings."""
        self.settings = {**self.settings, **changes}

    def base(self, sweep) -> str:
        """Return the sweep's prefix in the bucket."""
        return f"{self.prefix}/{sweep.id}"

    def depot(self, sweep) -> Depot:
        return Depot(self.cloud.store, self.prefix, sweep)

    def begun(self, directory, *nums) -> Sweep:
        """Wait until jobs are known to run, and have written rows; return their sweep."""
        for num in nums:
            wait_until(lambda: rows(directory / str(num)), f"rows of job {num}")  # noqa: B023
            path = directory / str(num)
            wait_until(lambda: str(jobs.read(path).state) == "running", f"job {num} to run")  # noqa: B023
        return Sweep.open(directory)

    def play(self, machine, what, **body):
        """Have something happen to a machine."""
        self.cloud.control("POST", f"machines/{machine.id}/{what}", body)

    def only_machine(self, sweep):
        """Return the only machine of a sweep that runs."""
        (machine,) = self.cloud.running(sweep.id)
        return machine


class CloudScenarios(ScenarioCase):
    """What holds for all clouds."""

    # Machines

    def test_two_machines_at_once_share_the_jobs(self, tmp_path):
        self.set(num_exps_per_instance=2, jobs_at_once=2)
        outcomes = self.run(tmp_path / "sweep", Act({0: "good", 1: "raises", 2: "good"}), 3)
        ends = [(str(end.attempt.state), end.attempt.exit_code) for end in outcomes]
        assert ends == [("completed", 0), ("failed", 1), ("completed", 0)]
        hosts = [end.attempt.host for end in outcomes]
        assert hosts[0] == hosts[1] != hosts[2]
        sweep = Sweep.open(tmp_path / "sweep")
        assert sorted(each.pack for each in Ledger(sweep).machines) == [0, 1]
        assert not Ledger(sweep).has_left
        assert len(self.cloud.machines(sweep.id)) == 2

    def test_no_more_machines_at_a_time_than_are_wanted(self, tmp_path):
        self.set(num_exps_per_instance=1, max_machines=1)
        program = self.launch(tmp_path / "sweep", ["good", "good"])
        most = 0
        while program.poll() is None:
            if (tmp_path / "sweep" / ".launchkit" / "sweep.json").exists():
                sweep = Sweep.open(tmp_path / "sweep")
                alive = (Standing.STARTING, Standing.RUNNING)
                found = self.cloud.machines(sweep.id)
                most = max(most, sum(each.standing in alive for each in found))
            time.sleep(0.2)
        assert end_of(program)[0] == 0
        assert most == 1
        assert len(Ledger(sweep).machines) == 2

    def test_what_is_taken_back_is_preempted_and_goes_on_elsewhere(self, tmp_path):
        program = self.launch(tmp_path / "sweep", ["trains"], policy=RETRY)
        sweep = self.begun(tmp_path / "sweep", 0)
        first = self.only_machine(sweep)
        self.take_back(first)
        code, _, err = end_of(program)
        assert code == 0, err
        changes = [change for _, change in changes_of(sweep.jobs[0]) if change != "cancelled"]
        assert changes == ["running", "preempted", "pending", "running", "completed"]
        assert_rows_follow(sweep.jobs[0].directory)
        assert {row["attempt"] for row in rows(sweep.jobs[0].directory)} == {"1", "2"}
        assert len(Ledger(sweep).machines) == 2

    def test_what_is_taken_back_stays_preempted_without_retries(self, tmp_path):
        program = self.launch(tmp_path / "sweep", ["trains"])
        sweep = self.begun(tmp_path / "sweep", 0)
        self.take_back(self.only_machine(sweep))
        end_of(program)
        assert states(sweep) == ["preempted"]
        # It was asked to stop, and its last files are here.
        assert_rows_follow(sweep.jobs[0].directory)

    def test_a_machine_that_dies_without_a_word_costs_an_attempt(self, tmp_path):
        program = self.launch(tmp_path / "sweep", ["trains"], policy=RETRY)
        sweep = self.begun(tmp_path / "sweep", 0)
        self.play(self.only_machine(sweep), "die")
        code, _, err = end_of(program)
        assert code == 0, err
        changes = [known["state"] for known in jobs.events(sweep.jobs[0].directory)]
        assert "lost" in changes
        assert states(sweep) == ["completed"]
        assert sweep.attempts()[0].attempt == 2
        assert_rows_follow(sweep.jobs[0].directory)

    def test_a_machine_that_is_silent_for_long_is_ended(self, tmp_path):
        self.set(unreachable_min=0.05)
        program = self.launch(tmp_path / "sweep", ["trains", "good"])
        sweep = self.begun(tmp_path / "sweep", 0)
        machine = self.only_machine(sweep)
        self.play(machine, "hang")
        code, _, err = end_of(program)
        assert code == 0, err
        assert states(sweep) == ["lost", "completed"]
        wait_until(lambda: not self.cloud.running(sweep.id), "the machine to be gone")

    def test_a_machine_that_gives_no_first_sign_is_ended_and_says_why(self, tmp_path):
        self.set(start_timeout_min=0.05)
        self.next_machine(boot=False)
        (outcome,) = self.run(tmp_path / "sweep", Same("good"), 1)
        assert str(outcome.attempt.state) == "failed"
        assert outcome.attempt.error.type == "MachineSilent"
        assert "start_timeout_min" in outcome.attempt.error.message

    @pytest.mark.parametrize(
        ("hidden", "said"), [("docker", "has no docker"), ("python3", "has no python3")]
    )
    def test_a_machine_that_lacks_something_says_what(self, tmp_path, hidden, said, capsys):
        self.next_machine(hide=[hidden])
        outcomes = self.run(tmp_path / "sweep", Same("good"), 2)
        assert [str(outcome.attempt.state) for outcome in outcomes] == ["failed"] * 2
        assert {outcome.attempt.error.type for outcome in outcomes} == {"MachineFailed"}
        assert all(said in outcome.attempt.error.message for outcome in outcomes)
        assert cli.main(["logs", str(tmp_path / "sweep"), "0"]) == 1
        told = capsys.readouterr()
        assert said in told.out + told.err

    def test_what_a_machine_lacks_is_installed(self, tmp_path):
        self.next_machine(hide=["docker"], install=["docker"])
        (outcome,) = self.run(tmp_path / "sweep", Same("good"), 1)
        assert outcome.value == 0

    def test_an_image_that_is_nowhere(self, tmp_path):
        self.set(image="localhost:9/launchkit/nowhere:1")
        (outcome,) = self.run(tmp_path / "sweep", Same("good"), 1)
        assert str(outcome.attempt.state) == "failed"
        assert outcome.attempt.error.type == "MachineFailed"
        assert "localhost:9/launchkit/nowhere:1" in outcome.attempt.error.message

    # The bucket

    @pytest.mark.parametrize(
        "fault",
        [
            {"kind": "slow_down"},
            {"kind": "unavailable"},
            {"kind": "internal"},
            {"kind": "reset"},
            {"kind": "truncate"},
            {"kind": "hang", "pause_s": 2.0},
            {"kind": "expired"},
        ],
        ids=lambda fault: fault["kind"],
    )
    def test_a_bucket_that_is_out_of_order_for_a_while_costs_nothing(self, tmp_path, fault):
        program = self.launch(tmp_path / "sweep", ["trains", "trains"])
        sweep = self.begun(tmp_path / "sweep", 0, 1)
        with self.cloud.fault(**fault, path=self.prefix, **self.of_the_bucket):
            time.sleep(5.0)
        self.release(sweep.directory, 0, 1)
        code, _, err = end_of(program)
        assert code == 0, err
        assert states(sweep) == ["completed"] * 2
        assert [known.attempt for known in sweep.attempts().values()] == [1, 1]
        for job in sweep.jobs:
            assert_rows_follow(job.directory)
        assert len(Ledger(sweep).machines) == 1

    def test_what_is_written_there_is_here_soon(self, tmp_path):
        program = self.launch(tmp_path / "sweep", ["trains"])
        sweep = self.begun(tmp_path / "sweep", 0)
        behind = []
        for _ in range(20):
            behind.append(time.time() - float(rows(sweep.directory / "0")[-1]["time"]))
            time.sleep(0.25)
        # What comes on top is the upload, and the round of home; now and then a busy machine.
        assert statistics.median(behind) < self.settings["sync_interval"] + 6.0
        assert max(behind) < self.settings["sync_interval"] + 20.0
        self.release(sweep.directory, 0)
        assert end_of(program)[0] == 0

    def test_how_much_is_asked_does_not_depend_on_how_many_jobs_there_are(self, tmp_path):
        each_look = {}
        for many in (2, 20):
            directory = tmp_path / str(many) / "sweep"
            program = self.launch(directory, ["trains", *["good"] * (many - 1)])
            sweep = self.begun(directory, 0)
            wait_until(lambda: states(sweep).count("completed") == many - 1, "the others to end")  # noqa: B023
            mark, machine = self.cloud.mark(), self.only_machine(sweep)
            time.sleep(6.0)
            asked = self._asked_from_here(mark, sweep.id, machine)
            looks = self._asked_from_here(mark, f"{sweep.id}.*machines.*0.*look", machine)
            # A round is one listing; a look is followed by what has changed since, and no more.
            each_look[many] = (asked.total() - self.listings(asked)) / looks.total()
            assert 0 < self.listings(asked) <= 7
            self.release(directory, 0)
            assert end_of(program)[0] == 0
        assert each_look[20] <= each_look[2] + 2

    def _asked_from_here(self, mark, path, machine):
        return self.cloud.calls(mark, path) - self.cloud.calls(mark, path, of=machine.id)

    def listings(self, calls) -> int:
        """Return how many of some calls were listings."""
        return sum(count for name, count in calls.items() if "list" in name.lower())

    # Stopping

    def test_one_job_is_cancelled_and_then_all(self, tmp_path):
        program = self.launch(tmp_path / "sweep", ["trains", "trains"])
        sweep = self.begun(tmp_path / "sweep", 0, 1)
        assert cli.main(["cancel", str(sweep.directory), "0"]) == 0
        assert states(sweep) == ["cancelled", "running"]
        assert cli.main(["cancel", str(sweep.directory)]) == 0
        code, out, err = end_of(program)
        assert (code, out) == (0, "interrupted\n"), err
        assert states(sweep) == ["cancelled"] * 2
        for job in sweep.jobs:
            assert_rows_follow(job.directory)

    def test_a_sweep_that_is_interrupted_while_its_machines_start(self, tmp_path):
        self.next_machine(slow_start_s=60.0)
        program = self.launch(tmp_path / "sweep", ["good"])
        directory = tmp_path / "sweep"
        wait_until(lambda: (known := known_ledger(directory)) and known.machines, "a machine")
        program.send_signal(signal.SIGINT)
        code, out, err = end_of(program)
        assert (code, out) == (0, "interrupted\n"), err
        sweep = Sweep.open(tmp_path / "sweep")
        assert states(sweep) == ["cancelled"]
        wait_until(lambda: not self.cloud.running(sweep.id), "the machine to be gone")

    def test_a_launcher_that_is_killed_leaves_no_machine(self, tmp_path):
        program = self.launch(tmp_path / "sweep", ["trains"])
        sweep = self.begun(tmp_path / "sweep", 0)
        machine = self.only_machine(sweep)
        kill(program)
        wait_until(lambda: not self.cloud.running(sweep.id), "the warden to end the machine")
        assert containers_of(machine.id) == []
        wait_until(lambda: str(standing(sweep)[0].state) == "lost", "the job to be lost")
        (outcome,) = self.drive(work_of(Sweep.open(sweep.directory)))
        assert (str(outcome.attempt.state), outcome.attempt.attempt) == ("completed", 2)
        assert_rows_follow(sweep.jobs[0].directory)

    def test_what_was_bought_and_never_recorded_is_found_again(self, tmp_path):
        """Launcher and warden are killed while they wait for the answer."""
        directory = tmp_path / "sweep"
        with self.answers_lost():
            program = self.launch(directory, ["good"])
            wait_until(lambda: known_ledger(directory), "machines to be asked for")
            sweep = Sweep.open(directory)
            wait_until(lambda: self.cloud.machines(sweep.id), "a machine to be there")
            warden = process_table.here(driver.current(sweep).warden)
            os.kill(warden, signal.SIGKILL)
            kill(program)
        (machine,) = self.cloud.machines(sweep.id)
        assert Ledger(sweep).has_left
        assert Ledger(sweep).machines == ()
        (outcome,) = self.drive(work_of(Sweep.open(directory)))
        assert outcome.value == 0
        assert len(self.cloud.machines(sweep.id)) == 2
        assert machine.id in {each.id for each in Ledger(sweep).machines}
        assert not Ledger(sweep).has_left

    def test_an_answer_that_is_lost_buys_nothing_twice(self, tmp_path):
        with self.answers_lost(count=1):
            (outcome,) = self.run(tmp_path / "sweep", Same("good"), 1)
        assert outcome.value == 0
        sweep = Sweep.open(tmp_path / "sweep")
        assert len(self.cloud.machines(sweep.id)) == len(Ledger(sweep).machines) == 1

    def test_jobs_that_go_on_for_too_long_are_stopped_and_say_so(self, tmp_path):
        self.set(max_lifetime_min=1)
        program = self.launch(tmp_path / "sweep", ["trains"])
        sweep = self.begun(tmp_path / "sweep", 0)
        assert end_of(program)[0] == 0
        attempt = sweep.attempts()[0]
        assert str(attempt.state) == "timeout"
        assert attempt.error.type == "MachineLifetime"
        assert "max_lifetime_min" in attempt.error.message
        assert_rows_follow(sweep.jobs[0].directory)

    def test_a_machine_ends_itself_when_its_time_is_over(self, tmp_path):
        self.set(max_lifetime_min=1)
        self.next_machine(minute_s=14.0)
        program = self.launch(tmp_path / "sweep", ["trains"])
        sweep = self.begun(tmp_path / "sweep", 0)
        machine = self.only_machine(sweep)
        os.kill(program.pid, signal.SIGSTOP)  # nobody at home has it end
        wait_until(lambda: not self.cloud.running(sweep.id), "the machine to end itself")
        os.kill(program.pid, signal.SIGCONT)
        end_of(program)
        assert not self.cloud.control("GET", f"machines/{machine.id}")["running"]
        assert states(sweep) in (["lost"], ["timeout"], ["preempted"])

    # Leaving

    def test_a_detached_sweep_is_followed_from_the_bucket_alone(self, tmp_path, capsys):
        program = self.launch(tmp_path / "sweep", ["trains", "good"], detach=True)
        assert "supervisor" in program.stdout.readline()
        program.kill()
        sweep = self.begun(tmp_path / "sweep", 0)
        url = self.depot(sweep).url
        assert cli.main(["pull", url, str(tmp_path / "elsewhere")]) == 0
        wait_until(lambda: states(sweep)[1] == "completed", "job 1 to end")
        self.release(sweep.directory, 0)
        assert cli.main(["wait", str(sweep.directory)]) == 0
        capsys.readouterr()
        assert self.told(["status"], sweep.directory, capsys) is not None
        assert cli.main(["pull", url, str(tmp_path / "elsewhere")]) == 0
        assert cli.main(["pull", url, str(tmp_path / "late")]) == 0
        capsys.readouterr()
        expected = self.told(["table"], sweep.directory, capsys)
        for place in ("elsewhere", "late"):
            assert states(Sweep.open(tmp_path / place)) == ["completed"] * 2
            assert self.told(["table"], tmp_path / place, capsys) == expected
            assert rows(tmp_path / place / "0") == rows(sweep.directory / "0")

    # Secrets

    def test_nothing_of_the_environment_goes_anywhere(self, tmp_path, monkeypatch):
        secret = f"planted-{os.urandom(8).hex()}"
        for name in ("PLANTED_TOKEN", "WANDB_API_KEY", "AWS_PLANTED", "HTTP_PLANTED_PASSWORD"):
            monkeypatch.setenv(name, secret)
        program = self.launch(tmp_path / "sweep", ["trains", "raises"])
        sweep = self.begun(tmp_path / "sweep", 0)
        machine = self.only_machine(sweep)
        told = json.dumps(self.everything_known(machine))
        assert sweep.id in told  # what is looked through is what it should be
        assert secret not in told
        self.release(sweep.directory, 0)
        _, out, err = end_of(program)
        assert secret not in out + err
        found = [self.cloud.store.get(key)[0] for key in self.cloud.keys(f"{self.prefix}/")]
        assert any(contains(data, b"def trains(job)") for data in found)  # it would be found
        assert not any(contains(data, secret.encode()) for data in found)
        for path in sweep.directory.rglob("*"):
            if path.is_file():
                assert not contains(path.read_bytes(), secret.encode())

    # Hooks

    def take_back(self, machine):
        """Have the cloud take a machine back, with its usual notice."""
        raise NotImplementedError

    def next_machine(self, **likeness):
        """Say what the machines of this test are going to be like."""
        self.cloud.control("POST", "next", {"script": self.prefix, **likeness})

    def answers_lost(self, count=None):
        """Have the answers to requests for machines be lost as long as this lasts."""
        raise NotImplementedError

    def everything_known(self, machine):
        """Return all that the provider knows of a machine."""
        raise NotImplementedError

    of_the_bucket: dict = {}  # noqa: RUF012 - a constant
    """What makes a fault one of the bucket."""

    def told(self, words, directory, capsys) -> str:
        """Return what a command says of a sweep."""
        assert cli.main([*words, str(directory)]) == 0
        return capsys.readouterr().out


def rows(directory: Path) -> list[dict[str, str]]:
    """Return the rows of a job's ``progress.csv``; none if there is none."""
    try:
        with (directory / "progress.csv").open() as stream:
            return list(csv.DictReader(stream))
    except FileNotFoundError:
        return []


def assert_rows_follow(directory: Path) -> None:
    """See that each row of a job is there once, in order."""
    epochs = [int(row["epoch"]) for row in rows(directory)]
    assert epochs
    assert epochs == list(range(len(epochs)))


def known_ledger(directory: Path) -> Ledger | None:
    """Return what a sweep has bought, once something has been asked for."""
    if not (directory / ".launchkit" / "machines.jsonl").exists():
        return None
    return Ledger(Sweep.open(directory))


def contains(data: bytes, word: bytes) -> bool:
    """Tell whether a word is in a file, or in what is packed in it."""
    if word in data:
        return True
    begin = data.find(b"\x1f\x8b\x08")  # an archive begins with a script
    if begin < 0:
        return False
    try:
        inner = gzip.decompress(data[begin:])
        with tarfile.open(fileobj=io.BytesIO(inner)) as tar:
            streams = [tar.extractfile(member) for member in tar if member.isfile()]
            found = any(contains(stream.read(), word) for stream in streams if stream is not None)
            return found or word in inner
    except tarfile.TarError:
        return word in inner
    except (OSError, EOFError):
        return False
