"""``here_no_doodad``: one job after the other, in this very process."""

from __future__ import annotations

import io
import os
import threading

from contract import ModeContract
from mode_tasks import Act, Same

from launchkit import runner
from launchkit.job import JobState
from launchkit.progress import Progress


class TestHere(ModeContract):
    name = "here_no_doodad"
    own_process = False

    def test_the_jobs_run_in_this_process(self, tmp_path):
        for outcome in self.run(tmp_path / "sweep", Same("where"), 2):
            assert outcome.value == (os.getpid(), os.getcwd(), threading.active_count())

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
        made = self.make_jobs(sweep, range(2))
        runner.run(sweep, made, Same("good"), self.make_mode(), Progress(terminal))
        assert "\r" not in terminal.getvalue()
        assert len(sweep.select(JobState.COMPLETED)) == 2
