"""``here_no_doodad``: one job after the other, in this very process."""

from __future__ import annotations

import io
import os
import signal
import threading

import pytest
from contract import ModeContract
from mode_case import states
from mode_tasks import Act, Same

from launchkit import runner
from launchkit.display.progress import Progress
from launchkit.job import JobState
from launchkit.runner import Work


class Here:
    """A job that says where it runs, and what is known of it there."""

    def run(self, job):
        variables = [os.environ.get(f"LAUNCHKIT_{name}") for name in ("SWEEP", "JOB")]
        here = threading.current_thread() is threading.main_thread()
        return [os.getpid(), os.getcwd(), here, *variables]


class TestHere(ModeContract):
    name = "here_no_doodad"
    own_process = False

    def test_the_jobs_run_in_this_process(self, tmp_path):
        for outcome in self.run(tmp_path / "sweep", Same("where"), 2):
            assert outcome.value == (os.getpid(), os.getcwd(), threading.active_count())

    def test_what_they_start_is_known_as_the_sweeps(self, tmp_path):
        before = dict(os.environ)
        sweep = self.make_sweep(tmp_path / "sweep")
        outcomes = self.drive(Work(sweep, self.make_jobs(sweep, range(2)), Here()))
        for num, outcome in enumerate(outcomes):
            assert outcome.value == [os.getpid(), os.getcwd(), True, sweep.id, str(num)]
        assert dict(os.environ) == before

    def test_a_signal_between_two_jobs_cancels_those_that_have_not_begun(self, tmp_path):
        class Signalling(Progress):
            def ended(self, job, attempt):
                if job.num == 0:
                    os.kill(os.getpid(), signal.SIGINT)

        sweep = self.make_sweep(tmp_path / "sweep")
        work = Work(sweep, self.make_jobs(sweep, range(3)), Same("good"))
        with pytest.raises(runner.Interrupted):
            runner.run(work, self.make_mode(), Signalling(io.StringIO()))
        assert states(sweep) == ["completed", "cancelled", "cancelled"]

    def test_output_is_also_shown(self, tmp_path, capsys):
        self.run(tmp_path / "sweep", Act({0: "good", 1: "good"}), 2)
        assert capsys.readouterr().out == "stdout of 0\nstdout of 1\n"

    def test_a_job_starts_when_the_one_before_has_ended(self, tmp_path):
        outcomes = self.run(tmp_path / "sweep", Same("good"), 3)
        times = [at for each in outcomes for at in (each.attempt.started, each.attempt.ended)]
        assert times == sorted(times)

    def test_the_terminal_is_the_jobs_own_meanwhile(self, tmp_path):
        class Terminal(io.StringIO):
            def isatty(self):
                return True

        terminal = Terminal()
        sweep = self.make_sweep(tmp_path / "sweep")
        work = Work(sweep, self.make_jobs(sweep, range(2)), Same("good"))
        self.drive(work, progress=Progress(terminal))
        assert "\r" not in terminal.getvalue()
        assert len(sweep.select(JobState.COMPLETED)) == 2
