"""What the tests of the modes share that run jobs in containers on this machine."""

from __future__ import annotations

import io
import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from container_tasks import Surroundings
from engine_helpers import PATIENCE_S, ROOT, environment, wait_until
from mode_case import LAUNCHER, states
from mode_tasks import Act, Same
from testbed import TEST_USER

from launchkit.display.progress import Progress
from launchkit.doodad import engine
from launchkit.job import Job, JobState
from launchkit.modes import registry
from launchkit.modes.base import Stop
from launchkit.outside import packs
from launchkit.policy import Policy
from launchkit.resume import work_of
from launchkit.runner import Work, check
from launchkit.sweep import Sweep

HERE = Path(__file__).parent


class ContainerCase:
    """What both promise beyond the contract; a `ModeContract` as well."""

    def refused(self, tmp_path, **settings) -> str:
        """Return why a sweep is refused, before anything is written."""
        mode = registry.create(self.name, {**self.settings, **settings})
        sweep = self.make_sweep(tmp_path / "sweep")
        before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
        work = Work(sweep, self.make_jobs(sweep, range(2)), Same("good"))
        with pytest.raises(ValueError) as caught:
            check(work, mode, Policy())
        assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
        told = str(caught.value)
        assert "\n" not in told
        return told

    def run_with(self, directory, task, count=1, **settings):
        """Run a sweep with other settings, and return its outcomes."""
        made = {**self.settings, **settings}
        sweep = Sweep.create(directory, mode=self.name, settings=made, command=["test"])
        work = Work(sweep, self.make_jobs(sweep, range(count)), task)
        return self.drive(work, mode=registry.create(self.name, made))

    def run_as_somebody(self, groups, actions, **settings):
        """Run a sweep as an account without rights, and return its directory."""
        if os.getuid():
            pytest.skip("only root can run programs as somebody else")
        account = pwd.getpwnam(TEST_USER)
        directory = Path(tempfile.mkdtemp(prefix="launchkit-test-"))
        os.chown(directory, account.pw_uid, account.pw_gid)
        wanted = {
            "directory": str(directory / "sweep"),
            "mode": self.name,
            "settings": {**self.settings, **settings},
            "actions": actions,
        }
        # It has the right to read this Python, wherever that is, and no other.
        rights = ["--inh-caps", "-all,+dac_read_search", "--ambient-caps", "+dac_read_search"]
        done = subprocess.run(
            [
                *("setpriv", "--reuid", account.pw_name, "--regid", str(account.pw_gid)),
                *(f"--groups={','.join(map(str, [account.pw_gid, *groups]))}", *rights),
                *("--bounding-set", "-all,+dac_read_search", "--"),
                *(sys.executable, str(LAUNCHER), json.dumps(wanted)),
            ],
            env=environment(
                HOME=account.pw_dir, USER=account.pw_name, LAUNCHKIT_DOODAD=str(engine.find())
            ),
            cwd=directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S * 3,
        )
        return directory, done

    def check_somebodys_files(self, groups, **settings):
        """Run jobs as an account without rights: all they write is that account's."""
        directory, done = self.run_as_somebody(groups, ["chatty", "raises"], **settings)
        try:
            sweep = Sweep.open(directory / "sweep")
            assert states(sweep) == ["completed", "failed"], done.stderr
            owner = pwd.getpwnam(TEST_USER)
            assert {
                (path.lstat().st_uid, path.lstat().st_gid) for path in sweep.directory.rglob("*")
            } == {(owner.pw_uid, owner.pw_gid)}
            assert not (sweep.own / "unpacked").exists()
        finally:
            shutil.rmtree(directory)

    # Many short jobs

    def test_jobs_share_a_container_and_each_has_its_own_end(self, tmp_path):
        actions = ["good", "raises", "good", "killed", "exit_3", "good", "good"]
        outcomes = self.run_with(
            tmp_path / "sweep", Act(dict(enumerate(actions))), 7, jobs_per_container=4
        )
        ends = [(str(end.attempt.state), end.attempt.exit_code) for end in outcomes]
        assert ends == [
            ("completed", 0),
            ("failed", 1),
            ("completed", 0),
            ("failed", -9),
            ("failed", 3),
            ("completed", 0),
            ("completed", 0),
        ]
        assert [packs.find(Sweep.open(tmp_path / "sweep"), num).jobs for num in (0, 1)] == (
            [(0, 1, 2), (3, 4, 5, 6)]
        )

    def test_one_job_of_a_container_can_be_cancelled(self, tmp_path):
        settings = {**self.settings, "n_jobs": 1, "jobs_per_container": 4}
        mode = registry.create(self.name, settings)
        sweep = Sweep.create(tmp_path / "sweep", mode=self.name, settings=settings, command=["t"])
        made = self.make_jobs(sweep, range(4))
        actions = dict(enumerate(["block", "good", "good", "good"]))
        self.submit(mode, sweep, made, Act(actions))
        ended = {}
        wait_until(lambda: ended.update(mode.poll(0.05)) or self.pids(sweep.directory, 0), "job 0")
        assert mode.running() == (0,)
        mode.cancel([2], 10.0, Stop())
        mode.cancel([0], 10.0, Stop())
        wait_until(lambda: ended.update(mode.poll(0.05)) or len(ended) == 4, "all to end")
        mode.close(sweep)
        assert states(sweep) == ["cancelled", "completed", "cancelled", "completed"]

    # Bad input, and the same words for it

    def test_an_image_without_python(self, tmp_path):
        told = self.refused(tmp_path, image=self.no_python)
        version = ".".join(map(str, sys.version_info[:2]))
        assert told.startswith(f"image {self.no_python!r} has no python{version} or python3")

    def test_a_python_that_is_not_in_the_image(self, tmp_path):
        told = self.refused(tmp_path, python="/opt/py/bin/python")
        assert told.startswith(f"image {self.settings['image']!r} has no /opt/py/bin/python; ")

    def test_another_python_in_the_image(self, tmp_path):
        other = self.other_python()
        told = self.refused(tmp_path, image=other)
        mine = ".".join(map(str, sys.version_info[:3]))
        assert told.startswith(f"image {other!r} has Python 3.")
        assert f"this is Python {mine}" in told

    def test_a_mount_point_that_hides_the_python_of_the_image(self, tmp_path):
        (tmp_path / "in").mkdir()
        told = self.refused(tmp_path, inputs={str(tmp_path / "in"): "/usr"})
        assert f"{tmp_path / 'in'} would be mounted at /usr, and hide the Python of image" in told

    def test_an_input_that_is_not_there(self, tmp_path):
        told = self.refused(tmp_path, inputs={str(tmp_path / "gone"): "/data"})
        assert told == (
            f"inputs has {str(tmp_path / 'gone')!r}, and there is no directory {tmp_path / 'gone'}"
        )

    @pytest.mark.parametrize("point", ["", "/sweep", "/sweep/below"])
    def test_an_input_that_is_in_the_way_of_what_is_written(self, tmp_path, point):
        (tmp_path / "in").mkdir()
        told = self.refused(tmp_path, inputs={str(tmp_path / "in"): f"{tmp_path}{point}"})
        assert f"{tmp_path / 'in'} would be mounted at {tmp_path}{point}, which overlaps" in told

    def test_an_input_that_would_hide_code(self, tmp_path):
        (tmp_path / "in").mkdir()
        told = self.refused(tmp_path, inputs={str(tmp_path / "in"): str(HERE)})
        assert f"which overlaps {HERE}; choose another mount point" in told

    def test_arguments_that_cannot_be(self, tmp_path):
        told = self.refused(tmp_path, container_args=["--no-such-flag=1"])
        assert told.startswith(f"image {self.settings['image']!r} cannot be used: ")
        assert "no-such-flag" in told

    def test_a_setup_command_that_fails(self, tmp_path):
        told = self.refused(tmp_path, setup_commands=["echo no such module >&2", "exit 3"])
        assert told.endswith("cannot be used: no such module (exit code 3)")

    def test_gpus_where_there_are_none(self, tmp_path):
        assert "gpu" in self.refused(tmp_path, gpus=[0]).lower()

    # What jobs find

    def test_inputs_and_variables_and_setup_commands(self, tmp_path, monkeypatch):
        monkeypatch.setenv("FROM_HERE", "$(id) 'a'")
        (tmp_path / "in, put").mkdir()
        (tmp_path / "in, put" / "data").write_text("what jobs read")
        (outcome,) = self.run_with(
            tmp_path / "sweep",
            Surroundings(["/data/a b/data"], ["/data/a b", HERE, tmp_path / "sweep"]),
            inputs={str(tmp_path / "in, put"): "/data/a b"},
            env={"FROM_HERE": None, "SET": "a\nb $(id) \"'", "here": "x", "python": "y"},
            setup_commands=['export BEFORE="$SET$NEVER_SET"', "false || true # a comment"],
        )
        assert outcome.attempt.state is JobState.COMPLETED, outcome.attempt
        found = outcome.value
        assert found["env"]["FROM_HERE"] == "$(id) 'a'"
        assert found["env"]["SET"] == found["env"]["BEFORE"] == "a\nb $(id) \"'"
        assert (found["env"]["here"], found["env"]["python"]) == ("x", "y")
        assert found["files"] == ["what jobs read"]
        assert found["writable"] == [False, False, True]

    def test_an_input_may_be_seen_among_the_code(self, tmp_path):
        code, data = tmp_path / "code", tmp_path / "data"
        for directory in (code, data):
            directory.mkdir()
            (directory / "file").write_text(directory.name)
        (outcome,) = self.run_with(
            code / "results" / "sweep",
            Surroundings([code / "file", code / "da ta/file"], [code, code / "results" / "sweep"]),
            code_dirs=[str(HERE), str(code)],
            inputs={str(data): str(code / "da ta")},
        )
        assert outcome.value["files"] == ["code", "data"]
        assert outcome.value["writable"] == [False, True]
        assert sorted(path.name for path in code.iterdir()) == ["file", "results"]

    def test_the_code_is_what_it_was_when_the_sweep_began(self, tmp_path):
        code = tmp_path / "code"
        code.mkdir()
        (code / "file").write_text("as it was")

        class Changing(Progress):
            def ended(self, job, attempt):
                (code / "file").write_text("as it is")

        settings = {**self.settings, "code_dirs": [str(HERE), str(code)], "n_jobs": 1}
        sweep = Sweep.create(tmp_path / "sweep", mode=self.name, settings=settings, command=["x"])
        work = Work(sweep, self.make_jobs(sweep, range(2)), Surroundings([code / "file"]))
        outcomes = self.drive(
            work, mode=registry.create(self.name, settings), progress=Changing(io.StringIO())
        )
        assert [outcome.value["files"] for outcome in outcomes] == [["as it was"]] * 2

    def test_setup_commands_may_be_about_the_code(self, tmp_path, monkeypatch):
        code = tmp_path / "code"
        code.mkdir()
        (code / "env.sh").write_text("export FROM_CODE=1\n")
        monkeypatch.chdir(code)
        more = {"code_dirs": [str(HERE), str(code)], "setup_commands": [". ./env.sh"]}
        (outcome,) = self.run_with(tmp_path / "sweep", Surroundings(), **more)
        assert (outcome.value["env"]["FROM_CODE"], outcome.value["cwd"]) == ("1", str(code))
        # A sweep that is taken up again has the code that was packed.
        shutil.rmtree(code)
        monkeypatch.chdir(tmp_path)
        sweep = Sweep.open(tmp_path / "sweep")
        (outcome,) = self.drive(
            work_of(sweep, again=True), mode=registry.create(self.name, sweep.settings)
        )
        assert (outcome.attempt.attempt, outcome.value["env"]["FROM_CODE"]) == (2, "1")

    def test_jobs_have_the_umask_of_the_launcher(self, tmp_path):
        before = os.umask(0o027)
        try:
            (outcome,) = self.run_with(tmp_path / "sweep", Surroundings())
        finally:
            os.umask(before)
        assert outcome.value["umask"] == 0o027

    def test_jobs_beside_the_sweep_can_write(self, tmp_path):
        sweep = self.make_sweep(tmp_path / "all" / "sweep")
        made = [Job(num, (), tmp_path / "els ewhere" / f"run {num}") for num in range(2)]
        outcomes = self.drive(Work(sweep, made, Same("good")))
        assert [outcome.value for outcome in outcomes] == [0, 10]
        assert (made[1].own / "result.json").exists()

    def test_code_among_what_is_written_is_read_only(self, tmp_path):
        code = tmp_path / "work" / "code"
        code.mkdir(parents=True)
        (code / "file").write_text("code")
        settings = {**self.settings, "code_dirs": [str(HERE), str(code)]}
        sweep = Sweep.create(
            tmp_path / "sweeps" / "one", mode=self.name, settings=settings, command=["x"]
        )
        job = Job(0, (), tmp_path / "work" / "run")
        task = Surroundings([code / "file"], [code, tmp_path / "work"])
        (outcome,) = self.drive(Work(sweep, [job], task), mode=registry.create(self.name, settings))
        assert outcome.value["files"] == ["code"]
        assert outcome.value["writable"] == [False, True]

    def test_threads_are_limited_and_the_hosts_python_is_forgotten(self, tmp_path, monkeypatch):
        monkeypatch.setenv("PYTHONPATH", f"{tmp_path}/hosts:{ROOT}")
        monkeypatch.setenv("PYTHONHOME", sys.prefix)
        (outcome,) = self.run_with(tmp_path / "sweep", Surroundings(), cpus_per_job=1)
        found = outcome.value["env"]
        sweep = Sweep.open(tmp_path / "sweep")
        assert (found["OMP_NUM_THREADS"], found["LAUNCHKIT_TAG"]) == ("1", sweep.tag)
        assert f"{tmp_path}/hosts" not in found["PYTHONPATH"]
        assert "PYTHONHOME" not in found

    def test_nothing_is_left_but_what_the_sweep_keeps(self, tmp_path, monkeypatch):
        temporary = tmp_path / "temporary"
        temporary.mkdir()
        monkeypatch.setenv("TMPDIR", str(temporary))
        monkeypatch.setattr(tempfile, "tempdir", None)
        self.run_with(tmp_path / "sweep", Same("good"), 3)
        sweep = Sweep.open(tmp_path / "sweep")
        assert not (sweep.own / "unpacked").exists()
        assert not (sweep.own / "carriers").exists()
        assert list(temporary.iterdir()) == []
