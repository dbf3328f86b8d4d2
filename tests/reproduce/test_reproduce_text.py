"""`launchkit reproduce`: finding the run, and saying what it ran."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import user_repository
from user_repository import git

from launchkit.code import code_snapshot
from launchkit.code.environment import Environment
from launchkit.code.program import Program
from launchkit.code.reproduce import find
from launchkit.job import Job, JobState, end, start
from launchkit.logging.variant import write_variant
from launchkit.sweep import Sweep, SweepError

Reproduce = Callable[..., int]
Printed = pytest.CaptureFixture[str]


@pytest.fixture
def users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    users = user_repository.new_repository(tmp_path / "users", train="1\n")
    monkeypatch.setattr(code_snapshot, "program_directory", lambda: users)
    monkeypatch.setattr(Program, "of_this_process", lambda top, environment: Program("train.py"))
    return users


def new_sweep(directory: Path, *jobs: Job, command: tuple[str, ...] = ("train.py", "-m")) -> Sweep:
    sweep = Sweep.create(directory, mode="local", settings={}, command=command)
    sweep.add(jobs)
    code_snapshot.save(sweep)
    for job in jobs:
        start(job)
        end(job, JobState.COMPLETED, exit_code=0)
    return sweep


@pytest.fixture
def sweep(users: Path, tmp_path: Path) -> Sweep:
    directory = tmp_path / "sweep"
    jobs = [Job(num, (f"x={num}",), directory / "deep" / str(num)) for num in range(3)]
    return new_sweep(directory, *jobs)


def test_a_job_is_found_by_its_directory_or_its_number(sweep: Sweep, tmp_path: Path) -> None:
    for job in sweep.jobs:
        assert find(job.directory) == (sweep, job)
        assert find(sweep.directory, job.num) == (sweep, job)
    (tmp_path / "link").symlink_to(sweep.jobs[2].directory)
    assert find(tmp_path / "link")[1] == sweep.jobs[2]


def test_a_sweep_that_was_moved_is_found(sweep: Sweep, tmp_path: Path) -> None:
    sweep.directory.rename(tmp_path / "moved")
    assert find(tmp_path / "moved" / "deep" / "1")[1].num == 1


def test_a_run_of_run_experiment_is_found_beside_its_sweep(users: Path, tmp_path: Path) -> None:
    runs = [tmp_path / "data" / f"exp_{num}" for num in range(2)]
    for run in runs:
        run.mkdir(parents=True)
    for stamp in ("1_sweep", "2_sweep-2"):
        new_sweep(tmp_path / "data" / stamp)
    sweep = new_sweep(
        tmp_path / "data" / "3_sweep", *(Job(num, (), run) for num, run in enumerate(runs))
    )
    assert [find(run) for run in runs] == [(sweep, job) for job in sweep.jobs]


def test_what_is_no_run_is_refused_with_a_reason(sweep: Sweep, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nothing is no directory"):
        find(tmp_path / "nothing")
    with pytest.raises(SweepError, match="users is not the directory of a job"):
        find(tmp_path / "users")
    with pytest.raises(ValueError, match=r"a sweep of many jobs: name one with --job \(0 to 2\)"):
        find(sweep.directory)
    with pytest.raises(ValueError, match=r"without a job 7: name one with --job \(0 to 2\)"):
        find(sweep.directory, 7)
    (sweep.own / "code" / "git.json").unlink()
    with pytest.raises(SweepError, match="has no record of its code"):
        code_snapshot.load(sweep)
    (sweep.own / "code" / "git.json").write_text("[]")
    with pytest.raises(SweepError, match="is damaged"):
        code_snapshot.load(sweep)


def test_it_says_what_ran(
    users: Path, tmp_path: Path, reproduce: Reproduce, capsys: Printed
) -> None:
    (users / "train.py").write_text("2\n")
    (users / "new.py").write_text("3\n")
    (users / ".env").write_text("SECRET=1\n")
    git(users, "remote", "add", "origin", "https://me:word@example.org/users")
    directory = tmp_path / "sweep"
    job = Job(0, ("x=1", "wandb.api_key=abcdef123", "name='a b'"), directory / "0")
    sweep = new_sweep(directory, job)
    assert reproduce(directory / "0") == 0
    text = capsys.readouterr().out
    commit = git(users, "rev-parse", "HEAD")
    for line in (
        rf"sweep       {sweep.id}, started \d{{4}}-.*, mode local",
        r"job         0 of 1, completed",
        r"overrides   x=1 wandb.api_key=\*\*\* name='a b'",
        rf"code        {users}",
        rf"commit      {commit} \(branch trunk\), dirty: a diff of \d+ bytes",
        r"from        https://example.org/users",
        r"untracked   1 file kept \(2 bytes\)",
        r"            new.py",
        r"left out    .env \(9 bytes\): its name is that of a secret",
        r"packages    \d+, all as here",
    ):
        assert re.search(f"^{line}$", text, re.MULTILINE), (line, text)
    assert "abcdef123" not in text
    assert (
        "To run this job again, by itself:\n\n    python train.py x=1 'wandb.api_key=***'" in text
    )


def test_versions_that_differ_here_are_marked(
    sweep: Sweep, reproduce: Reproduce, capsys: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Environment.here()
    packages = {**here.packages, "hydra-core": "0.0.1"}
    del packages["omegaconf"]
    changed = dataclasses.replace(here, python="3.99.0", packages=packages)
    monkeypatch.setattr(Environment, "here", lambda: changed)
    assert reproduce(sweep.directory, "--job", "1") == 0
    text = capsys.readouterr().out
    for line in (
        rf"python      {here.python} \(here: 3.99.0\), .*",
        rf"packages    {len(here.packages)}, 2 of them other than here \(\*\)",
        rf"  \*         hydra-core {here.packages['hydra-core']} \(here: 0.0.1\)",
        rf"  \*         omegaconf {here.packages['omegaconf']} \(not here\)",
    ):
        assert re.search(f"^{line}$", text, re.MULTILINE), (line, text)


def test_of_run_experiment_it_says_the_variant_and_the_programs_command(
    users: Path, tmp_path: Path, reproduce: Reproduce, capsys: Printed
) -> None:
    run = tmp_path / "data" / "exp_0"
    write_variant(run / "variant.json", {"lr": 0.1, "api_key": "abcdef123", "seed": 7})
    (tmp_path / "data" / "exp_0" / "variant.json").rename(tmp_path / "variant.json")
    new_sweep(
        tmp_path / "data" / "exp_sweep", Job(0, ("lr=0.1",), run), command=("grid.py", "--fast")
    )
    (tmp_path / "variant.json").rename(run / "variant.json")
    assert reproduce(run) == 0
    text = capsys.readouterr().out
    assert "has no command of its own" in text
    assert '"lr": 0.1' in text
    assert '"seed": 7' in text
    assert "the program's command was:\n\n    python train.py --fast\n" in text
    assert "abcdef123" not in text


def test_a_terminal_is_not_spoken_to_by_a_files_name(
    users: Path, tmp_path: Path, reproduce: Reproduce, capsys: Printed
) -> None:
    (users / "\x1b[31m\nred").touch()
    new_sweep(tmp_path / "sweep", Job(0, (), tmp_path / "sweep" / "0"))
    assert reproduce(tmp_path / "sweep" / "0") == 0
    assert r"\x1b[31m\nred" in capsys.readouterr().out
