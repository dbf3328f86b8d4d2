"""A state that cannot be read for a moment is not taken for another one."""

from __future__ import annotations

import errno

from launchkit.job import Attempt, Job, JobState, change
from launchkit.modes import base


def test_a_file_server_that_does_not_answer_at_once_is_asked_again(tmp_path, monkeypatch):
    job = Job(0, (), tmp_path / "0")
    change(job, JobState.COMPLETED, exit_code=0)
    answers = iter([OSError(errno.EIO, "Input/output error"), OSError(errno.ESTALE, "Stale")])

    def read(directory, read=base.read):
        error = next(answers, None)
        if error is not None:
            raise error
        return read(directory)

    monkeypatch.setattr(base, "read", read)
    monkeypatch.setattr(base, "READ_AGAIN_S", (0.0, 0.0, 0.0))
    assert base.known_state(job).state is JobState.COMPLETED


def test_one_that_never_answers_says_nothing(tmp_path, monkeypatch):
    def read(directory):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(base, "read", read)
    monkeypatch.setattr(base, "READ_AGAIN_S", (0.0,))
    assert base.known_state(Job(0, (), tmp_path)) == Attempt()
