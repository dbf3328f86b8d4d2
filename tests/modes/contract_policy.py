"""What every mode promises of jobs that end badly, or do not end: retries and limits."""

from __future__ import annotations

import io
import signal
import time

import pytest
from engine_helpers import wait_until
from mode_case import ModeCase, changes_of, end_of, states, wait_for_end_of
from mode_tasks import Act, Same

from launchkit import drive
from launchkit import job as jobs
from launchkit.display.progress import Progress
from launchkit.job import JobState, Needs
from launchkit.policy import Policy
from launchkit.runner import Work
from launchkit.sweep import Sweep


class Delays(Progress):
    """Remembers the retries it is told of."""

    def __init__(self):
        super().__init__(io.StringIO())
        self.seen = []

    def retrying(self, job, attempt, delay_s, attempts_at_most=None):
        self.seen.append((attempt.attempt, attempts_at_most, delay_s))
        super().retrying(job, attempt, delay_s, attempts_at_most)


class PolicyContract(ModeCase):
    """Retries, time limits, and giving up."""

    def test_a_job_that_fails_twice_completes_in_its_third_attempt(self, tmp_path):
        policy = Policy(max_retries=2, retry_delay_s=0.0)
        task = Act({0: "fails_twice", 1: "good"})
        tried, good = self.run(tmp_path / "sweep", task, 2, policy)
        assert (tried.attempt.state, tried.attempt.attempt, tried.value) == (
            (JobState.COMPLETED, 3, 3)
        )
        assert (good.attempt.state, good.attempt.attempt, good.value) == (
            (JobState.COMPLETED, 1, 10)
        )
        assert jobs.read(tried.job.directory) == tried.attempt
        for attempt in (1, 2, 3):
            for log in (tried.job.stdout, tried.job.stderr):
                name = log if attempt == 3 else jobs.log_of(log, attempt)
                assert name.read_text().splitlines()[0] == f"attempt {attempt}"
        failure = jobs.log_of(tried.job.stderr, 2).read_text()
        assert failure.endswith("ValueError: not yet: attempt 2\n")
        assert changes_of(tried.job) == [
            (1, "running"),
            (1, "failed"),
            (2, "pending"),
            (2, "running"),
            (2, "failed"),
            (3, "pending"),
            (3, "running"),
            (3, "completed"),
        ]

    def test_a_job_that_goes_on_failing_has_so_many_attempts_and_no_more(self, tmp_path):
        policy = Policy(max_retries=1, retry_delay_s=0.0)
        (outcome,) = self.run(tmp_path / "sweep", Same("fails_twice"), 1, policy)
        assert (outcome.attempt.state, outcome.attempt.attempt) == (JobState.FAILED, 2)
        assert outcome.attempt.reason == "ValueError: not yet: attempt 2"
        assert not jobs.log_of(outcome.job.stdout, 2).exists()

    def test_only_what_retry_on_names_is_tried_again(self, tmp_path):
        for states_, attempts in ((("lost", "timeout", "preempted"), 1), (("failed",), 3)):
            policy = Policy(max_retries=5, retry_on=states_, retry_delay_s=0.0)
            (outcome,) = self.run(tmp_path / states_[0], Same("fails_twice"), 1, policy)
            assert outcome.attempt.attempt == attempts

    def test_the_wait_before_a_retry_doubles_and_is_kept(self, tmp_path):
        progress = Delays()
        sweep = self.make_sweep(tmp_path / "sweep")
        work = Work(sweep, self.make_jobs(sweep, [0]), Same("fails_twice"))
        policy = Policy(max_retries=3, retry_delay_s=0.1)
        (outcome,) = self.drive(work, progress=progress, policy=policy)
        assert [seen[:2] for seen in progress.seen] == [(1, 4), (2, 4)]
        delays = [delay for _, _, delay in progress.seen]
        for delay, meant in zip(delays, (0.1, 0.2), strict=True):
            assert 0.9 * meant <= delay <= 1.1 * meant
        events = list(jobs.events(outcome.job.directory))
        failed = [known["time"] for known in events if known["state"] == "failed"]
        again = [known["time"] for known in events if known["state"] == "running"][1:]
        for end, start, delay in zip(failed, again, delays, strict=True):
            assert start - end >= delay - 0.01

    def test_the_others_run_while_one_waits_for_its_retry(self, tmp_path):
        policy = Policy(max_retries=1, retry_delay_s=self.longer_s)
        actions = {0: "fails_twice", **dict.fromkeys(range(1, 5), "good")}
        outcomes = self.run(tmp_path / "sweep", Act(actions), 5, policy)
        assert {outcome.attempt.state for outcome in outcomes[1:]} == {JobState.COMPLETED}
        assert max(outcome.attempt.ended for outcome in outcomes[1:]) < outcomes[0].attempt.started

    def test_a_signal_ends_the_wait_for_a_retry(self, tmp_path):
        policy = {"max_retries": 1, "retry_delay_s": 1000.0}
        begun = time.monotonic()
        program = self.launch(tmp_path / "sweep", ["raises"], policy=policy)
        events = tmp_path / "sweep" / "0" / ".launchkit" / "events.jsonl"
        wait_until(lambda: events.exists() and "failed" in events.read_text(), "job 0 to fail")
        wait_until(lambda: "attempt 2" in program.stderr.readline(), "the retry to be announced")
        program.send_signal(signal.SIGINT)
        code, out, err = end_of(program)
        assert time.monotonic() - begun < 900
        assert (code, out) == (0, "interrupted\n"), err
        attempt = jobs.read(events.parents[1])
        assert (attempt.state, attempt.attempt) == (JobState.FAILED, 1)

    # Time limits

    def test_a_job_that_takes_too_long_ends_as_timeout(self, tmp_path):
        if not self.own_process:
            with pytest.raises(ValueError, match=rf"timeout_min is 0\.02.*'{self.name}' cannot"):
                self.run(tmp_path / "sweep", Same("good"), 1, Policy(timeout_min=0.02))
            assert not (tmp_path / "sweep" / "0").exists()
            return
        sweep = self.make_sweep(tmp_path / "sweep")
        made = self.make_jobs(sweep, range(2))
        made[1] = jobs.Job(1, (), made[1].directory, Needs(timeout_min=1000.0))
        work = Work(sweep, made, Act({0: "block", 1: "good"}))
        slow, good = self.drive(work, policy=Policy(timeout_min=0.015))
        assert str(slow.attempt.state) == "timeout"
        assert slow.attempt.reason == "TimeLimit: it ran for more than 0.015 min"
        assert good.attempt.state is JobState.COMPLETED
        wait_for_end_of(self.pids(sweep.directory, 0))

    def test_a_job_may_have_a_time_limit_of_its_own(self, tmp_path):
        sweep = self.make_sweep(tmp_path / "sweep")
        first, second = self.make_jobs(sweep, range(2))
        limited = jobs.Job(0, (), first.directory, Needs(timeout_min=0.01))
        work = Work(sweep, [limited, second], Act({0: "block", 1: "good"}))
        if not self.own_process:
            with pytest.raises(ValueError, match=r"timeout_min is 0\.01"):
                self.drive(work)
            return
        outcomes = self.drive(work, policy=Policy(timeout_min=1000.0))
        assert [str(outcome.attempt.state) for outcome in outcomes] == ["timeout", "completed"]
        assert outcomes[0].attempt.error.message == "it ran for more than 0.01 min"

    def test_a_job_that_ignores_its_time_limit_is_killed_after_the_grace(
        self, tmp_path, monkeypatch
    ):
        if not self.own_process:
            pytest.skip("nobody can end such a job")
        monkeypatch.setattr(drive, "GRACE_S", 0.2)
        policy = Policy(timeout_min=0.01)
        (outcome,) = self.run(tmp_path / "sweep", Same("block_stubbornly"), 1, policy)
        assert (str(outcome.attempt.state), outcome.attempt.exit_code) == ("timeout", -9)

    def test_a_job_that_took_too_long_can_be_tried_again(self, tmp_path):
        if not self.own_process:
            pytest.skip("it is refused")
        # On a busy machine even a good attempt may take too long.
        policy = Policy(timeout_min=0.015, max_retries=9, retry_on=("timeout",), retry_delay_s=0.0)
        (outcome,) = self.run(tmp_path / "sweep", Same("block_at_first"), 1, policy)
        assert str(outcome.attempt.state) == "completed"
        assert outcome.attempt.attempt >= 2
        events = [state for _, state in changes_of(outcome.job)]
        assert events[-4:] == ["timeout", "pending", "running", "completed"]

    # Giving up

    def test_with_fail_fast_the_first_failure_stops_the_sweep(self, tmp_path):
        actions = ["raises_beside_the_next", "block", "good", "good"]
        if not self.own_process:
            actions[0] = "raises"
        progress = Progress(stream := io.StringIO())
        sweep = self.make_sweep(tmp_path / "sweep")
        made = self.make_jobs(sweep, range(4))
        work = Work(sweep, made, Act(dict(enumerate(actions))))
        outcomes = self.drive(work, progress=progress, policy=Policy(fail_fast=True))
        assert states(sweep) == ["failed", "cancelled", "cancelled", "cancelled"]
        assert [outcome.attempt for outcome in outcomes] == list(sweep.attempts().values())
        assert outcomes[0].attempt.reason.startswith("ValueError: boom")
        # What waited has never started; only what ran may have been asked to stop.
        for outcome in outcomes[2 if self.own_process else 1 :]:
            assert outcome.attempt.started is None
            assert outcome.attempt.reason == "GaveUp: 1 job failed"
            assert not outcome.job.stdout.exists()
        assert "stopping: 1 job failed, and no more may" in stream.getvalue()
        wait_for_end_of(self.pids(sweep.directory, 1))

    def test_as_many_failures_as_allowed_stop_nothing_and_one_more_does(self, tmp_path):
        actions = ["raises", "raises", "good", "raises", "good", "good", "good", "good"]
        allowed = self.run(
            tmp_path / "allowed", Act(dict(enumerate(actions))), 8, Policy(max_failures=3)
        )
        assert [outcome.attempt.state.bad for outcome in allowed] == (
            [action == "raises" for action in actions]
        )
        # The third failure can only come after the other two, whatever runs beside them.
        actions = ["raises"] * 3 + ["block" if self.own_process else "good"] * 4 + ["good"]
        stopped = self.run(
            tmp_path / "stopped", Act(dict(enumerate(actions))), 8, Policy(max_failures=2)
        )
        ends = [str(outcome.attempt.state) for outcome in stopped]
        assert ends == ["failed"] * 3 + ["cancelled"] * 5
        assert stopped[7].attempt.started is None
        directory = tmp_path / "stopped"
        wait_for_end_of([pid for num in range(8) for pid in self.pids(directory, num)])

    def test_a_failure_that_is_tried_again_is_none(self, tmp_path):
        policy = Policy(max_retries=2, retry_delay_s=0.0, fail_fast=True)
        task = Act({0: "fails_twice", 1: "good", 2: "good"})
        outcomes = self.run(tmp_path / "sweep", task, 3, policy)
        assert [outcome.attempt.state.bad for outcome in outcomes] == [False] * 3

    def test_a_sweep_that_gave_up_goes_on_where_it_stopped(self, tmp_path):
        self.run(tmp_path / "sweep", Act({0: "raises", 1: "good"}), 1, Policy(fail_fast=True))
        sweep = Sweep.open(tmp_path / "sweep")
        (outcome,) = self.drive(Work(sweep, sweep.jobs, Same("good"), resumed=True))
        assert (outcome.attempt.state, outcome.attempt.attempt) == (JobState.COMPLETED, 2)
