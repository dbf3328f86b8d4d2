"""What every mode promises. A mode is tested by a subclass that names it."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
from engine_helpers import PATIENCE_S, environment, is_alive, start_python, wait_until
from mode_tasks import BAD_JOBS, Act, Same, Unpicklable

from launchkit import job as jobs
from launchkit import runner
from launchkit.job import Job, JobState
from launchkit.modes import registry
from launchkit.payload import PayloadError
from launchkit.progress import Progress
from launchkit.sweep import Sweep

RUN_UNTIL_INTERRUPTED = """
import json, pathlib, signal, sys
# A shell starts what runs in its background with Ctrl-C ignored, a test run for one.
signal.signal(signal.SIGINT, signal.default_int_handler)
directory, mode, settings, actions, *path = sys.argv[1:]
sys.path[:0] = path
from launchkit import runner
from launchkit.job import Job
from launchkit.modes import registry
from launchkit.progress import Progress
from launchkit.sweep import Sweep
from mode_tasks import Act
settings, actions = json.loads(settings), json.loads(actions)
sweep = Sweep.create(pathlib.Path(directory), mode=mode, settings=settings, command=sys.argv)
jobs = [Job(num, (), sweep.directory / str(num)) for num in range(len(actions))]
task = Act(dict(enumerate(actions)))
try:
    runner.run(sweep, jobs, task, registry.create(mode, settings), Progress())
except runner.Interrupted:
    print("interrupted")
