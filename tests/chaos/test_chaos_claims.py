"""Claims of drivers that cannot be seen from here, as on a file server; and N starters at once."""

from __future__ import annotations

import json
import os
import threading
from dataclasses import asdict, replace

import pytest
from chaos_programs import HERE, ended, engine, start, wait_until

from launchkit import driver, files, process_table
from launchkit.driver import Claim, Driven
from launchkit.sweep import Sweep, SweepError

ELSEWHERE = "01234567.4026531836.17.1"
ROUNDS, STARTERS = 20, 4
REAL_ROUNDS = 2


@pytest.fixture
def sweep(tmp_path):
    return Sweep.create(tmp_path / "sweep", mode="local", settings={}, command=["chaos"])


@pytest.fixture
def says():
    return []


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr(driver, "SILENT_S", 0.5)
    monkeypatch.setattr(driver, "LOOK_S", 0.01)


def of_another_host(sweep, **changes):
    """Leave the claim of a driver on another machine, and return its path."""
    with Claim(sweep, print) as claim:
        pass
    known = replace(
        claim.driver, host="elsewhere", process=ELSEWHERE, released=False, warden=None, **changes
    )
    path = sweep.own / "driver-1.json"
    path.write_text(json.dumps(asdict(known)))
    return path


def test_the_claim_of_a_dead_host_is_passed_over_once_it_has_been_silent(sweep, says):
    of_another_host(sweep)
    assert driver.current(sweep).alive is None
    with Claim(sweep, says.append) as claim:
        assert driver.current(sweep) == claim.driver
    assert len(says) == 1
    assert "on elsewhere" in says[0]


def test_its_warden_on_the_dead_host_keeps_nobody(sweep, says):
    path = of_another_host(sweep)
    values = {**json.loads(path.read_text()), "warden": ELSEWHERE}
    path.write_text(json.dumps(values))
    with Claim(sweep, says.append):
        pass


def test_a_claim_whose_owner_gives_signs_of_life_is_left_alone(sweep, says):
    path = of_another_host(sweep)
    over = threading.Event()

    def beat():
        while not over.wait(0.05):
            os.utime(path)

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        with pytest.raises(Driven, match="on elsewhere"), Claim(sweep, says.append):
            pass
    finally:
        over.set()
        thread.join()


def test_a_claim_that_is_given_up_meanwhile_or_taken_by_another_is_left_alone(sweep, says):
    path = of_another_host(sweep)
    timer = threading.Timer(0.1, lambda: files.write_atomic(path, path.read_text()))
    timer.start()
    with pytest.raises(Driven), Claim(sweep, says.append):
        pass
    timer.join()


def test_a_claim_that_another_host_has_released_is_no_hindrance(sweep, says):
    path = of_another_host(sweep)
    path.write_text(json.dumps({**json.loads(path.read_text()), "released": True}))
    with Claim(sweep, says.append):
        pass
    assert says == []


def test_a_damaged_claim_says_what_to_do(sweep, says):
    path = of_another_host(sweep)
    for damage in ("", "{", "[]", '{"token": 1}'):
        path.write_text(damage)
        with pytest.raises(SweepError, match=r"driver-1\.json is damaged.*remove"):
            Claim(sweep, says.append).__enter__()
    path.unlink()
    with Claim(sweep, says.append):
        pass


def test_a_driver_that_was_taken_for_gone_learns_of_it(sweep, says):
    with Claim(sweep, says.append) as late:
        path = sweep.own / "driver-1.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "process": ELSEWHERE}))
        with Claim(sweep, says.append), pytest.raises(Driven):
            late.beat()


def test_a_process_that_has_the_drivers_id_by_now_is_not_the_driver(sweep, says):
    path = of_another_host(sweep)
    reused = process_table.identity().rpartition(".")[0] + ".1"
    values = {**json.loads(path.read_text()), "process": reused, "warden": reused}
    path.write_text(json.dumps(values))
    with Claim(sweep, says.append):
        pass
    assert says == []


def test_two_hosts_whose_processes_have_the_same_id_do_not_mix_up_their_claims(
    tmp_path, monkeypatch
):
    """Process ids are counted in each container: that of a launcher there is often the same."""
    path, real = tmp_path / "claim", os.link

    def link(source, target):
        monkeypatch.setattr(os, "link", real)
        assert files.write_new(path, "the other's") is True
        return real(source, target)

    monkeypatch.setattr(os, "link", link)
    assert files.write_new(path, "mine") is False
    assert path.read_text() == "the other's"
    assert os.listdir(tmp_path) == ["claim"]


def test_of_many_starters_one_wins_each_time(sweep):
    """Each round some processes claim at the same moment; the winner is then killed, or ends."""
    for number in range(ROUNDS):
        end = "killed" if number % 2 else "released"
        code, said = ended(start(HERE / "chaos_starters.py", sweep.directory, STARTERS, end))
        assert (code, said.split()) == (0, ["won"] + ["refused"] * (STARTERS - 1)), said


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_of_many_launchers_one_runs_the_jobs(tmp_path, method):
    (tmp_path / "ledger").mkdir()
    for number in range(REAL_ROUNDS):
        barrier = tmp_path / f"barrier-{number}"
        options = [f"--method={method}", f"--barrier={barrier}", "--act=wait"]
        launchers = [
            engine(tmp_path / "sweep", tmp_path / "ledger", *options) for _ in range(STARTERS)
        ]
        barrier.touch()
        wait_until(lambda: sum(p.poll() is None for p in launchers) == 1, "all but one to leave")  # noqa: B023
        refused = [ended(process) for process in launchers if process.poll() is not None]
        for code, said in refused:
            assert code == 2, said
            assert "is being driven by" in said or "already holds a sweep" in said, said
        winner = next(process for process in launchers if process.poll() is None)
        assert driver.current(Sweep.open(tmp_path / "sweep")).pid == winner.pid
        winner.terminate()
        assert ended(winner)[0] == 130
