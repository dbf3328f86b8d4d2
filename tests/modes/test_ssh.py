"""``ssh``, to a real sshd."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest
import testbed
from contract import ModeContract
from engine_helpers import is_alive, wait_until
from mode_case import files_below, kill, states, wait_for_end_of
from mode_tasks import Act, Same
from ssh_testbed import CONFIG, home, relay

from launchkit import job as jobs
from launchkit import leftovers
from launchkit.job import Job, JobState, Needs
from launchkit.modes import registry
from launchkit.outside import hosts, trace
from launchkit.resume import work_of
from launchkit.runner import Work
from launchkit.sweep import Sweep, SweepError

HERE = Path(__file__).parent
SETTINGS = {
    "host": testbed.SSH_HOST,
    "ssh_config": CONFIG,
    "n_jobs": 2,
    "code_dirs": [str(HERE)],
}

pytestmark = [pytest.mark.ssh, pytest.mark.doodad]


def left_there(directory: Path) -> list[Path]:
    """Return what the sweeps in a directory here have left on the host."""
    ids = [
        json.loads(path.read_text())["id"]
        for path in files_below(directory, "sweep.json")
        if path.parent.name == ".launchkit"
    ]
    homes = (home(), Path.home())
    return [path for known in ids for at in homes for path in at.glob(f".cache/launchkit/{known}*")]


def base_of(directory: Path) -> Path:
    """Return where a sweep is on the host."""
    known = trace.read(Sweep.open(directory))
    assert known is not None
    return home() / known.base


class SshCase(ModeContract):
    name = "ssh"
    settings: ClassVar = SETTINGS
    pickles = True
    longer_s = 10.0

    @pytest.fixture(autouse=True)
    def _modes_are_closed(self):
        """Close what a test has driven by hand, as the runner would."""
        self.driven = []
        yield
        for mode, sweep in self.driven:
            mode.close(sweep)

    def submit(self, mode, sweep, made, task):
        self.driven.append((mode, sweep))
        super().submit(mode, sweep, made, task)

    def wait_for_blocks(self, directory, nums):
        # What is at home of the others by then is what is known when the launcher is killed.
        found = super().wait_for_blocks(directory, nums)
        for num in nums:
            path = directory / str(num)
            wait_until(lambda: jobs.read(path).state is JobState.RUNNING, f"job {num} to be known")  # noqa: B023
        return found

    def release(self, directory, *nums):
        for num in nums:
            (base_of(directory) / directory.name / f"{num}.go").touch()


class TestSsh(SshCase):
    """All that every mode promises."""


@pytest.fixture
def case():
    made = SshCase()
    made._programs = []
    yield made
    for program in made._programs:
        program.kill()
        program.communicate()


@pytest.fixture(autouse=True)
def _nothing_is_left_there(tmp_path):
    yield
    deadline = time.monotonic() + 10.0
    while left_there(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert left_there(tmp_path) == []


class TestTheConnection:
    def test_a_connection_that_is_cut_costs_no_job(self, tmp_path, case):
        with relay() as way:
            case = _with(case, ssh_args=way.args)
            program = case.launch(tmp_path / "sweep", ["waits_for_release", "waits_for_release"])
            sweep, pids = case.wait_for_blocks(tmp_path / "sweep", (0, 1))
            way.cut()
            case.release(sweep.directory, 0, 1)
            wait_until(lambda: "cannot be reached" in program.stderr.readline(), "it to be said")
            wait_for_end_of(pids)
            time.sleep(1.0)
            assert states(sweep) == ["running", "running"]
            way.mend()
            out, err = program.communicate(timeout=60)
        assert (program.returncode, out) == (0, ""), err
        assert "is reached again" in err
        assert "cannot be reached" not in err  # it was said once
        assert states(sweep) == ["completed", "completed"]
        assert [known.attempt for known in sweep.attempts().values()] == [1, 1]

    def test_a_connection_that_dies_while_all_goes_there_is_made_anew(self, tmp_path, monkeypatch):
        case = SshCase()
        with relay() as way:
            case = _with(case, ssh_args=way.args)
            original, calls = hosts.HostExchange.deliver, []

            def deliver(self, archive):
                calls.append(archive)
                if len(calls) == 1:
                    way.cut()
                    threading.Timer(0.5, way.mend).start()
                original(self, archive)

            monkeypatch.setattr(hosts.HostExchange, "deliver", deliver)
            outcomes = case.run(tmp_path / "sweep", Same("good"), 3)
        assert [outcome.value for outcome in outcomes] == [0, 10, 20]
        assert len(calls) >= 2

    @pytest.mark.parametrize("host", [testbed.SSH_JUMP_HOST, testbed.SSH_ROOT_HOST])
    def test_through_a_jump_host_and_as_root(self, tmp_path, case, host):
        outcomes = _with(case, host=host).run(tmp_path / "sweep", Same("good"), 2)
        assert [outcome.value for outcome in outcomes] == [0, 10]

    def test_without_rsync(self, tmp_path, case, monkeypatch):
        folder = tmp_path / "bin"
        folder.mkdir()
        for place in os.environ["PATH"].split(os.pathsep):
            for program in Path(place).glob("*") if Path(place).is_dir() else ():
                link = folder / program.name
                if program.name != "rsync" and not link.exists():
                    link.symlink_to(program)
        monkeypatch.setenv("PATH", str(folder))
        outcomes = case.run(tmp_path / "sweep", Act({0: "good", 1: "chatty", 2: "raises"}), 3)
        assert states(Sweep.open(tmp_path / "sweep")) == ["completed", "completed", "failed"]
        assert outcomes[1].job.stdout.read_text("utf-8") == "print ü 😀\n"

    def test_a_second_interrupt_ends_the_wait_for_a_host_that_is_away(self, tmp_path, case):
        with relay() as way:
            case = _with(case, ssh_args=way.args)
            program = case.launch(tmp_path / "sweep", ["block", "good"])
            sweep, pids = case.wait_for_blocks(tmp_path / "sweep", [0])
            way.cut()
            program.send_signal(signal.SIGINT)
            time.sleep(0.5)
            program.send_signal(signal.SIGINT)
            out, err = program.communicate(timeout=60)
            assert (program.returncode, out) == (0, "interrupted\n"), err
            assert states(sweep)[0] == "cancelled"
            assert all(is_alive(pid) for pid in pids)
            assert "is still there" in err
            way.mend()
            leftovers.kill_left(sweep)
        assert not any(is_alive(pid) for pid in pids)


class TestTheHost:
    def test_jobs_of_a_host_that_is_killed_are_lost_and_can_be_tried_again(self, tmp_path, case):
        policy = {"max_retries": 1, "retry_delay_s": 0.0, "retry_on": ["lost"]}
        program = case.launch(
            tmp_path / "sweep", ["block_at_first", "block_at_first"], policy=policy
        )
        sweep, pids = case.wait_for_blocks(tmp_path / "sweep", (0, 1))
        base = base_of(sweep.directory)
        pid = int((base / "sweep/.launchkit/remote/0.pid").read_text().split()[0])
        os.killpg(pid, signal.SIGKILL)
        _, err = program.communicate(timeout=60)
        assert program.returncode == 0, err
        assert states(sweep) == ["completed", "completed"]
        assert [known.attempt for known in sweep.attempts().values()] == [2, 2]
        events = [known["state"] for known in jobs.events(sweep.jobs[0].directory)]
        assert events == ["running", "lost", "pending", "running", "completed"]
        wait_for_end_of(pids)

    def test_a_directory_that_is_taken_away_there_is_a_loss_of_the_jobs(self, tmp_path, case):
        program = case.launch(tmp_path / "sweep", ["block", "block"])
        sweep, pids = case.wait_for_blocks(tmp_path / "sweep", (0, 1))
        base = base_of(sweep.directory)
        host = int((base / "sweep/.launchkit/remote/0.pid").read_text().split()[0])
        shutil.rmtree(base)
        _, err = program.communicate(timeout=60)
        assert program.returncode == 0, err
        assert set(states(sweep)) == {"lost"}
        # Nothing is there any more that says which processes they are.
        os.killpg(host, signal.SIGKILL)
        wait_for_end_of(pids[::2])
        for pid in filter(is_alive, pids):
            os.kill(pid, signal.SIGKILL)
        shutil.rmtree(base, ignore_errors=True)

    def test_two_sweeps_at_once_do_not_know_of_each_other(self, tmp_path, case):
        programs = [case.launch(tmp_path / name, ["waits_for_release"]) for name in ("a", "b")]
        for name in ("a", "b"):
            case.wait_for_blocks(tmp_path / name, [0])
        kill(programs[0])
        (pid,) = case.pids(tmp_path / "a", 0)
        wait_for_end_of([pid])
        case.release(tmp_path / "b", 0)
        _, err = programs[1].communicate(timeout=60)
        assert programs[1].returncode == 0, err
        assert states(Sweep.open(tmp_path / "b")) == ["completed"]

    def test_jobs_beside_the_sweeps_directory_are_run_and_come_home(self, tmp_path, case):
        sweep = case.make_sweep(tmp_path / "around" / "sweep")
        made = [Job(0, (), tmp_path / "around" / "beside"), Job(1, (), sweep.directory / "1")]
        outcomes = case.drive(Work(sweep, made, Same("chatty")))
        assert [outcome.value for outcome in outcomes] == [0, 1]
        assert (tmp_path / "around/beside/.launchkit/stdout.log").read_text("utf-8")
        assert {path.name for path in (tmp_path / "around").iterdir()} == {"sweep", "beside"}

    def test_a_file_that_was_never_finished_stays_there(self, tmp_path, case, caplog):
        (outcome,) = case.run(tmp_path / "sweep", Same("leaves_an_unfinished_file"), 1)
        names = {path.name for path in outcome.job.directory.iterdir()}
        assert names == {".launchkit", "itr_2.pkl"}
        assert not caplog.records

    def test_what_is_on_the_host_stays_if_that_is_asked_for(self, tmp_path, case):
        case = _with(case, keep_remote=True)
        sweep = case.make_sweep(tmp_path / "s")
        for action, resumed in (("raises", False), ("good", True)):
            work = Work(sweep, case.make_jobs(sweep, [0]), Same(action), resumed=resumed)
            (outcome,) = case.drive(work)
            (kept,) = left_there(tmp_path)
            assert (kept / "s/0/.launchkit/state.json").exists()
        assert outcome.attempt.state is JobState.COMPLETED
        shutil.rmtree(kept)

    def test_the_host_is_a_machine_with_slots_of_its_own(self, tmp_path, case):
        sweep = case.make_sweep(tmp_path / "sweep")
        outcomes = _with(case, n_jobs=1).drive(
            Work(sweep, case.make_jobs(sweep, range(3)), Same("good"))
        )
        times = sorted((known.attempt.started, known.attempt.ended) for known in outcomes)
        for (_, end), (start, _) in itertools.pairwise(times):
            assert end <= start


class TestAKilledLauncher:
    def test_nothing_is_left_there_and_what_was_written_is_home(self, tmp_path, case):
        program = case.launch(tmp_path / "sweep", ["chatty", "block", "block"])
        sweep, pids = case.wait_for_blocks(tmp_path / "sweep", (1, 2))
        base = base_of(sweep.directory)
        folder = Path(trace.read(sweep).folder)
        (base / "sweep/1/late.txt").write_text("late")
        kill(program)
        wait_for_end_of(pids)
        wait_until(lambda: trace.read(sweep) is None, "the warden to have done")
        assert not base.exists()
        assert not folder.exists()
        assert (sweep.directory / "1/late.txt").read_text() == "late"
        assert sweep.jobs[0].stdout.read_text("utf-8") == "print ü 😀\n"

    def test_what_cannot_be_ended_now_is_named_and_ended_later(self, tmp_path, case):
        with relay() as way:
            case = _with(case, ssh_args=way.args)
            program = case.launch(tmp_path / "sweep", ["block_at_first", "good"])
            sweep, pids = case.wait_for_blocks(tmp_path / "sweep", [0])
            way.cut()
            kill(program)
            with pytest.raises(SweepError, match=r"may still run on 'launchkit-testbed'"):
                leftovers.kill_left(sweep)
            assert all(is_alive(pid) for pid in pids)
            way.mend()
            outcomes = case.drive(work_of(Sweep.open(sweep.directory)))
            assert {outcome.attempt.state for outcome in outcomes} == {JobState.COMPLETED}
        wait_for_end_of(pids)


class TestRefusals:
    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"host": testbed.SSH_UNKNOWN_HOST}, "its key is not known here"),
            ({"host": testbed.SSH_DENIED_HOST}, "Permission denied"),
            ({"host": testbed.SSH_CLOSED_HOST}, "refused"),
            ({"host": "no-such-host.invalid"}, "check the name"),
            ({"remote_dir": "/proc/x"}, "may not write to /proc"),
            ({"python": "/no/python"}, "has no /no/python"),
            ({"gpus": [0]}, "has no NVIDIA GPU"),
            ({"image": "no-such-image:at-all"}, "no-such-image:at-all"),
        ],
    )
    def test_what_cannot_be_is_said_before_anything_is_written(self, tmp_path, case, change, said):
        case = _with(case, **change)
        sweep = case.make_sweep(tmp_path / "sweep")
        before = sorted(sweep.directory.rglob("*"))
        with pytest.raises(ValueError, match=said):
            case.drive(Work(sweep, case.make_jobs(sweep, [0]), Same("good")))
        assert sorted(sweep.directory.rglob("*")) == before

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"host": ""}, "host is not set"),
            ({"host": "-oProxyCommand=x"}, "that is no name of a host"),
            ({"host": "a b"}, "that is no name of a host"),
            ({"host": 7}, "host is 7"),
            ({"ssh_config": "/no/file"}, "ssh_config is '/no/file'"),
            ({"ssh_args": "-v"}, "ssh_args is '-v'"),
            ({"remote_dir": "../x"}, r"remote_dir is '\.\./x'"),
            ({"remote_dir": ""}, "remote_dir is ''"),
            ({"remote_dir": "~other/x"}, "name another user's directory in full"),
            ({"container": "podman"}, "container is 'podman'"),
            ({"fetch_interval_s": 0}, "fetch_interval_s is 0"),
            ({"image": "x", "inputs": {"/data": "/data"}}, "inputs is set"),
        ],
    )
    def test_a_setting_that_is_wrong_is_named(self, change, said):
        with pytest.raises(ValueError, match=said):
            registry.create("ssh", {**SETTINGS, **change})

    def test_a_job_whose_files_could_not_come_home(self, tmp_path, case):
        sweep = case.make_sweep(tmp_path / "a" / "sweep")
        job = Job(3, (), tmp_path / "elsewhere" / "deep")
        with pytest.raises(ValueError, match=r"job 3 writes to .*elsewhere/deep, which is neither"):
            case.drive(Work(sweep, [job], Same("good")))

    def test_more_gpus_for_a_job_than_there_are(self, tmp_path, case):
        sweep = case.make_sweep(tmp_path / "sweep")
        job = Job(0, (), sweep.directory / "0", Needs(gpus=2))
        with pytest.raises(ValueError, match="has no NVIDIA GPU"):
            case.drive(Work(sweep, [job], Same("good")))


class TestInAContainer:
    @pytest.mark.docker
    def test_of_docker_on_the_host(self, tmp_path, case):
        case = _with(case, host=testbed.SSH_ROOT_HOST, image=testbed.PYTHON_IMAGE)
        outcomes = case.run(tmp_path / "sweep", Act({0: "good", 1: "raises", 2: "good"}), 3)
        assert [str(known.attempt.state) for known in outcomes] == (
            ["completed", "failed", "completed"]
        )
        assert _containers(Sweep.open(tmp_path / "sweep")) == []

    @pytest.mark.docker
    def test_jobs_beside_the_sweeps_directory(self, tmp_path, case):
        case = _with(case, host=testbed.SSH_ROOT_HOST, image=testbed.PYTHON_IMAGE)
        self._beside(tmp_path, case)

    @pytest.mark.apptainer
    def test_jobs_beside_it_in_apptainer(self, tmp_path, case):
        case = _with(case, image=str(testbed.PYTHON_SIF), container="singularity")
        self._beside(tmp_path, case)

    def _beside(self, tmp_path, case):
        sweep = case.make_sweep(tmp_path / "around" / "sweep")
        (outcome,) = case.drive(Work(sweep, [Job(0, (), tmp_path / "around" / "b")], Same("good")))
        assert outcome.attempt.state is JobState.COMPLETED

    @pytest.mark.docker
    def test_whose_launcher_is_killed(self, tmp_path, case):
        case = _with(case, host=testbed.SSH_ROOT_HOST, image=testbed.PYTHON_IMAGE)
        program = case.launch(tmp_path / "sweep", ["block", "good"])
        path = tmp_path / "sweep" / "0.pids"
        wait_until(path.exists, "job 0 to block")
        sweep = Sweep.open(tmp_path / "sweep")
        assert len(_containers(sweep)) == 1
        kill(program)
        wait_until(lambda: trace.read(sweep) is None, "the warden to have done")
        assert _containers(sweep) == []

    @pytest.mark.apptainer
    def test_of_apptainer_on_the_host(self, tmp_path, case, image):
        case = _with(case, image=str(image), container="singularity")
        outcomes = case.run(tmp_path / "sweep", Same("good"), 2)
        assert [outcome.value for outcome in outcomes] == [0, 10]
        assert not _readers(image)

    @pytest.mark.apptainer
    @pytest.mark.parametrize("dies", ["launcher", "container"])
    def test_of_apptainer_that_is_killed(self, tmp_path, case, image, dies):
        case = _with(case, image=str(image), container="singularity", n_jobs=1)
        program = case.launch(tmp_path / "sweep", ["block"])
        wait_until((tmp_path / "sweep" / "0.pids").exists, "job 0 to block")
        sweep = Sweep.open(tmp_path / "sweep")
        assert _readers(image)  # else nothing is shown here
        if dies == "launcher":
            kill(program)
            wait_until(lambda: trace.read(sweep) is None, "the warden to have done")
        else:
            (runner,) = _runs(image)
            os.kill(runner, signal.SIGKILL)
            program.communicate()
            assert states(sweep) == ["lost"]
        assert not _readers(image)


@pytest.fixture
def image():
    """Return an image of Apptainer that only one test uses, for the host's account."""
    path = home() / f"{uuid.uuid4().hex}.sif"
    shutil.copyfile(testbed.PYTHON_SIF, path)
    path.chmod(0o644)
    yield path
    path.unlink()


def _readers(image: Path) -> set[int]:
    """Return the processes that have an image open: those that have mounted it."""
    return _processes(
        lambda own: str(image) in [os.readlink(link) for link in (own / "fd").iterdir()]
    )


def _runs(image: Path) -> set[int]:
    """Return the processes that run programs in an image, as Apptainer names them."""
    named = f"Apptainer runtime parent: {image.name}".encode()
    return _processes(lambda own: (own / "cmdline").read_bytes().startswith(named))


def _processes(wanted: Callable[[Path], bool]) -> set[int]:
    """Return the processes of which their directories in /proc tell what is wanted."""
    found = set()
    for own in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended, or nobody may look
            if wanted(own):
                found.add(int(own.name))
    return found


def _containers(sweep: Sweep) -> list[str]:
    listed = ["docker", "ps", "--all", "--quiet", "--filter", f"name=launchkit-{sweep.id}"]
    return subprocess.run(listed, capture_output=True, text=True, check=True).stdout.split()


def _with(case: SshCase, **changes) -> SshCase:
    case.settings = {**case.settings, **changes}
    return case
