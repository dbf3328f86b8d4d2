"""Asking again for a while."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from launchkit.cloud import patience as room
from launchkit.cloud.patience import Patience
from launchkit.cloud.stores import Unreachable
from launchkit.interrupts import Interrupts

ERROR = ConnectionError("no\n  route")


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that are made, by a clock that they move."""
    made: list[float] = []
    monkeypatch.setattr(room.time, "monotonic", lambda: 1000 + sum(made))
    monkeypatch.setattr(room.time, "sleep", made.append)
    return made


def ask_in_vain(patience: Patience) -> str:
    with pytest.raises(Unreachable) as error:
        while True:
            patience.pause(ERROR)
    return str(error.value)


def test_it_ends_when_it_was_said_to_and_says_why(pauses: list[float]) -> None:
    said = ask_in_vain(Patience(60, "s3://bucket/key"))
    assert sum(pauses) == pytest.approx(60)
    assert said == "s3://bucket/key: no route (tried again for 60 s)"


def test_pauses_grow_up_to_a_limit_and_are_random(
    pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []
    monkeypatch.setattr(room.random, "uniform", lambda low, high: asked.append(high) or high)
    ask_in_vain(Patience(60, "it"))
    assert asked[:7] == [0.5, 1, 2, 4, 8, 15, 15]


def test_with_progress_the_time_begins_anew(pauses: list[float]) -> None:
    patience = Patience(60, "it")
    while sum(pauses) < 50:
        patience.pause(ERROR)
    patience.progress()
    ask_in_vain(patience)
    assert sum(pauses) > 110


def test_a_signal_is_felt_in_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room.random, "uniform", lambda low, high: 30.0)
    with Interrupts(), pytest.raises(KeyboardInterrupt):
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
        Patience(60, "it").pause(ERROR)


def test_a_signal_is_not_felt_because_another_thread_pauses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(room.random, "uniform", lambda low, high: 0.5)
    with Interrupts() as interrupts:
        other = threading.Thread(target=Patience(60, "it").pause, args=(ERROR,))
        other.start()
        os.kill(os.getpid(), signal.SIGINT)
        other.join()
        time.sleep(0)
        assert interrupts.count == 1
