"""A sweep's directory that is moved, or copied, before the sweep is resumed."""

from __future__ import annotations

import os
import shutil
import signal

import chaos_ledger
import chaos_verdict
import pytest
from chaos_kill import kill
from chaos_programs import command, ended, engine, hydra, start, wait_for, wait_until

from launchkit import driver, process_table
from launchkit.sweep import Sweep

JOBS, STEPS = 3, 20
TRAIN = [f"--jobs={JOBS}", f"--steps={STEPS}", "--pause=0.02"]


@pytest.fixture
def ledger(tmp_path):
    (tmp_path / "ledger").mkdir()
    return tmp_path / "ledger"


def killed(sweep, ledger, *options):
    """Begin a sweep, and kill its launcher when two jobs have saved something."""
    launcher = engine(sweep, ledger, *TRAIN, *options)
    wait_for(ledger, "saved", 0, 1, program=launcher)
    launcher.kill()
    ended(launcher)


def completed(sweep, ledger):
    assert chaos_verdict.lost(sweep, ledger, JOBS, STEPS) == []
    assert {job.directory.parent for job in Sweep.open(sweep).jobs} == {sweep}


@pytest.mark.parametrize(("door", "method"), [("command", "fork"), ("program", "spawn")])
def test_a_sweep_is_resumed_where_it_was_moved_to(tmp_path, ledger, method, door):
    killed(tmp_path / "old", ledger, f"--method={method}")
    (tmp_path / "new").mkdir()
    moved = (tmp_path / "old").rename(tmp_path / "new" / "sweep")
    if door == "command":
        code, said = ended(command("resume", "sweep", cwd=tmp_path / "new"))
    else:
        code, said = ended(engine(moved, ledger, *TRAIN, f"--method={method}"))
    assert code == 0, said
    completed(moved, ledger)
    assert not (tmp_path / "old").exists()


@pytest.mark.parametrize(("door", "method"), [("command", "spawn"), ("program", "fork")])
def test_a_hydra_sweep_with_a_relative_directory(tmp_path, ledger, method, door):
    train = [f"+x={','.join(map(str, range(JOBS)))}", f"+ledger={ledger}", f"+steps={STEPS}"]
    train += ["+pause=0.02", "hydra.launcher.n_jobs=2", f"hydra.launcher.start_method={method}"]
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
    program = hydra("sweeps/one", *train, cwd=tmp_path / "here")
    wait_for(ledger, "saved", 0, 1, program=program)
    program.kill()
    ended(program)
    moved = (tmp_path / "here" / "sweeps" / "one").rename(tmp_path / "there" / "one")
    if door == "command":
        code, said = ended(command("resume", moved))
    else:
        resume = "hydra.launcher.resume=true"
        code, said = ended(hydra("one", *train, resume, cwd=tmp_path / "there"))
    assert code == 0, said
    completed(moved, ledger)
    assert list((tmp_path / "here" / "sweeps").iterdir()) == []


def test_what_a_killed_launcher_has_left_is_ended_from_where_the_sweep_was_moved_to(
    tmp_path, ledger
):
    launcher = engine(tmp_path / "old", ledger, "--act=wait")
    wait_for(ledger, "ready", 0, 1, program=launcher)
    last = driver.current(Sweep.open(tmp_path / "old"))
    kill(last.warden)
    kill(last.process)
    ended(launcher)
    assert chaos_ledger.is_locked(ledger, 0)
    moved = (tmp_path / "old").rename(tmp_path / "new")
    code, said = ended(command("cancel", moved))
    assert code == 0, said
    assert list(chaos_verdict.left_over(Sweep.open(moved), ledger, JOBS)) == []


def test_a_copy_and_its_original_are_resumed_side_by_side(tmp_path, ledger):
    """Each has its own jobs, and ends none of the other's."""
    killed(tmp_path / "one", ledger)
    copies = [tmp_path / "one", tmp_path / "two"]
    shutil.copytree(*copies)
    ledgers = [ledger, tmp_path / "ledger-two"]
    shutil.copytree(*ledgers)
    running = []
    for number, (sweep, book) in enumerate(zip(copies, ledgers, strict=True)):
        running.append(engine(sweep, book, "--act=wait"))
        wait_for(book, "ready", 0, 1, program=running[number])
    alive = [p for num in (0, 1) for p in chaos_ledger.processes(ledger, num, "start")]
    alive += [p for num in (0, 1) for p in chaos_ledger.processes(ledger, num, "child")]
    assert len(alive) == 8, "the original's jobs and their processes go on"
    for launcher in running:
        launcher.send_signal(signal.SIGTERM)
        assert ended(launcher)[0] == 130
    for sweep, book in zip(copies, ledgers, strict=True):
        code, said = ended(engine(sweep, book, *TRAIN))
        assert code == 0, said
        completed(sweep, book)


def test_the_copy_of_a_sweep_that_runs_is_taken_up_and_leaves_it_alone(tmp_path, ledger):
    launcher = engine(tmp_path / "one", ledger, "--act=wait")
    wait_for(ledger, "ready", 0, 1, program=launcher)
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    impatient = (
        "import sys; from launchkit import cli, driver; driver.SILENT_S = 0.5; "
        "sys.exit(cli.main(sys.argv[1:]))"
    )
    code, said = ended(start("-c", impatient, "cancel", tmp_path / "two"))
    assert (code, launcher.poll()) == (0, None), said
    alive = [p for num in (0, 1) for p in chaos_ledger.processes(ledger, num, "child")]
    assert len(alive) == 6
    states = [str(known.state) for known in Sweep.open(tmp_path / "one").attempts().values()]
    assert states == ["running", "running", "pending"]
    launcher.terminate()
    assert ended(launcher)[0] == 130


def test_a_launcher_whose_sweep_is_moved_away_leaves_nothing_running(tmp_path, ledger):
    launcher = engine(tmp_path / "old", ledger, "--act=wait")
    wait_for(ledger, "ready", 0, 1, program=launcher)
    known = Sweep.open(tmp_path / "old")
    last = driver.current(known)
    (tmp_path / "old").rename(tmp_path / "new")
    os.kill(launcher.pid, signal.SIGTERM)
    ended(launcher)
    wait_until(lambda: not process_table.is_alive(last.warden), "the warden to end")
    assert list(chaos_verdict.left_over(Sweep.open(tmp_path / "new"), ledger, JOBS)) == []
