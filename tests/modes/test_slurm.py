"""``slurm_singularity``: packs of jobs as tasks of arrays, on a real Slurm."""

from __future__ import annotations

import itertools
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import ClassVar

import pytest
import testbed
from contract import ModeContract
from engine_helpers import wait_until
from mode_case import ModeCase, end_of, files_below, kill, states
from mode_tasks import Act, Same

from launchkit import job as jobs
from launchkit.job import Job, JobState, Needs
from launchkit.modes import registry
from launchkit.outside import slurm, slurm_arrays, slurm_tasks
from launchkit.outside.packs import Pack
from launchkit.policy import Policy
from launchkit.runner import Work, check
from launchkit.standing import standing
from launchkit.sweep import Sweep

pytestmark = [pytest.mark.slurm, pytest.mark.doodad]

CODE = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "engine")]
REQUEUE_S = 100.0
"""Seconds that Slurm may take to start a task again that was requeued."""


AGAIN = ["submitted", "running", "cancelled", "preempted", "pending", "running", "completed"]
"""What becomes of a job that is asked to end, by a host that knows why, and goes on."""


def queue(sweep) -> dict[str, str]:
    """Return the states of a sweep's tasks that are in Slurm's queue."""
    name = f"--name=launchkit-{sweep.id}"
    listed = subprocess.run(
        ["squeue", "--noheader", "--array", name, "--format=%F_%K %T"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return dict(line.split() for line in listed.splitlines())


def only_task(sweep) -> str:
    """Return the id of a sweep's only running task."""
    (found,) = (task for task, state in queue(sweep).items() if state == "RUNNING")
    return found


def wait_long_for(true, what):
    deadline = time.monotonic() + REQUEUE_S
    while time.monotonic() < deadline:
        if result := true():
            return result
        time.sleep(0.2)
    raise AssertionError(f"waited {REQUEUE_S} s for {what}")


class SlurmCase(ModeCase):
    name = "slurm_singularity"
    settings: ClassVar = {"code_dirs": CODE}
    pickles = True

    def run_with(self, directory, task, count, **settings):
        """Run a sweep with more settings, and return its outcomes."""
        made = {**self.settings, **settings}
        sweep = Sweep.create(directory, mode=self.name, settings=made, command=["test"])
        work = Work(sweep, self.make_jobs(sweep, range(count)), task)
        return self.drive(work, mode=registry.create(self.name, made))

    def refused(self, tmp_path, **settings) -> str:
        """Return why a sweep is refused, before anything is written or submitted."""
        mode = registry.create(self.name, {**self.settings, **settings})
        sweep = self.make_sweep(tmp_path / "sweep")
        work = Work(sweep, self.make_jobs(sweep, range(2)), Same("good"))
        with pytest.raises(ValueError) as caught:
            check(work, mode, Policy())
        assert [path.name for path in sweep.directory.rglob("*")] == [".launchkit", "sweep.json"]
        return str(caught.value)

    @pytest.fixture(autouse=True)
    def _no_task_is_left(self, tmp_path):
        """See to it that no task is left in Slurm, whether the test went well or not."""
        yield
        sweeps = [Sweep.open(path.parents[1]) for path in files_below(tmp_path, "sweep.json")]
        try:
            for sweep in sweeps:
                wait_until(lambda: not queue(sweep), f"the tasks of {sweep.id} to be gone")  # noqa: B023
        finally:
            for sweep in sweeps:
                subprocess.run(["scancel", f"--name=launchkit-{sweep.id}"], check=True)


class TestSlurm(SlurmCase, ModeContract):
    """Each job in a task of its own, two at a time."""

    settings: ClassVar = {"array_parallelism": 2, "code_dirs": CODE}

    def test_the_others_run_while_one_waits_for_its_retry(self, tmp_path):
        # Which of two tasks that wait Slurm starts first is its affair: here, others have begun.
        policy = Policy(max_retries=1, retry_delay_s=3.0)
        actions = {0: "fails_twice", **dict.fromkeys(range(1, 4), "good")}
        outcomes = self.run(tmp_path / "sweep", Act(actions), 4, policy)
        assert {outcome.attempt.state for outcome in outcomes[1:]} == {JobState.COMPLETED}
        assert min(o.attempt.started for o in outcomes[1:]) < outcomes[0].attempt.started


class TestSingularity(SlurmCase):
    """In a container."""

    pytestmark = pytest.mark.apptainer
    settings: ClassVar = {"code_dirs": CODE, "image": str(testbed.PYTHON_SIF)}

    def test_jobs_run_in_the_image_and_are_told_to_end_there(self, tmp_path):
        program = self.launch(tmp_path / "sweep", ["good", "raises", "block"])
        sweep, _ = self.wait_for_blocks(tmp_path / "sweep", [2])
        wait_until(lambda: states(sweep)[:2] == ["completed", "failed"], "the others to end")
        program.send_signal(signal.SIGINT)
        code, out, err = end_of(program)
        assert (code, out) == (0, "interrupted\n"), err
        assert states(sweep) == ["completed", "failed", "cancelled"]

    def test_at_its_time_limit_a_job_ends_in_the_container(self, tmp_path):
        program = self.launch(
            tmp_path / "sweep", ["block"], settings={**self.settings, "max_requeues": 0}
        )
        sweep, _ = self.wait_for_blocks(tmp_path / "sweep", [0])
        subprocess.run(["scancel", "--batch", "--signal=USR1", only_task(sweep)], check=True)
        assert end_of(program)[0] == 0
        assert states(sweep) == ["timeout"]

    def test_an_image_that_does_not_exist_is_refused(self, tmp_path):
        told = self.refused(tmp_path, image="/nowhere/python.sif")
        assert told.startswith(
            "image is '/nowhere/python.sif', and there is no /nowhere/python.sif"
        )

    def test_an_image_without_python_is_refused(self, tmp_path):
        told = self.refused(tmp_path, image=str(testbed.NO_PYTHON_SIF))
        assert "no-python.sif' has no python3.11 or python3 or python" in told


class TestPacks(SlurmCase):
    """Many jobs in a task."""

    settings: ClassVar = {"jobs_per_task": 10, "cpus_per_task": 2, "code_dirs": CODE}

    def test_jobs_share_a_task_and_each_has_its_own_end(self, tmp_path):
        actions = {**dict.fromkeys(range(20), "good"), 3: "raises", 4: "killed", 15: "os_exit_7"}
        sweep = self.make_sweep(tmp_path / "sweep")
        work = Work(sweep, self.make_jobs(sweep, range(20)), Act(actions))
        outcomes = self.drive(work)
        ends = [(str(o.attempt.state), o.attempt.exit_code) for o in outcomes]
        bad = {3: ("failed", 1), 4: ("failed", -9), 15: ("failed", 7)}
        assert ends == [bad.get(num, ("completed", 0)) for num in range(20)]
        assert outcomes[19].value == 190
        lines = (sweep.own / "packs.jsonl").read_text().splitlines()
        assert len(lines) == 2

    def test_jobs_of_a_task_are_cancelled_one_by_one(self, tmp_path):
        program = self.launch(tmp_path / "sweep", ["waits_for_release", "block", "good", "good"])
        sweep, _ = self.wait_for_blocks(tmp_path / "sweep", [0, 1])
        command = [*map(str, (sweep.directory, 1, 2))]
        done = subprocess.run(
            [sys.executable, "-m", "launchkit.cli", "cancel", *command],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        self.release(sweep.directory, 0)
        assert end_of(program)[0] == 0
        assert states(sweep) == ["completed", "cancelled", "cancelled", "completed"]

    def test_what_a_killed_launcher_left_of_a_task_goes_on(self, tmp_path):
        program = self.launch(tmp_path / "sweep", ["block_at_first", "block_at_first", "good"])
        sweep, _ = self.wait_for_blocks(tmp_path / "sweep", [0, 1])
        kill(program)
        wait_until(lambda: not queue(sweep), "the task to be gone")
        wait_until(lambda: str(standing(sweep)[2].state) == "pending", "job 2 to be pending")
        assert [str(known.state) for known in standing(sweep).values()] == (
            ["lost", "lost", "pending"]
        )


class TestArrays(SlurmCase):
    """What Slurm is asked, and what becomes of tasks that it ends."""

    def test_more_jobs_than_an_array_may_have_tasks_are_several_arrays(self, tmp_path, monkeypatch):
        monkeypatch.setattr(slurm, "max_array_size", lambda known: 2)
        sweep = self.make_sweep(tmp_path / "sweep")
        outcomes = self.drive(Work(sweep, self.make_jobs(sweep, range(3)), Same("good")))
        assert [outcome.value for outcome in outcomes] == [0, 10, 20]

    def test_jobs_that_need_more_get_tasks_that_have_it(self, tmp_path):
        sweep = self.make_sweep(tmp_path / "sweep")
        first, second = self.make_jobs(sweep, range(2))
        first = Job(0, (), first.directory, Needs(cpus=2))
        mode = self.make_mode()
        text = "\n".join(mode.plan(sweep, [first, second], Same("good")).details)
        assert "--cpus-per-task=2 --requeue" in text
        assert text.count("sbatch --job-name") == 2
        outcomes = self.drive(Work(sweep, [first, second], Same("good")), mode=mode)
        assert [outcome.value for outcome in outcomes] == [0, 10]

    def test_no_more_tasks_run_at_a_time_than_wanted(self, tmp_path):
        settings = {"array_parallelism": 1}
        outcomes = self.run_with(tmp_path / "sweep", Same("good"), 3, **settings)
        spans = sorted((o.attempt.started, o.attempt.ended) for o in outcomes)
        assert all(end <= begin for (_, end), (begin, _) in itertools.pairwise(spans))

    def test_a_task_that_is_preempted_goes_on_when_there_is_room(self, tmp_path):
        program = self.launch(
            tmp_path / "sweep", ["block_at_first"], settings={**self.settings, "cpus_per_task": 2}
        )
        sweep, _ = self.wait_for_blocks(tmp_path / "sweep", [0])
        other = subprocess.run(
            [
                *("sbatch", "--parsable", "--output=/dev/null", "--cpus-per-task=2"),
                *(f"--partition={testbed.SLURM_HIGH_PARTITION}", "--wrap=sleep 1"),
            ],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        try:
            wait_long_for(lambda: program.poll() is not None, "the sweep to end")
        finally:
            subprocess.run(["scancel", other], check=False)
        assert end_of(program)[0] == 0
        job = sweep.jobs[0]
        events = [known["state"] for known in jobs.events(job.directory)]
        assert events == (AGAIN)
        assert jobs.read(job.directory).attempt == 2

    def test_at_its_time_limit_a_task_goes_on_in_another_run(self, tmp_path):
        program = self.launch(tmp_path / "sweep", ["block_at_first"])
        sweep, _ = self.wait_for_blocks(tmp_path / "sweep", [0])
        subprocess.run(["scancel", "--batch", "--signal=USR1", only_task(sweep)], check=True)
        wait_long_for(lambda: program.poll() is not None, "the sweep to end")
        code, _, err = end_of(program)
        assert code == 0, err
        events = [known["state"] for known in jobs.events(sweep.jobs[0].directory)]
        assert events == (AGAIN)

    def test_a_task_without_requeues_left_ends_as_timeout(self, tmp_path):
        settings = {**self.settings, "max_requeues": 0, "time_in_mins": 7}
        program = self.launch(tmp_path / "sweep", ["block"], settings=settings)
        sweep, _ = self.wait_for_blocks(tmp_path / "sweep", [0])
        subprocess.run(["scancel", "--batch", "--signal=USR1", only_task(sweep)], check=True)
        assert end_of(program)[0] == 0
        attempt = jobs.read(sweep.jobs[0].directory)
        assert attempt.state is JobState.TIMEOUT
        assert "7 min (time_in_mins) was not enough, 0 requeues" in attempt.error.message

    def test_what_somebody_else_cancels_ends_as_cancelled_and_is_not_tried_again(self, tmp_path):
        program = self.launch(
            tmp_path / "sweep",
            ["block", "good", "good"],
            settings={**self.settings, "array_parallelism": 1},
            policy={"max_retries": 3},
        )
        sweep, _ = self.wait_for_blocks(tmp_path / "sweep", [0])
        running = only_task(sweep)
        waiting = sorted(task for task in queue(sweep) if task != running)
        subprocess.run(["scancel", waiting[0]], check=True)
        subprocess.run(["scancel", running], check=True)
        code, _, err = end_of(program)
        assert code == 0, err
        assert states(sweep) == ["cancelled", "cancelled", "completed"]
        for job in sweep.jobs[:2]:
            attempt = jobs.read(job.directory)
            assert "was cancelled, and not by this launcher" in attempt.error.message
            assert attempt.attempt == 1

    def test_a_task_that_slurm_has_forgotten_is_lost(self, tmp_path):
        program = self.launch(tmp_path / "sweep", ["block"])
        sweep, pids = self.wait_for_blocks(tmp_path / "sweep", [0])
        os.kill(program.pid, signal.SIGSTOP)
        # The script first: nobody is there to say how the task ended.
        for pid in self._family(pids[0]):
            os.kill(pid, signal.SIGKILL)
        wait_long_for(lambda: not self._knows(sweep), "Slurm to forget the task")
        os.kill(program.pid, signal.SIGCONT)
        code, _, err = end_of(program)
        assert code == 0, err
        assert states(sweep) == ["lost"]

    def _family(self, pid) -> list[int]:
        """Return a job's process and those above it that are of its task, the highest first."""
        found = []
        while b"slurmstepd" not in (Path(f"/proc/{pid}/cmdline").read_bytes()):
            found.insert(0, pid)
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        return found

    def _knows(self, sweep) -> bool:
        name = f"--name=launchkit-{sweep.id}"
        command = ["squeue", "--noheader", "--states=all", name]
        return bool(subprocess.run(command, capture_output=True, check=True).stdout.strip())


class TestWhere(SlurmCase):
    """Where jobs are that run on the nodes' own Python."""

    def test_a_job_has_the_launchers_working_directory(self, tmp_path, monkeypatch):
        here = Path(CODE[0])
        monkeypatch.chdir(here)
        (outcome,) = self.run(tmp_path / "sweep", Same("where"), 1)
        assert outcome.value[1] == str(here)


class TestAsking(SlurmCase):
    """A controller that is asked seldom, and does not always answer."""

    @pytest.fixture
    def front(self, tmp_path, monkeypatch):
        """Put a program in front of one of Slurm's, and return the file that it writes to."""

        def put(name, text):
            folder = tmp_path / "bin"
            folder.mkdir(exist_ok=True)
            real, calls = shutil.which(name), tmp_path / f"{name}.calls"
            program = folder / name
            program.write_text(f'#!/bin/sh\nreal={real}\necho "$@" >>"{calls}"\n{text}\n')
            program.chmod(0o755)
            monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
            return calls

        return put

    def test_one_question_is_for_all_tasks_and_there_are_few(self, tmp_path, front):
        calls = front("squeue", 'exec "$real" "$@"')
        begun = time.monotonic()
        outcomes = self.run_with(tmp_path / "sweep", Same("good"), 6)
        seconds = time.monotonic() - begun
        assert {outcome.attempt.state for outcome in outcomes} == {JobState.COMPLETED}
        asked = len(calls.read_text().splitlines())
        assert asked <= 2 + seconds / slurm_tasks.ASK_S[0]

    def test_the_longer_a_sweep_the_fewer_questions(self, tmp_path, monkeypatch):
        sweep = self.make_sweep(tmp_path / "sweep")
        (sweep.own / "carriers").mkdir()
        clock = [1000.0]
        asked = []
        monkeypatch.setattr(slurm_tasks.time, "monotonic", lambda: clock[0])
        monkeypatch.setattr(
            slurm_tasks.time, "sleep", lambda seconds: clock.__setitem__(0, clock[0] + seconds)
        )
        monkeypatch.setattr(
            slurm,
            "tasks",
            lambda arrays: asked.append(clock[0]) or [slurm.Seen("7", 0, "RUNNING", "n1")],
        )
        tasks = slurm_tasks.Tasks(
            sweep,
            lambda packs: slurm_arrays.arrays(packs, 1000, None),
            lambda array: "7",
            lambda array: None,
        )
        tasks.add([Pack(0, (0,))])
        assert tasks.wait(3600.0) == []
        pauses = [after - before for before, after in itertools.pairwise(asked)]
        assert pauses[0] < 1.0
        assert 5.0 <= pauses[-1] < 7.0
        assert len(asked) < 3600 / 5 + 100

    def test_a_controller_that_does_not_answer_costs_no_job(self, tmp_path, front, caplog):
        front(
            "squeue", 'echo "slurm_load_jobs error: Unable to contact slurm controller" >&2; exit 1'
        )
        with caplog.at_level(logging.WARNING):
            outcomes = self.run_with(tmp_path / "sweep", Act({0: "good", 1: "raises"}), 2)
        assert [str(o.attempt.state) for o in outcomes] == ["completed", "failed"]
        said = [record.message for record in caplog.records if "Slurm" in record.message]
        assert len(said) == 1
        assert "Slurm does not answer (slurm_load_jobs error: Unable to contact" in said[0]

    def test_an_array_that_was_taken_though_nobody_heard_is_not_submitted_twice(
        self, tmp_path, front, monkeypatch
    ):
        monkeypatch.setattr(slurm_tasks, "SUBMIT_AGAIN_S", 0.2)
        calls = front(
            "sbatch",
            'case "$*" in *--test-only*) exec "$real" "$@" ;; esac\n"$real" "$@" >/dev/null\n'
            'echo "sbatch: error: Batch job submission failed: Socket timed out on send/recv" >&2\n'
            "exit 1",
        )
        (outcome,) = self.run_with(tmp_path / "sweep", Same("good"), 1)
        assert outcome.value == 0
        submissions = [line for line in calls.read_text().splitlines() if "--test" not in line]
        assert len(submissions) == 1

    def test_what_slurm_does_not_take_after_all_fails_and_says_why(self, tmp_path, front):
        front(
            "sbatch",
            'case "$*" in *--test-only*) exec "$real" "$@" ;; esac\n'
            'echo "sbatch: error: Batch job submission failed: No hold permission" >&2; exit 1',
        )
        (outcome,) = self.run_with(tmp_path / "sweep", Same("good"), 1)
        assert outcome.attempt.state is JobState.FAILED
        assert "Batch job submission failed: No hold permission" in outcome.attempt.error.message

    # Without accounting Slurm takes any account and any quality of service.

    @pytest.mark.parametrize(
        ("setting", "said"),
        [
            ("account", "Invalid account or account/partition combination specified"),
            ("qos", "Invalid qos specification"),
        ],
    )
    def test_what_only_accounting_knows_is_named(self, tmp_path, front, setting, said):
        front("sbatch", f'echo "allocation failure: {said}" >&2; exit 1')
        told = self.refused(tmp_path, **{setting: "nope"})
        assert told == f"Slurm refuses the tasks: allocation failure: {said}; {setting} is 'nope'"


class TestRefusals(SlurmCase):
    """What cannot be is said before anything is submitted."""

    @pytest.mark.parametrize(
        ("settings", "named"),
        [
            ({"partition": "nope"}, "partition is 'nope'"),
            ({"constraint": "nope"}, "constraint is 'nope'"),
            ({"gpus": 1}, "gpus is 1"),
            ({"gpus": "a100:2"}, "gpus is 'a100:2'"),
            ({"mem": "999G"}, "mem is '999G'"),
            ({"cpus_per_task": 99}, "cpus_per_task is 99"),
            ({"nodes": 99}, "nodes is 99"),
            ({"sbatch_args": ["--no-such-flag"]}, "sbatch_args is ['--no-such-flag']"),
        ],
    )
    def test_what_the_cluster_does_not_have(self, tmp_path, settings, named):
        told = self.refused(tmp_path, **settings)
        assert told.startswith("Slurm refuses the tasks: ")
        assert told.endswith(named)

    def test_no_slurm(self, tmp_path, monkeypatch):
        monkeypatch.setenv("PATH", str(tmp_path))
        told = self.refused(tmp_path)
        assert "there is no program 'sbatch' on PATH" in told
        assert "mode sss" in told
        lacking = registry.find(self.name).lacking()
        assert "Slurm (no sbatch, squeue, scontrol, scancel on PATH)" in lacking
