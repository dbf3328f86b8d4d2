"""What every mode promises of a sweep whose launcher is killed, or leaves."""

from __future__ import annotations

import fcntl
import io
import json
import os
import signal
import subprocess
import sys
import termios
import time
from dataclasses import asdict, replace

import pytest
from engine_helpers import PATIENCE_S, environment, is_alive, wait_until
from mode_case import LAUNCHER, ModeCase, changes_of, kill, states, wait_for_end_of
from mode_tasks import Act, Same

from launchkit import cli, drive, driver, files, process_table
from launchkit import detach as detaching
from launchkit import job as jobs
from launchkit.display.progress import Progress
from launchkit.driver import Driven
from launchkit.handle import JobHandle, NotCompleted
from launchkit.job import JobState
from launchkit.policy import Policy
from launchkit.resume import work_of
from launchkit.runner import Work
from launchkit.standing import standing
from launchkit.sweep import Sweep, SweepError


class SurvivalContract(ModeCase):
    """Claims, resuming, and detached sweeps."""

    # One driver at a time

    def test_a_sweep_is_claimed_while_it_runs_and_released_at_its_end(self, tmp_path):
        case = self

        class Second(Progress):
            def ended(self, job, attempt):
                assert driver.current(sweep).alive
                with pytest.raises(Driven, match="is being driven by process") as caught:
                    case.drive(work_of(Sweep.open(sweep.directory)))
                refusals.append(str(caught.value))

        refusals = []
        sweep = self.make_sweep(tmp_path / "sweep")
        work = Work(sweep, self.make_jobs(sweep, [0]), Same("good"))
        (outcome,) = self.drive(work, progress=Second(io.StringIO()))
        assert outcome.attempt.state is JobState.COMPLETED
        assert refusals
        assert f"process {os.getpid()} on " in refusals[0]
        last = driver.current(sweep)
        assert (last.released, last.alive) == (True, False)
        assert last.warden is None or not process_table.is_alive(last.warden)

    def test_a_driver_that_was_taken_for_gone_ends_its_jobs_and_leaves(self, tmp_path, monkeypatch):
        class Overtaken(Progress):
            def ended(self, job, attempt):
                if job.num == 0:
                    other = replace(driver.current(sweep), token="other", pid=77, host="far")
                    files.write_json(sweep.own / "driver-2.json", asdict(other))

        monkeypatch.setattr(drive, "POLL_S", 0.01)
        monkeypatch.setattr(driver, "BEAT_S", 0.0)
        sweep = self.make_sweep(tmp_path / "sweep")
        second = "block" if self.own_process else "good"
        task = Act({0: "good", 1: second, 2: "good"})
        work = Work(sweep, self.make_jobs(sweep, range(3)), task)
        with pytest.raises(Driven, match="is being driven by process 77 on far"):
            self.drive(work, progress=Overtaken(io.StringIO()))
        wait_for_end_of(self.pids(sweep.directory, 1))
        assert states(sweep)[0] == "completed"
        assert not any(attempt.state is JobState.RUNNING for attempt in sweep.attempts().values())
        # It has not released what is another's.
        assert (driver.current(sweep).pid, driver.current(sweep).released) == (77, False)

    # A launcher that is killed

    def test_after_a_kill_only_what_has_not_completed_is_run_again(self, tmp_path):
        blocking = (1, 2) if self.own_process else (1,)
        actions = ["good", *["block_at_first"] * len(blocking), "good", "good"]
        program = self.launch(tmp_path / "sweep", actions)
        sweep, pids = self.wait_for_blocks(tmp_path / "sweep", blocking)
        kill(program)
        if self.own_process:
            wait_for_end_of(pids)
        last = driver.current(sweep)
        assert (last.released, last.alive) == (False, False)
        known = standing(sweep)
        assert str(known[0].state) == "completed"
        assert {str(known[num].state) for num in blocking} == {"lost"}
        first_run = {job.num: list(jobs.events(job.directory)) for job in sweep.jobs}

        sweep = Sweep.open(sweep.directory)
        work = work_of(sweep)
        assert [job.num for job in work.jobs] == list(range(1, len(actions)))
        outcomes = self.drive(Work(sweep, sweep.jobs, work.task, resumed=True, saved=True))
        assert [outcome.value for outcome in outcomes] == [10 * n for n in range(len(actions))]
        assert [outcome.attempt.attempt for outcome in outcomes] == (
            [2 if num in blocking else 1 for num in range(len(actions))]
        )
        for num in blocking:
            events = [state for _, state in changes_of(sweep.jobs[num])]
            assert events == ["running", "lost", "pending", "running", "completed"]
        assert list(jobs.events(sweep.jobs[0].directory)) == first_run[0]
        # Whatever it left is ended before a second attempt begins.
        wait_for_end_of(pids)
        assert driver.current(sweep).released

    def test_a_job_that_is_run_again_keeps_its_directory_and_its_earlier_logs(self, tmp_path):
        task = Same("fails_twice")
        for attempt in (1, 2, 3):
            if attempt == 1:
                (outcome,) = self.run(tmp_path / "sweep", task, 1)
                (outcome.job.directory / "progress.csv").write_text("epoch\n1\n")
            else:
                (outcome,) = self.drive(work_of(Sweep.open(tmp_path / "sweep")))
            assert outcome.job.stdout.read_text() == f"attempt {attempt}\n"
        assert str(outcome.attempt.state) == "completed"
        assert (outcome.job.directory / "progress.csv").read_text() == "epoch\n1\n"
        logs = sorted(path.name for path in outcome.job.own.glob("stdout*"))
        assert logs == ["stdout.1.log", "stdout.2.log", "stdout.log"]

    def test_completed_jobs_are_run_again_if_that_is_asked_for(self, tmp_path):
        self.run(tmp_path / "sweep", Same("good"), 3)
        sweep = Sweep.open(tmp_path / "sweep")
        assert work_of(sweep).jobs == ()
        outcomes = self.drive(work_of(sweep, only=[1], again=True))
        assert [(outcome.job.num, outcome.attempt.attempt) for outcome in outcomes] == [(1, 2)]
        assert [attempt.attempt for attempt in sweep.attempts().values()] == [1, 2, 1]

    def test_a_request_that_nobody_heard_does_not_stop_a_later_run(self, tmp_path):
        program = self.launch(tmp_path / "sweep", ["block_at_first", "good"])
        sweep, _ = self.wait_for_blocks(tmp_path / "sweep", [0])
        os.kill(program.pid, signal.SIGSTOP)  # it hears nothing any more
        assert cli.main(["cancel", str(sweep.directory), "--timeout", "0"]) == 1
        kill(program)
        outcomes = self.drive(work_of(Sweep.open(sweep.directory)))
        assert {outcome.attempt.state for outcome in outcomes} == {JobState.COMPLETED}

    def test_what_a_killed_launcher_left_can_be_cancelled(self, tmp_path, capsys):
        program = self.launch(tmp_path / "sweep", ["block", "block", "good"])
        nums = (0, 1) if self.own_process else (0,)
        sweep, _ = self.wait_for_blocks(tmp_path / "sweep", nums)
        kill(program)
        assert cli.main(["cancel", str(sweep.directory)]) == 0
        assert states(sweep) == ["cancelled"] * 3
        assert "3 cancelled" in capsys.readouterr().out

    # A launcher that leaves

    def test_a_detached_sweep_outlives_its_launcher_and_its_terminal(self, tmp_path):
        directory = tmp_path / "sweep"
        if not self.own_process:
            sweep = self.make_sweep(directory)
            work = Work(sweep, self.make_jobs(sweep, [0]), Same("good"))
            with pytest.raises(ValueError, match=rf"detach is true, and mode '{self.name}'"):
                detaching.detach(work, self.make_mode(), Policy())
            assert not (directory / "0").exists()
            return
        actions = ["waits_for_release", "waits_for_release", "good", "raises"]
        supervisor = self._leave_in_a_terminal(directory, actions)
        sweep, pids = self.wait_for_blocks(directory, (0, 1))
        assert is_alive(supervisor)
        assert driver.current(sweep).pid == supervisor
        handles = [JobHandle(sweep, job) for job in sweep.jobs]
        assert [str(handle.state) for handle in handles[:2]] == ["running"] * 2
        assert {str(handle.state) for handle in handles[2:]} <= {"pending", "submitted"}
        with pytest.raises(NotCompleted, match=r"job 2 is (pending|submitted)"):
            _ = handles[2].value
        with pytest.raises(TimeoutError, match="job 0 is running after 0 s"):
            handles[0].wait(0)
        with pytest.raises(Driven):
            self.drive(work_of(sweep))
        self.release(directory, 0, 1)
        ends = [handle.wait(PATIENCE_S) for handle in handles]
        assert [str(attempt.state) for attempt in ends] == ["completed"] * 3 + ["failed"]
        assert [handle.value for handle in handles[:3]] == [0, 10, 20]
        wait_for_end_of([supervisor, *pids])
        assert driver.current(sweep).released
        log = (sweep.own / "supervisor.log").read_text()
        assert "launchkit: 4 jobs, mode" in log
        assert "3 completed, 1 failed in" in log
        assert "Traceback" not in log

    def test_a_detached_sweep_can_be_cancelled_and_resumed(self, tmp_path):
        if not self.own_process:
            pytest.skip("it cannot be detached")
        directory = tmp_path / "sweep"
        supervisor = self._leave_in_a_terminal(directory, ["block_at_first", "good", "good"])
        sweep, pids = self.wait_for_blocks(directory, [0])
        handle = JobHandle(sweep, sweep.jobs[0])
        assert cli.main(["cancel", str(directory)]) == 0
        assert handle.wait(PATIENCE_S).state is JobState.CANCELLED
        wait_for_end_of([supervisor, *pids])
        assert driver.current(sweep).released
        supervisor = self._leave_in_a_terminal(directory, [], resume=True)
        assert handle.wait(PATIENCE_S).state is JobState.COMPLETED
        assert handle.attempt.attempt == 2
        wait_for_end_of([supervisor])
        assert states(sweep) == ["completed"] * 3

    def test_no_process_is_left_when_the_supervisor_is_killed(self, tmp_path):
        if not self.own_process:
            pytest.skip("it cannot be detached")
        directory = tmp_path / "sweep"
        supervisor = self._leave_in_a_terminal(directory, ["block_at_first"] * 2)
        sweep, pids = self.wait_for_blocks(directory, (0, 1))
        os.kill(supervisor, signal.SIGKILL)
        wait_for_end_of([supervisor, *pids])
        assert {str(attempt.state) for attempt in standing(sweep).values()} == {"lost"}
        outcomes = self.drive(work_of(Sweep.open(directory)))
        assert [outcome.value for outcome in outcomes] == [0, 10]

    def test_what_forbids_a_detached_sweep_is_said_before_the_launcher_leaves(self, tmp_path):
        if not self.own_process:
            pytest.skip("it cannot be detached")
        sweep = self.make_sweep(tmp_path / "sweep")
        with driver.Claim(sweep, print), pytest.raises(SweepError) as caught:
            work = Work(sweep, self.make_jobs(sweep, [0]), Same("good"))
            detaching.detach(work, self.make_mode(), Policy())
        assert f"is being driven by process {os.getpid()}" in str(caught.value)
        assert not (sweep.directory / "0").exists()

    def _leave_in_a_terminal(self, directory, actions, **more) -> int:
        """Detach a sweep in a terminal, close that, and return the supervisor's process."""
        master, terminal = os.openpty()
        wanted = {
            "directory": str(directory),
            "mode": self.name,
            "settings": dict(self.settings),
            "actions": actions,
            "detach": True,
            **more,
        }
        launcher = subprocess.Popen(
            [sys.executable, LAUNCHER, json.dumps(wanted)],
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            env=environment(),
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(terminal)
        try:
            said = b""
            deadline = time.monotonic() + PATIENCE_S
            while b"\n" not in said.partition(b"supervisor")[2]:
                assert time.monotonic() < deadline, said
                said += os.read(master, 1024)
        finally:
            os.close(master)
            wait_until(lambda: launcher.poll() is not None, "the launcher to leave")
        # The terminal's end is the launcher's, and nobody else's.
        assert launcher.returncode in (0, -1)
        return int(said.partition(b"supervisor")[2].split()[0])
