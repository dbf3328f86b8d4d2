"""One process drives a sweep; whoever finds it gone is the next."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from dataclasses import asdict, replace

import pytest
from engine_helpers import PATIENCE_S, run_python, start_python, wait_until

from launchkit import driver, files, process_table
from launchkit.driver import Claim, Driven, current
from launchkit.interrupts import Interrupts
from launchkit.sweep import Sweep, SweepError

OTHER = """
import sys, time
from launchkit.driver import Claim
from launchkit.sweep import Sweep
with Claim(Sweep.open(sys.argv[1]), print) as claim:
    print("claimed", flush=True)
    if sys.argv[2:]:
        claim.guarded_by(sys.argv[2])
        print("guarded", flush=True)
    time.sleep(900)
"""


@pytest.fixture
def sweep(empty_sweep):
    return empty_sweep


@pytest.fixture
def start(sweep):
    """Start another driver, which holds its claim until it is killed."""
    started = []

    def start(*arguments):
        process = start_python(OTHER, sweep.directory, *arguments, stdout=subprocess.PIPE)
        started.append(process)
        for word in ("claimed", *["guarded"] * len(arguments)):
            assert process.stdout.readline() == f"{word}\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(driver, "SILENT_S", 0.3)
    monkeypatch.setattr(driver, "LOOK_S", 0.01)


def say_nothing(text):
    raise AssertionError(f"nothing is to be waited for: {text}")


def numbers(sweep):
    return sorted(int(path.stem.partition("-")[2]) for path in sweep.own.glob("driver-*.json"))


def claim_of_another_machine(sweep, **values):
    """Write the claim of a driver that cannot be seen from here."""
    one = Claim(sweep, say_nothing).driver
    process = "ffffffff.1." + one.process.split(".", 2)[2]
    one = replace(one, host="far", process=process, **values)
    path = sweep.own / "driver-1.json"
    files.write_new(path, json.dumps(asdict(one)))
    return path


# Claims


def test_a_claim_says_who_drives_and_since_when(sweep):
    assert current(sweep) is None
    before = time.time()
    with Claim(sweep, say_nothing):
        found = current(sweep)
        assert (found.pid, found.process) == (os.getpid(), process_table.identity())
        assert found.directory == str(sweep.directory)
        assert before <= found.since <= time.time()
        assert (found.alive, found.released) == (True, False)
    found = current(sweep)
    assert (found.alive, found.released) == (False, True)


def test_it_is_for_the_owner_only(sweep):
    before = os.umask(0)
    try:
        with Claim(sweep, say_nothing) as claim:
            claim.guarded_by("x.1.1")
            assert stat.S_IMODE(claim.path.stat().st_mode) == 0o600
    finally:
        os.umask(before)


def test_a_second_driver_is_refused_with_who_is_the_first_and_what_to_do(sweep, start):
    other = start()
    with pytest.raises(Driven) as caught, Claim(sweep, say_nothing):
        raise AssertionError("claimed twice")
    text = str(caught.value)
    assert f"{sweep.directory} is being driven by process {other.pid} on " in text
    assert "`launchkit wait` follows it" in text
    with pytest.raises(Driven):
        driver.refuse_driven(sweep)
    assert numbers(sweep) == [1]


def test_a_claim_that_was_released_makes_room(sweep):
    for number in (1, 2, 3):
        with Claim(sweep, say_nothing) as claim:
            assert current(sweep).token == claim.driver.token
            assert numbers(sweep)[-1] == number
    driver.refuse_driven(sweep)
    assert numbers(sweep) == [3]


def test_it_is_released_though_the_block_raises(sweep):
    with pytest.raises(ZeroDivisionError), Claim(sweep, say_nothing):
        _ = 1 / 0
    assert current(sweep).released


@pytest.mark.parametrize("reaped", [True, False])
def test_one_of_a_driver_that_was_killed_makes_room_at_once(sweep, start, reaped):
    other = start()
    other.kill()
    if reaped:
        other.wait(PATIENCE_S)
    wait_until(lambda: current(sweep).alive is False, "the driver to end")
    with Claim(sweep, say_nothing):
        assert current(sweep).pid == os.getpid()


def test_one_whose_process_id_was_given_again_makes_room(sweep):
    own = process_table.identity()
    known, _, started = own.rpartition(".")
    with Claim(sweep, say_nothing) as claim:
        gone = replace(claim.driver, process=f"{known}.{int(started) - 1}")
    files.write_json(sweep.own / "driver-1.json", asdict(gone))
    assert current(sweep).alive is False
    with Claim(sweep, say_nothing):
        assert numbers(sweep) == [2]


def test_a_damaged_claim_is_named_with_what_to_do(sweep):
    path = sweep.own / "driver-3.json"
    for content in ("", "{", "[]", '{"token": 1}', '{"token": "a", "new": 1}'):
        path.write_text(content)
        with pytest.raises(SweepError) as caught, Claim(sweep, say_nothing):
            raise AssertionError("claimed")
        assert str(caught.value).startswith(f"{path} is damaged")
        assert "remove it if no launcher of this sweep runs" in str(caught.value)
    path.unlink()
    with Claim(sweep, say_nothing):
        pass


# Signs of life


def test_one_elsewhere_that_gives_no_sign_for_long_enough_is_gone(sweep, quick):
    claim_of_another_machine(sweep)
    said, begun = [], time.monotonic()
    with Claim(sweep, said.append):
        assert time.monotonic() - begun >= 0.3
        assert current(sweep).host != "far"
    (text,) = said
    assert " on far was driving this sweep and cannot be seen from here" in text


def test_one_elsewhere_that_gives_a_sign_goes_on_driving(sweep, monkeypatch):
    path = claim_of_another_machine(sweep)
    monkeypatch.setattr(driver, "_sleep", lambda _: os.utime(path, (1, 1)))
    with pytest.raises(Driven, match="on far"), Claim(sweep, lambda _: None):
        raise AssertionError("claimed")


def test_a_clock_that_is_wrong_there_is_no_sign(sweep, quick):
    path = claim_of_another_machine(sweep, since=time.time() + 10**6)
    os.utime(path, (time.time() + 10**6,) * 2)
    with Claim(sweep, lambda _: None):
        assert current(sweep).host != "far"


def test_one_elsewhere_that_has_released_it_makes_room_at_once(sweep):
    claim_of_another_machine(sweep, released=True)
    with Claim(sweep, say_nothing):
        pass


def test_watching_ends_at_once_on_ctrl_c(sweep, monkeypatch):
    claim_of_another_machine(sweep)
    begun = time.monotonic()
    ctrl_c = Claim(sweep, lambda _: signal.raise_signal(signal.SIGINT))
    with Interrupts(), pytest.raises(KeyboardInterrupt), ctrl_c:
        raise AssertionError("claimed")
    assert time.monotonic() - begun < driver.SILENT_S / 2
    assert numbers(sweep) == [1]


def test_a_beat_is_a_sign_and_comes_every_so_often(sweep, monkeypatch):
    with Claim(sweep, say_nothing) as claim:
        os.utime(claim.path, (1000, 1000))
        claim.beat()
        assert claim.path.stat().st_mtime > 10**6
        os.utime(claim.path, (1000, 1000))
        claim.beat()
        assert claim.path.stat().st_mtime == 1000
        monkeypatch.setattr(driver.time, "monotonic", lambda: 10.0**9)
        claim.beat()
        assert claim.path.stat().st_mtime > 10**6
    assert driver.BEAT_S * 4 < driver.SILENT_S


def test_one_that_was_taken_for_gone_hears_of_it(sweep):
    with Claim(sweep, say_nothing) as claim:
        two = replace(claim.driver, token="another", pid=77, host="near")
        files.write_new(sweep.own / "driver-2.json", json.dumps(asdict(two)))
        with pytest.raises(Driven, match="is being driven by process 77 on near"):
            claim.beat()
    # And says nothing of the other's claim at its end.
    assert current(sweep) == two


def test_one_that_claims_late_takes_it_back(sweep, monkeypatch):
    # Between looking and claiming it slept, and others have come and gone.
    write_new = files.write_new

    def late(path, *arguments, **options):
        with monkeypatch.context() as patch:
            patch.setattr(files, "write_new", write_new)
            for _ in range(3):
                with Claim(sweep, say_nothing):
                    pass
        return write_new(path, *arguments, **options)

    monkeypatch.setattr(files, "write_new", late)
    with pytest.raises(Driven), Claim(sweep, say_nothing):
        raise AssertionError("claimed")
    assert numbers(sweep) == [3]


# The warden of one that was killed


def test_the_next_one_waits_until_the_jobs_have_been_ended(sweep, start):
    warden = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    other = start(process_table.identity(warden.pid))
    other.kill()
    other.wait(PATIENCE_S)
    ending = threading.Timer(0.1, warden.communicate, (b"\n",))
    ending.start()
    try:
        with Claim(sweep, say_nothing):
            assert not process_table.living([warden.pid])
    finally:
        ending.join()


def test_a_warden_that_does_not_come_to_an_end_is_named(sweep, start, monkeypatch):
    monkeypatch.setattr(driver, "WARDEN_S", 0.05)
    other = start(process_table.identity())
    other.kill()
    other.wait(PATIENCE_S)
    message = rf"process {os.getpid()} is still ending the jobs"
    with pytest.raises(SweepError, match=message), Claim(sweep, say_nothing):
        raise AssertionError("claimed")


# Directories that were moved or copied


def test_a_copy_is_nobodys_though_the_original_is_driven(sweep, start, tmp_path):
    other = start()
    shutil.copytree(sweep.directory, tmp_path / "copy")
    copy = Sweep.open(tmp_path / "copy")
    with Claim(copy, say_nothing):
        assert current(copy).pid == os.getpid()
        assert driver.elsewhere(copy) == other.pid
    assert current(sweep).alive
    other.kill()
    other.wait(PATIENCE_S)
    assert driver.elsewhere(copy) is None


def test_one_that_was_moved_away_from_its_driver_is_watched(sweep, start, tmp_path, quick):
    start()
    moved = Sweep.open(sweep.directory.rename(tmp_path / "moved"))
    said = []
    with Claim(moved, said.append):
        assert current(moved).pid == os.getpid()
    assert len(said) == 1


def test_the_same_directory_by_another_name_is_driven(sweep, tmp_path, monkeypatch):
    (tmp_path / "link").symlink_to(sweep.directory)
    linked = Sweep.open(tmp_path / "link")
    with Claim(sweep, say_nothing) as claim:
        os.utime(claim.path, (1, 1))
        monkeypatch.setattr(driver, "_sleep", lambda _: claim.beat())
        with pytest.raises(Driven), Claim(linked, lambda _: None):
            raise AssertionError("claimed")


def test_any_process_may_look(sweep):
    with Claim(sweep, say_nothing):
        program = """
import sys
from launchkit.driver import current
from launchkit.sweep import Sweep
found = current(Sweep.open(sys.argv[1]))
print(found.pid, found.alive)
"""
        assert run_python(program, sweep.directory).split() == [str(os.getpid()), "True"]
