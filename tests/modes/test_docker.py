"""``local_docker``, on a real engine."""

from __future__ import annotations

import grp
import json
import os
import re
import subprocess
import tarfile
from typing import ClassVar

import pytest
import testbed
from container_case import HERE, ContainerCase
from container_tasks import Surroundings
from contract import ModeContract
from engine_helpers import wait_until
from mode_case import files_below, kill, states
from mode_tasks import Same

from launchkit.job import JobState
from launchkit.resume import work_of
from launchkit.runner import Work
from launchkit.standing import standing
from launchkit.sweep import Sweep

pytestmark = [pytest.mark.docker, pytest.mark.doodad]


def docker(*words) -> str:
    """Run ``docker``, and return what it printed."""
    done = subprocess.run(["docker", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def containers(sweep) -> list[str]:
    """Return the containers of a sweep, whether they run or not."""
    return docker(
        "ps", "--all", "--filter", f"label=launchkit.tag={sweep.tag}", "--format", "{{.Names}}"
    ).split()


@pytest.fixture
def image(tmp_path):
    """Make images that are gone after the test."""
    made = []

    def make(*changes, empty=False):
        name = f"launchkit-test/made:{os.urandom(4).hex()}"
        if empty:
            (tmp_path / "file").touch()
            with tarfile.open(tmp_path / "image.tar", "w") as tar:
                tar.add(tmp_path / "file", "file")
            docker("import", str(tmp_path / "image.tar"), name)
            (tmp_path / "image.tar").unlink()
            (tmp_path / "file").unlink()
        else:
            base = docker("create", testbed.PYTHON_IMAGE)
            docker("commit", *(f"--change={change}" for change in changes), base, name)
            docker("rm", base)
        made.append(name)
        return name

    yield make
    for name in made:
        docker("rmi", name)


class TestDocker(ContainerCase, ModeContract):
    name = "local_docker"
    # With the processes of this machine, whose numbers the tests compare.
    settings: ClassVar = {
        "image": testbed.PYTHON_IMAGE,
        "n_jobs": 2,
        "code_dirs": [str(HERE)],
        "container_args": ["--pid=host"],
    }
    pickles = True
    longer_s = 10.0
    no_python = testbed.NO_PYTHON_IMAGE

    def other_python(self):
        return testbed.other_python_image()

    @pytest.fixture(autouse=True)
    def _no_container_is_left(self, tmp_path):
        yield
        for file in files_below(tmp_path, "sweep.json"):
            sweep = Sweep.open(file.parents[1])
            wait_until(lambda: not containers(sweep), "the containers to be gone")  # noqa: B023

    # Bad input

    def test_an_image_that_is_nowhere(self, tmp_path):
        told = self.refused(tmp_path, image="localhost:9/launchkit/nowhere:1")
        assert told.startswith(
            "image is 'localhost:9/launchkit/nowhere:1', and Docker cannot get it: "
        )

    def test_an_image_without_a_shell(self, tmp_path, image):
        name = image(empty=True)
        told = self.refused(tmp_path, image=name)
        assert told.startswith(f"image {name!r} cannot be used: ")
        assert "/bin/sh" in told

    def test_no_docker(self, tmp_path, monkeypatch):
        monkeypatch.setenv("PATH", str(tmp_path))
        assert self.refused(tmp_path).startswith("there is no program 'docker' on PATH; ")
        assert self.make_mode().lacking()[0] == "docker (the program is not on PATH)"

    def test_no_engine(self, tmp_path, monkeypatch):
        monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:9")
        told = self.refused(tmp_path)
        assert re.match("no Docker engine answers: .*tcp://127.0.0.1:9", told)
        assert told.endswith("; start it, or set DOCKER_HOST")
        assert "no Docker engine answers" in self.make_mode().lacking()[0]

    def test_no_right_to_use_it(self, tmp_path, monkeypatch):
        if os.getuid():
            pytest.skip("only root can run programs as somebody else")
        program = docker_as_somebody(tmp_path / "bin")
        monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
        told = self.refused(tmp_path)
        assert told.startswith("Docker does not let this user in (permission denied on its socket)")
        assert "add the user to the group 'docker'" in told

    # Images as they are

    def test_an_image_with_a_user_an_entrypoint_and_a_directory_of_its_own(self, tmp_path, image):
        name = image('ENTRYPOINT ["/bin/false"]', "USER nobody", "WORKDIR /srv", "ENV A=b")
        (outcome,) = self.run_with(tmp_path / "sweep", Surroundings(), image=name)
        assert outcome.attempt.state is JobState.COMPLETED, outcome.attempt
        assert outcome.value["user"] == [os.getuid(), os.getgid()]
        assert outcome.value["env"]["A"] == "b"
        assert outcome.value["env"]["HOME"] == "/tmp"

    def test_a_container_has_process_ids_of_its_own(self, tmp_path):
        outcomes = self.run_with(tmp_path / "sweep", Same("where"), 2, container_args=[])
        assert [outcome.attempt.state for outcome in outcomes] == [JobState.COMPLETED] * 2
        assert all(outcome.value[0] < 1000 for outcome in outcomes)

    def test_files_are_the_users_who_launched(self):
        self.check_somebodys_files([grp.getgrnam("docker").gr_gid])

    # Ends

    def test_a_container_that_is_killed_by_hand(self, tmp_path):
        program = self.launch(tmp_path / "sweep", ["block", "good", "good"])
        sweep, _ = self.wait_for_blocks(tmp_path / "sweep", [0])
        (name,) = [known for known in containers(sweep) if known.endswith("-0")]
        docker("kill", name)
        program.communicate()
        assert states(sweep) == ["lost", "completed", "completed"]
        lost = sweep.attempts()[0]
        assert (lost.error.type, lost.error.message) == ("CarrierEnded", "exit code 137")

    def test_a_container_that_cannot_be_started(self, tmp_path):
        sweep = self.make_sweep(tmp_path / "sweep")
        name = docker("create", "--name", f"launchkit-{sweep.id}-0", self.no_python)
        try:
            outcomes = self.drive(Work(sweep, self.make_jobs(sweep, range(2)), Same("good")))
        finally:
            docker("rm", name)
        assert [outcome.attempt.state for outcome in outcomes] == (
            [JobState.FAILED, JobState.COMPLETED]
        )
        assert "is already in use by container" in outcomes[0].attempt.error.message
        assert (sweep.own / "carriers" / "0.log").exists()

    @pytest.mark.parametrize("own_ids", [True, False], ids=["own ids", "this machine's ids"])
    def test_a_launcher_that_is_killed_leaves_no_container(self, tmp_path, own_ids):
        settings = {**self.settings, "container_args": [] if own_ids else ["--pid=host"]}
        actions = ["block_at_first", "good", "good"]
        program = self.launch(tmp_path / "sweep", actions, settings=settings)
        sweep, _ = self.wait_for_blocks(tmp_path / "sweep", [0])
        assert containers(sweep)
        kill(program)
        wait_until(lambda: not containers(sweep), "the container to be gone")
        wait_until(lambda: not (sweep.own / "unpacked").exists(), "the code to be gone")
        wait_until(lambda: standing(sweep)[0].state is JobState.LOST, "the job to be lost")
        outcomes = self.drive(work_of(Sweep.open(sweep.directory)))
        assert outcomes[0].value == 0
        assert states(sweep) == ["completed"] * 3

    def test_containers_that_were_only_made_are_removed_as_well(self, tmp_path):
        """As when `docker run` is killed between making a container and starting it."""
        sweep = self.make_sweep(tmp_path / "sweep")
        for _ in range(2):
            docker("create", f"--label=launchkit.tag={sweep.tag}", self.no_python, "true")
        self.drive(Work(sweep, self.make_jobs(sweep, range(1)), Same("good")))
        assert containers(sweep) == []

    def test_what_docker_knows_of_a_container(self, tmp_path):
        program = self.launch(tmp_path / "sweep", ["block"])
        sweep, _ = self.wait_for_blocks(tmp_path / "sweep", [0])
        (name,) = containers(sweep)
        (known,) = json.loads(docker("inspect", name))
        assert known["HostConfig"]["AutoRemove"]
        assert {mount["Destination"]: mount["RW"] for mount in known["Mounts"]} == {
            str(sweep.directory): True,
            str(HERE): False,
        }
        # Nothing of the command line, or of the environment, is for all to see.
        assert known["Args"][-1] == "0"
        program.terminate()
        program.communicate()


def docker_as_somebody(folder):
    """Return a `docker` that is run by an account which is not in Docker's group."""
    real = subprocess.run(["which", "docker"], capture_output=True, text=True, check=True).stdout
    folder.mkdir()
    program = folder / "docker"
    program.write_text(f'#!/bin/sh\nexec runuser -u {testbed.TEST_USER} -- {real.strip()} "$@"\n')
    program.chmod(0o755)
    return program
