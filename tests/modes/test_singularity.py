"""``local_singularity``, with a real Apptainer."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import pytest
import testbed
from container_case import HERE, ContainerCase
from container_tasks import Surroundings
from contract import ModeContract
from engine_helpers import wait_until
from mode_case import kill, states, wait_for_end_of
from mode_tasks import Same

from launchkit import process_table
from launchkit.doodad import engine
from launchkit.job import JobState
from launchkit.modes import registry
from launchkit.outside import singularity
from launchkit.standing import standing
from launchkit.sweep import TAG, Sweep

pytestmark = [pytest.mark.apptainer, pytest.mark.doodad]


class TestSingularity(ContainerCase, ModeContract):
    name = "local_singularity"
    settings: ClassVar = {
        "image": str(testbed.PYTHON_SIF),
        "n_jobs": 2,
        "code_dirs": [str(HERE)],
    }
    pickles = True
    longer_s = 10.0
    no_python = str(testbed.NO_PYTHON_SIF)

    def other_python(self):
        mine = "{}.{}".format(*sys.version_info[:2])
        folders = testbed.PYTHON_SANDBOX.parent.glob("python-3.*[0-9]")
        return next(str(path) for path in sorted(folders) if path.name != f"python-{mine}")

    # Bad input

    def test_no_program(self, tmp_path, monkeypatch):
        monkeypatch.setenv("PATH", str(tmp_path))
        told = self.refused(tmp_path)
        assert told.startswith("there is no program apptainer or singularity on PATH; ")
        assert self.make_mode().lacking()[0] == (
            "there is no program apptainer or singularity on PATH"
        )

    def test_an_image_that_is_not_there(self, tmp_path):
        with pytest.raises(
            ValueError, match=r"image is 'gone\.sif', and there is no /.*/gone\.sif"
        ):
            self.run_with(tmp_path / "sweep", Same("good"), image="gone.sif")

    def test_a_file_that_is_no_image(self, tmp_path):
        (tmp_path / "no.sif").write_text("no image")
        told = self.refused(tmp_path, image=str(tmp_path / "no.sif"))
        assert told.startswith(f"image '{tmp_path}/no.sif' cannot be used: ")
        assert "image format not recognized" in told

    def test_an_image_that_cannot_be_fetched(self, tmp_path):
        told = self.refused(tmp_path, image="docker://localhost:9/nowhere")
        assert told.startswith("image 'docker://localhost:9/nowhere' cannot be used: ")
        assert "refused" in told

    def test_an_image_that_runs_already(self, tmp_path):
        with pytest.raises(ValueError, match="instance://mine', which runs already"):
            self.run_with(tmp_path / "sweep", Same("good"), image="instance://mine")

    # Images as they are

    def test_a_folder_is_an_image_and_may_be_named_from_here(self, tmp_path, monkeypatch):
        monkeypatch.chdir(testbed.PYTHON_SANDBOX.parent)
        (outcome,) = self.run_with(
            tmp_path / "sweep", Surroundings(), image=testbed.PYTHON_SANDBOX.name
        )
        assert outcome.attempt.state is JobState.COMPLETED, outcome.attempt

    @pytest.mark.docker
    def test_an_image_is_made_of_one_of_docker(self, tmp_path, monkeypatch):
        monkeypatch.setenv("APPTAINER_CACHEDIR", str(tmp_path / "cache"))
        target = tmp_path / "image.sif"
        name = f"docker-daemon:{testbed.NO_PYTHON_IMAGE}"
        assert singularity.located(name) == name
        singularity.fetch(name, target)
        words = [*testbed.apptainer_command(), target, "/bin/sh", "-c", "exit 3"]
        assert subprocess.run(words, check=False).returncode == 3
        (tmp_path / "cache").rename(tmp_path / "gone")
        before = target.stat()
        singularity.fetch(name, target)  # is there already
        assert target.stat() == before
        with pytest.raises(singularity.SingularityError, match="'docker-daemon:no/such', and it "):
            singularity.fetch("docker-daemon:no/such", tmp_path / "other.sif")
        assert {path.name for path in tmp_path.iterdir()} == {"cache", "gone", "image.sif"}

    def test_an_image_is_fetched_once_a_sweep(self, tmp_path, monkeypatch):
        """From no registry, which cannot be had here: `pull` is a stand-in."""
        pulls = registry_of_one_image(tmp_path / "bin")
        monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
        outcomes = self.run_with(tmp_path / "sweep", Surroundings(), 2, image="docker://here:1")
        assert [outcome.attempt.state for outcome in outcomes] == [JobState.COMPLETED] * 2
        sweep = Sweep.open(tmp_path / "sweep")
        for outcome in outcomes:
            assert outcome.value["env"]["SINGULARITY_CONTAINER"] == str(sweep.own / "image.sif")
        assert not (sweep.own / "image.sif").exists()
        assert pulls.read_text() == "docker://here:1\n"
        # As a killed launcher leaves it.
        (sweep.own / "image.sif").touch()
        registry.create(self.name, sweep.settings).end_left(sweep)
        assert not (sweep.own / "image.sif").exists()

    # What jobs find

    def test_the_home_directory_is_there_and_what_is_installed_in_it_is_not(
        self, tmp_path, monkeypatch
    ):
        home = tmp_path / "home"
        site = home / ".local/lib/python{}.{}/site-packages".format(*sys.version_info[:2])
        site.mkdir(parents=True)
        (site / "usercustomize.py").write_text("import os; os.environ['FROM_HOST'] = '1'\n")
        (home / "file").write_text("in the home directory")
        monkeypatch.setenv("LAUNCHKIT_DOODAD", str(engine.find()))
        monkeypatch.setenv("HOME", str(home))
        monkeypatch.setenv("PYTHONUSERBASE", str(home / ".local"))
        task = Surroundings([home / "file"])
        arguments = [f"--home={home}"]
        (outcome,) = self.run_with(tmp_path / "sweep", task, container_args=arguments)
        assert outcome.value["files"] == ["in the home directory"]
        assert "FROM_HOST" not in outcome.value["env"]
        (outcome,) = self.run_with(
            tmp_path / "again", task, container_args=arguments, env={"PYTHONNOUSERSITE": ""}
        )
        assert outcome.value["env"]["FROM_HOST"] == "1"

    def test_a_clean_environment_has_what_was_asked_for(self, tmp_path, monkeypatch):
        monkeypatch.setenv("WANTED", "$(id) a,b")
        monkeypatch.setenv("OTHER", "x")
        (outcome,) = self.run_with(
            tmp_path / "sweep",
            Surroundings(),
            env={"WANTED": None},
            container_args=["--cleanenv", "--contain"],
            cpus_per_job=1,
        )
        found = outcome.value["env"]
        assert (found["WANTED"], found["OMP_NUM_THREADS"]) == ("$(id) a,b", "1")
        assert "OTHER" not in found
        assert found[TAG] == Sweep.open(tmp_path / "sweep").tag

    def test_a_sweep_may_be_behind_a_link(self, tmp_path):
        (tmp_path / "disk").mkdir()
        (tmp_path / "link").symlink_to(tmp_path / "disk")
        (outcome,) = self.run_with(tmp_path / "link" / "sweep", Same("good"))
        assert outcome.attempt.state is JobState.COMPLETED, outcome.attempt
        assert (tmp_path / "disk" / "sweep" / "0" / ".launchkit" / "result.json").exists()

    @pytest.mark.parametrize("arguments", [[], ["--unsquash"]], ids=["mounted", "unpacked"])
    def test_files_are_the_users_who_launched(self, arguments):
        self.check_somebodys_files([], container_args=arguments)

    # Ends

    def test_what_starts_a_container_is_killed_by_hand(self, tmp_path):
        program = self.launch(tmp_path / "sweep", ["block", "good", "good"])
        sweep, pids = self.wait_for_blocks(tmp_path / "sweep", [0])
        # The one that has forked the job: the first process in the container.
        line = Path(f"/proc/{pids[0]}/stat").read_text()
        os.kill(int(line.rpartition(")")[2].split()[1]), signal.SIGKILL)
        program.communicate()
        assert states(sweep) == ["lost", "completed", "completed"]
        lost = sweep.attempts()[0]
        assert (lost.error.type, lost.error.message) == ("CarrierEnded", "SIGKILL ended it")
        wait_for_end_of(pids)

    @pytest.mark.parametrize("arguments", [[], ["--pid"]], ids=["shared ids", "own ids"])
    def test_a_launcher_that_is_killed_leaves_no_process(self, tmp_path, arguments):
        settings = {**self.settings, "container_args": arguments}
        program = self.launch(tmp_path / "sweep", ["block", "good"], settings=settings)
        sweep, _ = self.wait_for_blocks(tmp_path / "sweep", [0])
        assert process_table.tagged(TAG, sweep.tag)
        kill(program)
        wait_until(
            lambda: not process_table.living(process_table.tagged(TAG, sweep.tag)),
            "the processes of the sweep to be gone",
        )
        wait_until(lambda: not (sweep.own / "unpacked").exists(), "the code to be gone")
        wait_until(lambda: standing(sweep)[0].state is JobState.LOST, "the job to be lost")
        assert mounts_below(sweep.directory) == []


def mounts_below(directory) -> list[str]:
    """Return what is mounted below a directory, as this machine sees it."""
    lines = Path("/proc/self/mounts").read_text().splitlines()
    points = [line.split()[1] for line in lines]
    return [point for point in points if point.startswith(str(directory))]


def registry_of_one_image(folder) -> Path:
    """Put an `apptainer` into a folder that can pull one image, and return the file it logs to."""
    folder.mkdir()
    program, pulls = folder / "apptainer", folder / "pulls"
    program.write_text(
        f"""#!/bin/sh
for word in "$@"; do
  if [ "$word" = pull ]; then
    while [ $# -gt 2 ]; do shift; done
    cp {testbed.PYTHON_SIF} "$1" && echo "$2" >>{pulls}
    exit
  fi
done
count=$#
while [ $count -gt 0 ]; do
  word=$1; shift
  [ "$word" != docker://here:1 ] || word={testbed.PYTHON_SIF}
  set -- "$@" "$word"
  count=$((count - 1))
done
exec {shutil.which("apptainer")} "$@"
"""
    )
    program.chmod(0o755)
    return pulls
