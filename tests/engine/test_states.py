"""The states of all jobs, read at once."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from launchkit import job, states
from launchkit.job import Attempt, Job, JobError, JobState
from launchkit.states import CHUNK, read_all
from launchkit.sweep import Sweep, SweepError


def sweep_of(directory: Path, count: int) -> Sweep:
    sweep = Sweep.create(directory, mode="local", settings={}, command=["train.py"])
    sweep.add(Job(num, (f"x={num}",), directory / str(num)) for num in range(count))
    return sweep


@pytest.mark.parametrize("count", [0, 5, 2 * CHUNK, 3 * CHUNK + 1])
def test_each_job_has_the_state_of_its_own_file(count: int, tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path, count)
    for known in sweep.jobs[::2]:
        job.end(known, JobState.FAILED, exit_code=known.num, error=JobError("E", f"{known.num}"))
    attempts = read_all(sweep)
    assert list(attempts) == list(range(count))
    for num, attempt in attempts.items():
        if num % 2:
            assert attempt == Attempt()
        else:
            assert (attempt.exit_code, attempt.error) == (num, JobError("E", f"{num}"))


def test_a_state_with_a_long_error_is_read_whole(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path, 1)
    message = "x" * (3 * states.BLOCK)
    job.end(sweep.jobs[0], JobState.FAILED, error=JobError("E", message))
    error = read_all(sweep)[0].error
    assert error is not None
    assert error.message == message


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"state": "dreaming"}'])
@pytest.mark.parametrize("count", [1, 3 * CHUNK])
def test_a_damaged_file_is_named(content: str, count: int, tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path, count)
    job.start(sweep.jobs[0])
    path = sweep.jobs[0].own / "state.json"
    path.write_text(content)
    with pytest.raises(SweepError, match=f"{path} is damaged"):
        read_all(sweep)


def test_what_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = sweep_of(tmp_path, 1)

    def refuse(path: str, flags: int) -> int:
        raise PermissionError(errno.EACCES, "Permission denied", path)

    monkeypatch.setattr(states.os, "open", refuse)
    with pytest.raises(SweepError, match=r"cannot read .*state\.json: Permission denied"):
        read_all(sweep)


def test_a_file_replaced_on_a_file_server_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = sweep_of(tmp_path, 1)
    job.start(sweep.jobs[0])
    real, calls = os.open, []

    def stale_once(path: str, flags: int) -> int:
        calls.append(path)
        if len(calls) == 1:
            raise OSError(errno.ESTALE, "Stale file handle", path)
        return real(path, flags)

    monkeypatch.setattr(states.os, "open", stale_once)
    assert read_all(sweep)[0].state is JobState.RUNNING
