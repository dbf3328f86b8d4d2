"""What every mode promises. A mode is tested by a subclass that names it."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

import pytest
from contract_policy import PolicyContract
from contract_stopping import StoppingContract
from contract_survival import SurvivalContract
from mode_case import ModeCase
from mode_tasks import BAD_JOBS, Act, Same, Unpicklable

from launchkit import dry_run, process_table
from launchkit import job as jobs
from launchkit.job import Job, JobState
from launchkit.modes import registry
from launchkit.payload import PayloadError
from launchkit.policy import Policy
from launchkit.runner import Work
from launchkit.sweep import Sweep


class JobsContract(ModeCase):
    """How jobs run that nobody disturbs, and how bad ones end."""

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
        outcomes = self.drive(Work(sweep, made, Same("good")))
        assert [(outcome.job.num, outcome.value) for outcome in outcomes] == (
            [(4, 40), (0, 0), (2, 20)]
        )

    def test_a_later_batch_joins_the_sweep(self, tmp_path):
        sweep, mode = self.make_sweep(tmp_path / "sweep"), self.make_mode()
        for nums, action in (([0, 1], "good"), ([2], "where"), ([3, 4], "good")):
            made = self.make_jobs(sweep, nums)
            outcomes = self.drive(Work(sweep, made, Same(action)), mode=mode)
            assert [outcome.job.num for outcome in outcomes] == nums
        assert [known.num for known in Sweep.open(sweep.directory).jobs] == [0, 1, 2, 3, 4]
        assert len(sweep.select(JobState.COMPLETED)) == 5

    def test_directories_are_made_however_deep(self, tmp_path):
        sweep = self.make_sweep(tmp_path / "sweep")
        deep = Job(0, (), sweep.directory / "lr=0.1,a=[1, 2]" / "ü" / "0")
        self.drive(Work(sweep, [deep], Same("good")))
        assert (deep.directory / ".launchkit" / "state.json").exists()

    def test_state_and_events_say_where_and_when(self, tmp_path):
        before = time.time()
        (outcome,) = self.run(tmp_path / "sweep", Same("where"), 1)
        attempt = jobs.read(outcome.job.directory)
        assert attempt == outcome.attempt
        assert (attempt.state, attempt.exit_code, attempt.error, attempt.attempt) == (
            (JobState.COMPLETED, 0, None, 1)
        )
        assert attempt.host in self.hosts(tmp_path / "sweep")
        assert attempt.pid == outcome.value[0]
        assert process_table.here(attempt.process) == attempt.pid
        assert before <= attempt.started <= attempt.ended <= time.time()
        events = list(jobs.events(outcome.job.directory))
        assert [event["state"] for event in events][-2:] == ["running", "completed"]
        assert {event["attempt"] for event in events} == {1}
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
        outcomes = self.drive(Work(sweep, made, Same("good")))
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

    # Its files

    def test_what_it_writes_is_for_the_owner_only(self, tmp_path):
        before = os.umask(0)
        try:
            outcomes = self.run(tmp_path / "sweep", Act({0: "chatty", 1: "raises", 2: "where"}), 3)
        finally:
            os.umask(before)
        sweep = Sweep.open(tmp_path / "sweep")
        own = [sweep.own, *(outcome.job.own for outcome in outcomes)]
        found = {path for place in own for path in [place, *place.rglob("*")]}
        names = {path.name for path in found}
        assert {"payload.pkl", "state.json", "events.jsonl", "result.json", "stdout.log"} <= names
        modes = {path: stat.S_IMODE(path.stat().st_mode) for path in found}
        assert {path for path in found if modes[path] != (0o700 if path.is_dir() else 0o600)} == (
            set()
        )

    def test_a_dry_run_is_words_and_does_nothing(self, tmp_path):
        sweep = self.make_sweep(tmp_path / "sweep")
        before = sorted(sweep.directory.rglob("*"))
        made = self.make_jobs(sweep, range(2))
        work, mode = Work(sweep, made, Same("good")), self.make_mode()
        text = dry_run.describe(work, mode, Policy())
        assert dry_run.describe(work, mode, Policy()) == text
        assert sorted(sweep.directory.rglob("*")) == before
        assert sweep.jobs == ()
        lines = text.splitlines()
        assert f"2 jobs, mode {self.name}" in lines[0]
        for line in mode.plan(sweep, made, Same("good")).lines:
            assert f"  {line}" in lines
        for job in made:
            assert f"  job {job.num}: x={job.num}" in lines
            assert f"    in {job.directory}" in lines
        # What was looked at can be run.
        assert [outcome.value for outcome in self.drive(work, mode=mode)] == [0, 10]


class ModeContract(JobsContract, StoppingContract, PolicyContract, SurvivalContract):
    """All the promises of a mode; see `ModeCase` for what a subclass sets."""