"""


class ModeContract:
    """The promises of a mode.

    A subclass sets `name` and `settings`, and the rest where the mode differs. Give it a
    setting for two jobs at a time where the mode runs jobs side by side.
    """

    name: ClassVar[str]
    """The mode's name."""

    settings: ClassVar[Mapping[str, Any]] = {}
    """The mode's settings."""

    own_process: ClassVar[bool] = True
    """Whether a job has a process of its own."""

    pickles: ClassVar[bool] = False
    """Whether the task is pickled."""

    @pytest.fixture(autouse=True)
    def _nothing_is_left(self, tmp_path):
        """End what a failed test has left behind."""
        self._programs = []
        yield
        for program in self._programs:
            program.kill()
            program.communicate()
        for path in tmp_path.rglob("*.pids"):
            for pid in map(int, path.read_text().split()):
                if is_alive(pid):
                    os.kill(pid, signal.SIGKILL)

    def make_mode(self):
        return registry.create(self.name, self.settings)

    def make_sweep(self, directory):
        return Sweep.create(directory, mode=self.name, settings=self.settings, command=["test"])

    def make_jobs(self, sweep, nums):
        return [Job(num, (f"x={num}",), sweep.directory / str(num)) for num in nums]

    def run(self, directory, task, count):
        """Run a sweep of so many jobs to its end."""
        sweep = self.make_sweep(directory)
        made = self.make_jobs(sweep, range(count))
        return runner.run(sweep, made, task, self.make_mode(), Progress(io.StringIO()))

    # What the mode is

    def test_the_registry_knows_it_by_its_name(self):
        assert self.make_mode().name == self.name
        assert registry.find(self.name) is type(self.make_mode())

    def test_it_finds_all_it_needs_here(self):
        assert registry.find(self.name).lacking() == []

    def test_a_setting_that_it_has_not_is_refused_by_name(self):
        with pytest.raises(ValueError, match=f"'{self.name}' has no setting 'n_jbos'"):
            registry.create(self.name, {**self.settings, "n_jbos": 1})

    def test_a_plan_is_words_and_does_nothing(self, tmp_path):
        sweep = self.make_sweep(tmp_path / "sweep")
        before = sorted(sweep.directory.rglob("*"))
        made = self.make_jobs(sweep, range(3))
        plan = self.make_mode().plan(sweep, made, Same("good"))
        assert sorted(sweep.directory.rglob("*")) == before
        assert (plan.sweep, plan.jobs) == (sweep, tuple(made))
        assert plan.lines
        assert all(isinstance(line, str) and "\n" not in line for line in plan.lines)

    # Good jobs

    def test_all_jobs_run_and_their_values_come_back(self, tmp_path):
        outcomes = self.run(tmp_path / "sweep", Same("good"), 5)
        assert [outcome.value for outcome in outcomes] == [0, 10, 20, 30, 40]
        assert {outcome.attempt.state for outcome in outcomes} == {JobState.COMPLETED}

    def test_outcomes_are_in_the_order_of_the_jobs(self, tmp_path):
        sweep = self.make_sweep(tmp_path / "sweep")
        made = self.make_jobs(sweep, [4, 0, 2])
        progress = Progress(io.StringIO())
        outcomes = runner.run(sweep, made, Same("good"), self.make_mode(), progress)
        assert [(outcome.job.num, outcome.value) for outcome in outcomes] == (
            [(4, 40), (0, 0), (2, 20)]
        )

    def test_a_later_batch_joins_the_sweep(self, tmp_path):
        sweep, mode = self.make_sweep(tmp_path / "sweep"), self.make_mode()
        for nums, action in (([0, 1], "good"), ([2], "where"), ([3, 4], "good")):
            made = self.make_jobs(sweep, nums)
            outcomes = runner.run(sweep, made, Same(action), mode, Progress(io.StringIO()))
            assert [outcome.job.num for outcome in outcomes] == nums
        assert [known.num for known in Sweep.open(sweep.directory).jobs] == [0, 1, 2, 3, 4]
        assert len(sweep.select(JobState.COMPLETED)) == 5

    def test_directories_are_made_however_deep(self, tmp_path):
        sweep = self.make_sweep(tmp_path / "sweep")
        deep = Job(0, (), sweep.directory / "lr=0.1,a=[1, 2]" / "ü" / "0")
        runner.run(sweep, [deep], Same("good"), self.make_mode(), Progress(io.StringIO()))
        assert (deep.directory / ".launchkit" / "state.json").exists()

    def test_state_and_events_say_where_and_when(self, tmp_path):
        before = time.time()
        (outcome,) = self.run(tmp_path / "sweep", Same("where"), 1)
        attempt = jobs.read(outcome.job.directory)
        assert attempt == outcome.attempt
        assert (attempt.state, attempt.exit_code, attempt.error, attempt.attempt) == (
            (JobState.COMPLETED, 0, None, 1)
        )
        assert attempt.host == socket.gethostname()
        assert attempt.pid == outcome.value[0]
        assert before <= attempt.started <= attempt.ended <= time.time()
        events = list(jobs.events(outcome.job.directory))
        assert [event["state"] for event in events][-2:] == ["running", "completed"]
        assert events[-1]["time"] == pytest.approx(attempt.ended, abs=5)

    def test_what_a_job_prints_is_in_its_own_log(self, tmp_path):
        for outcome in self.run(tmp_path / "sweep", Same("chatty"), 2):
            assert outcome.job.stdout.read_text("utf-8") == "print ü 😀\n"
            assert outcome.job.stderr.read_text("utf-8") == "error ü\n"

    def test_what_its_children_print_is_there_too(self, tmp_path):
        if not self.own_process:
            pytest.skip("the output of this very process is the terminal's")
        (outcome,) = self.run(tmp_path / "sweep", Same("chatty_outside_python"), 1)
        assert outcome.job.stdout.read_text() == "descriptor one\nchild out\n"
        assert outcome.job.stderr.read_text() == "descriptor two\nchild err\n"

    # Bad jobs

    @pytest.mark.parametrize("name", BAD_JOBS)
    def test_a_bad_job_ends_as_it_should(self, bad_jobs, name):
        expected = BAD_JOBS[name]
        if expected.kills and not self.own_process:
            pytest.skip("it would end this very process")
        outcome = bad_jobs[0][name]
        attempt = jobs.read(outcome.job.directory)
        assert attempt == outcome.attempt
        assert (str(attempt.state), attempt.exit_code) == (expected.state, expected.exit_code)
        assert attempt.ended >= attempt.started
        if expected.error is None:
            assert attempt.error is None
        else:
            assert attempt.error.last_line.startswith(expected.error)
        assert expected.log in outcome.job.stderr.read_text("utf-8")

    def test_bad_jobs_cost_no_other_job(self, bad_jobs):
        bad, good = bad_jobs
        assert len(good) == len(bad) + 1
        assert [outcome.value for outcome in good] == [20 * n for n in range(len(good))]

    def test_a_value_that_cannot_be_pickled_is_kept_as_its_repr(self, bad_jobs):
        assert bad_jobs[0]["unpicklable_return"].value.startswith("{'lock': <unlocked _thread.lock")

    def test_an_exit_without_an_error_has_no_value(self, bad_jobs):
        assert bad_jobs[0]["exit_0"].value is None
        assert bad_jobs[0]["exit_none"].value is None

    def test_a_traceback_begins_at_the_users_code(self, bad_jobs):
        lines = bad_jobs[0]["raises"].job.stderr.read_text().splitlines()
        files = [line.split('"')[1] for line in lines if line.startswith("  File ")]
        assert lines[0] == "Traceback (most recent call last):"
        assert {Path(file).name for file in files} == {"mode_tasks.py"}
        assert lines[-2:] == ["ValueError: boom 1", "and more"]

    def test_a_directory_that_cannot_be_written_costs_its_job_only(self, tmp_path):
        sweep = self.make_sweep(tmp_path / "sweep")
        made = self.make_jobs(sweep, range(3))
        made[1].directory.write_text("a file in the way")
        progress = Progress(io.StringIO())
        outcomes = runner.run(sweep, made, Same("good"), self.make_mode(), progress)
        assert [str(outcome.attempt.state) for outcome in outcomes] == (
            ["completed", "failed", "completed"]
        )
        assert str(made[1].directory) in outcomes[1].attempt.error.message
        assert made[1].directory.read_text() == "a file in the way"

    def test_a_job_that_removes_its_directory_costs_itself_only(self, tmp_path):
        actions = {0: "good", 1: "removes_its_directory", 2: "good"}
        outcomes = self.run(tmp_path / "sweep", Act(actions), 3)
        assert [outcome.attempt.state.bad for outcome in outcomes[::2]] == [False, False]

    def test_a_task_that_cannot_be_pickled(self, tmp_path):
        if not self.pickles:
            outcomes = self.run(tmp_path / "sweep", Unpicklable(), 2)
            assert [outcome.value for outcome in outcomes] == [0, 1]
            return
        with pytest.raises(PayloadError, match="the task function cannot be pickled"):
            self.run(tmp_path / "sweep", Unpicklable(), 2)
        sweep = Sweep.open(tmp_path / "sweep")
        assert len(sweep.select(JobState.PENDING)) == 2
        assert not any(known.directory.exists() for known in sweep.jobs)

    # Stopping

    def test_what_waits_and_what_runs_can_be_cancelled(self, tmp_path):
        sweep, mode = self.make_sweep(tmp_path / "sweep"), self.make_mode()
        made = self.make_jobs(sweep, range(4))
        sweep.add(made)
        first = "block" if self.own_process else "good"
        mode.submit(mode.plan(sweep, made, Act({0: first, 1: first, 2: "good", 3: "good"})))
        pids = []
        if self.own_process:
            for num in (0, 1):
                wait_until(lambda: mode.poll(0.01) or self._pids(sweep, num), "jobs")  # noqa: B023
                pids += self._pids(sweep, num)
            assert len(pids) == 4
            assert all(is_alive(pid) for pid in pids)
            assert sorted(mode.running()) == [0, 1]
        else:
            assert [*mode.poll(0.0), *mode.poll(0.0)] == [0, 1]
        waiting = range(0 if self.own_process else 2, 4)
        attempts = mode.cancel([*waiting, 99], 30.0)
        assert sorted(attempts) == list(waiting)
        for num, attempt in attempts.items():
            assert attempt.state is JobState.CANCELLED
            assert jobs.read(made[num].directory) == attempt
        wait_until(lambda: not any(is_alive(pid) for pid in pids), "the processes to end")
        assert mode.running() == ()
        assert mode.poll(0.0) == {}

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_an_interrupted_sweep_stops_all_jobs(self, tmp_path, number):
        program = self._start(tmp_path / "sweep", ["block", "block", "good"])
        sweep, pids = self._wait_for_blocks(tmp_path / "sweep", 2 if self.own_process else 1)
        program.send_signal(number)
        out, err = program.communicate(timeout=PATIENCE_S)
        assert (program.returncode, out) == (0, "interrupted\n"), err
        assert [str(attempt.state) for attempt in sweep.attempts().values()] == ["cancelled"] * 3
        assert "3 cancelled in" in err
        wait_until(lambda: not any(is_alive(pid) for pid in pids), "the processes to end")

    def test_a_second_interrupt_stops_them_at_once(self, tmp_path):
        if not self.own_process:
            pytest.skip("the first interrupt stops the only job that runs")
        actions = ["block_stubbornly", "block_and_die_at_once", "good"]
        program = self._start(tmp_path / "sweep", actions)
        sweep, pids = self._wait_for_blocks(tmp_path / "sweep", 2)
        begun = time.monotonic()
        program.send_signal(signal.SIGINT)
        wait_until(lambda: not Path(f"/proc/{pids[1]}").exists(), "the job that obeys to be gone")
        assert is_alive(pids[0])
        program.send_signal(signal.SIGINT)
        out, err = program.communicate(timeout=PATIENCE_S)
        assert time.monotonic() - begun < runner.GRACE_S
        assert (program.returncode, out) == (0, "interrupted\n"), err
        assert [str(attempt.state) for attempt in sweep.attempts().values()] == ["cancelled"] * 3
        assert "3 cancelled in" in err
        assert not any(is_alive(pid) for pid in pids)

    def test_no_job_runs_on_when_the_runner_cannot(self, tmp_path):
        class Broken(Progress):
            def ended(self, job, attempt):
                raise BrokenPipeError("nobody reads what is shown")

        sweep = self.make_sweep(tmp_path / "sweep")
        made = self.make_jobs(sweep, range(3))
        task = Act({0: "good", 1: "block", 2: "block"})
        with pytest.raises(BrokenPipeError):
            runner.run(sweep, made, task, self.make_mode(), Broken(io.StringIO()))
        states = [str(attempt.state) for attempt in sweep.attempts().values()]
        assert states == ["completed", "cancelled", "cancelled"]
        pids = [pid for num in (1, 2) for pid in self._pids(sweep, num)]
        wait_until(lambda: not any(is_alive(pid) for pid in pids), "the processes to end")

    def test_cancelling_what_is_unknown_does_nothing(self):
        assert self.make_mode().cancel([7], 0.0) == {}

    def _start(self, directory, actions) -> subprocess.Popen:
        program = start_python(
            RUN_UNTIL_INTERRUPTED,
            directory,
            self.name,
            json.dumps(dict(self.settings)),
            json.dumps(actions),
            Path(__file__).parent,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
        )
        self._programs.append(program)
        return program

    def _wait_for_blocks(self, directory, count) -> tuple[Sweep, list[int]]:
        pids = []
        for num in range(count):
            path = directory / f"{num}.pids"
            wait_until(lambda: path.exists() and path.read_text().endswith("\n"), path)  # noqa: B023
            pids += [int(pid) for pid in path.read_text().split()]
        return Sweep.open(directory), pids

    def _pids(self, sweep, num) -> list[int]:
        path = sweep.directory / f"{num}.pids"
        text = path.read_text() if path.exists() else ""
        return [int(pid) for pid in text.split()] if text.endswith("\n") else []
