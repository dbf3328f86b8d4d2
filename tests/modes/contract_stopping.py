"""What every mode promises of a sweep that is stopped."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from engine_helpers import PATIENCE_S, environment, is_alive, wait_until
from mode_case import ModeCase, end_of, states, wait_for_end_of
from mode_tasks import Act

from launchkit import drive, driver
from launchkit import job as jobs
from launchkit.display.progress import Progress
from launchkit.job import JobError, JobState
from launchkit.logging import Logger
from launchkit.modes.base import Stop
from launchkit.runner import Work


def poll_until_ended(mode, nums):
    """Return how jobs have ended, as the mode says."""
    ended = {}
    deadline = time.monotonic() + PATIENCE_S
    while set(nums) - ended.keys() and time.monotonic() < deadline:
        found = mode.poll(1.0)
        assert not found.keys() & ended.keys(), "a job has ended twice"
        ended.update(found)
    return ended


class StoppingContract(ModeCase):
    """Jobs that are cancelled, one by one or with the whole sweep."""

    def _submit(self, sweep, actions):
        mode, made = self.make_mode(), self.make_jobs(sweep, range(len(actions)))
        self.submit(mode, sweep, made, Act(dict(enumerate(actions))))
        return mode, made

    def _poll_until_blocked(self, mode, sweep, nums):
        pids = []
        for num in nums:
            wait_until(
                lambda: mode.poll(0.01) or self.pids(sweep.directory, num),  # noqa: B023
                f"job {num} to block",
            )
            pids += self.pids(sweep.directory, num)
        return pids

    def test_what_waits_and_what_runs_can_be_cancelled(self, tmp_path):
        sweep = self.make_sweep(tmp_path / "sweep")
        first = "block" if self.own_process else "good"
        mode, made = self._submit(sweep, [first, first, "good", "good"])
        pids = []
        if self.own_process:
            pids = self._poll_until_blocked(mode, sweep, (0, 1))
            assert len(pids) == 4
            assert all(is_alive(pid) for pid in pids)
            assert sorted(mode.running()) == [0, 1]
        else:
            assert [*mode.poll(0.0), *mode.poll(0.0)] == [0, 1]
        waiting = range(0 if self.own_process else 2, 4)
        mode.cancel([*waiting, 99], 30.0, Stop())
        attempts = poll_until_ended(mode, waiting)
        assert sorted(attempts) == list(waiting)
        for num, attempt in attempts.items():
            assert attempt.state is JobState.CANCELLED
            assert jobs.read(made[num].directory) == attempt
        wait_for_end_of(pids)
        assert mode.running() == ()
        assert mode.poll(0.0) == {}

    def test_cancelling_does_not_wait_for_the_jobs_to_end(self, tmp_path):
        if not self.own_process:
            pytest.skip("nobody can ask while a job runs")
        sweep = self.make_sweep(tmp_path / "sweep")
        mode, _ = self._submit(sweep, ["block_stubbornly"])
        (pid,) = self._poll_until_blocked(mode, sweep, [0])
        mode.cancel([0], 1000.0, Stop())
        assert mode.poll(0.0) == {}
        assert is_alive(pid)
        # Asked again, with less patience, it only ends the sooner.
        mode.cancel([0], 0.0, Stop())
        assert poll_until_ended(mode, [0])[0].state is JobState.CANCELLED
        self.see_gone([pid])

    def test_what_it_is_stopped_for_is_its_state_and_its_reason(self, tmp_path):
        sweep = self.make_sweep(tmp_path / "sweep")
        first = "block" if self.own_process else "good"
        mode, made = self._submit(sweep, [first, first, "good"])
        if self.own_process:
            self._poll_until_blocked(mode, sweep, [0, 1])
        else:
            mode.poll(0.0)
        stops = {
            num: Stop(JobState.TIMEOUT, JobError("Timeout", f"reason {num}"))
            for num in ((0, 2) if self.own_process else (1, 2))
        }
        for num, stop in stops.items():
            mode.cancel([num], 30.0, stop)
        attempts = poll_until_ended(mode, stops)
        for num, stop in stops.items():
            attempt = jobs.read(made[num].directory)
            assert (attempt.state, attempt.error) == (JobState.TIMEOUT, stop.error)
            assert attempts[num] == attempt
        if self.own_process:
            mode.cancel([1], 30.0, Stop())
            poll_until_ended(mode, [1])

    def test_cancelling_what_is_unknown_does_nothing(self):
        mode = self.make_mode()
        mode.cancel([7], 0.0, Stop())
        assert mode.poll(0.0) == {}

    # A whole sweep

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    def test_an_interrupted_sweep_stops_all_jobs(self, tmp_path, number):
        program = self.launch(tmp_path / "sweep", ["block", "block", "good"])
        nums = (0, 1) if self.own_process else (0,)
        sweep, pids = self.wait_for_blocks(tmp_path / "sweep", nums)
        program.send_signal(number)
        code, out, err = end_of(program)
        assert (code, out) == (0, "interrupted\n"), err
        assert states(sweep) == ["cancelled"] * 3
        assert "3 cancelled in" in err
        assert driver.current(sweep).released
        wait_for_end_of(pids)

    def test_a_second_interrupt_stops_them_at_once(self, tmp_path):
        if not self.own_process:
            pytest.skip("the first interrupt stops the only job that runs")
        actions = ["block_stubbornly", "block_and_die_at_once", "good"]
        program = self.launch(tmp_path / "sweep", actions)
        sweep, pids = self.wait_for_blocks(tmp_path / "sweep", (0, 1))
        begun = time.monotonic()
        program.send_signal(signal.SIGINT)
        wait_until(lambda: not Path(f"/proc/{pids[1]}").exists(), "the job that obeys to be gone")
        assert is_alive(pids[0])
        program.send_signal(signal.SIGINT)
        code, out, err = end_of(program)
        assert time.monotonic() - begun < drive.GRACE_S
        assert (code, out) == (0, "interrupted\n"), err
        assert states(sweep) == ["cancelled"] * 3
        assert "3 cancelled in" in err
        self.see_gone(pids)

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_a_job_asked_to_stop_completes_the_snapshot_it_writes(self, tmp_path, number):
        program = self.launch(tmp_path / "sweep", ["stopped_in_a_snapshot", "good"])
        # With a second place the other job has long ended.
        if self.own_process:
            path = tmp_path / "sweep" / "1" / ".launchkit" / "result.json"
            wait_until(path.exists, "the other job to end")
        sweep, _ = self.wait_for_blocks(tmp_path / "sweep", [0])
        program.send_signal(number)
        code, out, err = end_of(program)
        assert (code, out) == (0, "interrupted\n"), err
        job = sweep.jobs[0]
        assert jobs.read(job.directory).state is JobState.CANCELLED
        assert job.stdout.read_text() == ""
        logger = Logger()
        logger.open(job.directory, resume=True)
        try:
            assert tuple(logger.restore()) == (3, "whole")
        finally:
            logger.reset()

    def test_no_job_runs_on_when_the_runner_cannot(self, tmp_path):
        class Broken(Progress):
            def ended(self, job, attempt):
                raise BrokenPipeError("nobody reads what is shown")

        sweep = self.make_sweep(tmp_path / "sweep")
        made = self.make_jobs(sweep, range(3))
        task = Act({0: "good", 1: "block", 2: "block"})
        with pytest.raises(BrokenPipeError):
            self.drive(Work(sweep, made, task), progress=Broken(io.StringIO()))
        assert states(sweep) == ["completed", "cancelled", "cancelled"]
        assert driver.current(sweep).released
        wait_for_end_of([pid for num in (1, 2) for pid in self.pids(sweep.directory, num)])

    # On request

    def test_some_jobs_are_cancelled_by_the_command(self, tmp_path):
        actions = ["waits_for_release", "waits_for_release", "good", "good"]
        program = self.launch(tmp_path / "sweep", actions)
        running, chosen = ((0, 1), [0, 2]) if self.own_process else ((0,), [2])
        sweep, _ = self.wait_for_blocks(tmp_path / "sweep", running)
        command = self._cancel(sweep, *chosen)
        if self.own_process:
            wait_until(lambda: states(sweep)[0] == "cancelled", "job 0 to be cancelled")
        else:
            assert "asked" in command.stdout.readline()
        self.release(sweep.directory, 0, 1)
        code, out, err = end_of(program)
        # The rest has run to its end, as if nothing had been.
        assert code == 0, err
        assert "interrupted" not in out
        expected = ["cancelled" if num in chosen else "completed" for num in range(4)]
        assert states(sweep) == expected
        assert end_of(command)[0] == 0

    def test_a_whole_sweep_is_cancelled_by_the_command(self, tmp_path):
        program = self.launch(tmp_path / "sweep", ["waits_for_release"] * 3)
        nums = (0, 1) if self.own_process else (0,)
        sweep, pids = self.wait_for_blocks(tmp_path / "sweep", nums)
        command = self._cancel(sweep)
        if not self.own_process:
            assert "asked" in command.stdout.readline()
            self.release(sweep.directory, 0)
        code, out, err = end_of(program)
        assert (code, out) == (0, "interrupted\n"), err
        assert states(sweep) == (
            ["cancelled"] * 3 if self.own_process else ["completed", "cancelled", "cancelled"]
        )
        assert end_of(command)[0] == 0
        wait_for_end_of(pids)

    def _cancel(self, sweep, *nums):
        command = subprocess.Popen(
            [sys.executable, "-m", "launchkit.cli", "cancel", sweep.directory, *map(str, nums)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        self._programs.append(command)
        return command
