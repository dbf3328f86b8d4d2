"""Ctrl-C and SIGTERM, once and twice: no process is left, whatever a job does about it."""

from __future__ import annotations

import json
import os
import signal
import time

import chaos_verdict
import pytest
from chaos_programs import command, ended, engine, hydra, wait_for, wait_until

from launchkit import driver, process_table
from launchkit.drive import GRACE_S
from launchkit.logging import restoring
from launchkit.sweep import Sweep

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
JOBS = 3


@pytest.fixture
def ledger(tmp_path):
    (tmp_path / "ledger").mkdir()
    return tmp_path / "ledger"


def cancelled(sweep, ledger):
    """See to it that all jobs are cancelled, nothing of them is left, and nobody drives them."""
    known = Sweep.open(sweep)
    assert list(chaos_verdict.left_over(known, ledger, JOBS)) == []
    assert [str(attempt.state) for attempt in known.attempts().values()] == ["cancelled"] * JOBS
    assert driver.current(known).alive is False
    code, said = ended(command("status", "--json", sweep))
    assert (code, json.loads(said)["counts"]) == (0, {"cancelled": JOBS})


@pytest.mark.parametrize("number", SIGNALS)
def test_a_launcher_that_is_asked_once(tmp_path, ledger, number):
    launcher = engine(tmp_path / "sweep", ledger, "--act=wait")
    wait_for(ledger, "ready", 0, 1, program=launcher)
    launcher.send_signal(number)
    assert ended(launcher)[0] == 130
    cancelled(tmp_path / "sweep", ledger)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_hydra_program_that_is_asked_once(tmp_path, ledger, number):
    more = ["+x=0,1,2", f"+ledger={ledger}", "+act=wait", "hydra.launcher.n_jobs=2"]
    method = "spawn" if number is signal.SIGTERM else "fork"
    program = hydra(tmp_path / "sweep", *more, f"hydra.launcher.start_method={method}")
    wait_for(ledger, "ready", 0, 1, program=program)
    program.send_signal(number)
    assert ended(program)[0] == 130
    cancelled(tmp_path / "sweep", ledger)


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.parametrize("number", SIGNALS)
def test_a_supervisor_that_is_asked_once(tmp_path, ledger, number, method):
    supervisor = detached(tmp_path / "sweep", ledger, "--act=wait", f"--method={method}")
    os.kill(process_table.here(supervisor), number)
    wait_until(lambda: not process_table.is_alive(supervisor), "the supervisor to end")
    cancelled(tmp_path / "sweep", ledger)


@pytest.mark.parametrize("number", SIGNALS)
def test_jobs_that_ignore_it_end_at_once_when_asked_twice(tmp_path, ledger, number):
    launcher = engine(tmp_path / "sweep", ledger, "--act=stubborn")
    wait_for(ledger, "ready", 0, 1, program=launcher)
    began = time.monotonic()
    launcher.send_signal(number)
    said_that_it_stops(launcher)
    launcher.send_signal(number)
    assert ended(launcher)[0] == 130
    assert time.monotonic() - began < GRACE_S / 2
    cancelled(tmp_path / "sweep", ledger)


def test_a_supervisor_that_is_asked_twice_ends_stubborn_jobs_at_once(tmp_path, ledger):
    supervisor = detached(tmp_path / "sweep", ledger, "--act=stubborn")
    began = time.monotonic()
    log = tmp_path / "sweep" / ".launchkit" / "supervisor.log"
    os.kill(process_table.here(supervisor), signal.SIGTERM)
    wait_until(lambda: "stopping" in log.read_text(), "the supervisor to feel it")
    os.kill(process_table.here(supervisor), signal.SIGTERM)
    wait_until(lambda: not process_table.is_alive(supervisor), "the supervisor to end")
    assert time.monotonic() - began < GRACE_S / 2
    cancelled(tmp_path / "sweep", ledger)


def test_jobs_that_ignore_it_are_killed_when_their_time_is_over(tmp_path, ledger):
    launcher = engine(tmp_path / "sweep", ledger, "--act=stubborn")
    wait_for(ledger, "ready", 0, 1, program=launcher)
    began = time.monotonic()
    launcher.send_signal(signal.SIGTERM)
    assert ended(launcher)[0] == 130
    assert GRACE_S <= time.monotonic() - began < GRACE_S + 5.0
    cancelled(tmp_path / "sweep", ledger)


@pytest.mark.parametrize("is_detached", [False, True])
def test_a_snapshot_that_is_being_saved_is_saved_whole(tmp_path, ledger, is_detached):
    sweep = tmp_path / "sweep"
    if is_detached:
        detached(sweep, ledger, "--act=snapshot")
        code, said = ended(command("cancel", sweep))
        assert (code, "3 cancelled" in said) == (0, True), said
        wait_until(lambda: driver.current(Sweep.open(sweep)).alive is False, "the supervisor")
    else:
        launcher = engine(sweep, ledger, "--act=snapshot")
        wait_for(ledger, "ready", 0, 1, program=launcher)
        launcher.send_signal(signal.SIGTERM)
        assert ended(launcher)[0] == 130
    cancelled(sweep, ledger)
    for num in (0, 1):
        newest = restoring.newest(sweep / str(num))
        assert newest.restored == (1, {"whole": "new", "slow": "pickled"})
        assert not list((sweep / str(num)).glob(".*.tmp"))


def detached(sweep, ledger, *options):
    """Hand a sweep over, and return the identity of its supervisor once two jobs are ready."""
    assert ended(engine(sweep, ledger, "--detach", *options)) == (0, "")
    wait_for(ledger, "ready", 0, 1)
    return driver.current(Sweep.open(sweep)).process


def said_that_it_stops(launcher):
    for line in launcher.stdout:
        if "stopping" in line:
            return
    raise AssertionError("it ended without a word")
