"""Signals stop a sweep only where its driver waits."""

from __future__ import annotations

import contextlib
import os
import signal
import threading

import pytest

from launchkit import stopping
from launchkit.interrupts import Interrupts, felt

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def _usual_handlers():
    before = {number: signal.getsignal(number) for number in STOPPING}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def send(number=signal.SIGINT):
    """Send a signal to this process, and have its handler run."""
    signal.raise_signal(number)


@pytest.mark.parametrize("number", STOPPING)
def test_a_signal_is_felt_in_a_wait(number):
    after = []
    with Interrupts() as interrupts:
        with pytest.raises(KeyboardInterrupt), felt():
            send(number)
            after.append("went on")
        assert interrupts.count == 1
    assert after == []


@pytest.mark.parametrize("number", STOPPING)
def test_one_that_comes_elsewhere_waits_for_the_next_wait(number):
    reached = []
    with Interrupts() as interrupts:
        send(number)
        reached.append("went on")
        with pytest.raises(KeyboardInterrupt), felt():
            reached.append("waited")
        with felt():
            reached.append("only once")
        assert interrupts.count == 1
    assert reached == ["went on", "only once"]


def test_several_that_come_elsewhere_are_one_interrupt_and_are_counted():
    with Interrupts() as interrupts:
        for number in STOPPING:
            send(number)
        with pytest.raises(KeyboardInterrupt), felt():
            pass
        with felt():
            pass
        assert interrupts.count == 3


def test_after_a_wait_has_raised_the_next_signal_waits_again():
    with Interrupts():
        with pytest.raises(ValueError), felt():
            raise ValueError
        send()
        with pytest.raises(KeyboardInterrupt), felt():
            pass


def test_a_signal_that_the_interpreter_loses_is_felt_in_the_next_wait():
    class Finalized:
        def __del__(self):
            # As it is when the garbage collector happens to run as a signal comes.
            send()

    reached = []
    with Interrupts() as interrupts:
        with felt():
            Finalized()
            reached.append("lost")
        with pytest.raises(KeyboardInterrupt), felt():
            reached.append("waited")
        with felt():
            reached.append("once")
        assert interrupts.count == 1
    with stopping.shield():
        reached.append("and nowhere else")
    assert reached == ["lost", "once", "and nowhere else"]


def test_a_job_that_goes_on_all_the_same_does_not_keep_the_sweep_from_stopping():
    with Interrupts():
        with felt(), contextlib.suppress(BaseException):
            send()
        with pytest.raises(KeyboardInterrupt), felt():
            pass


def test_afterwards_signals_are_whose_they_were():
    handler = signal.signal(signal.SIGTERM, mine := lambda *_: None)
    assert handler is signal.SIG_DFL
    with Interrupts():
        assert signal.getsignal(signal.SIGTERM) != mine
    assert signal.getsignal(signal.SIGTERM) is mine
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL


def test_a_program_that_ignores_hangups_goes_on_doing_so():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with Interrupts() as interrupts, felt():
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        os.kill(os.getpid(), signal.SIGHUP)
        assert interrupts.count == 0


def test_a_sweep_within_a_job_takes_the_signals_for_itself():
    with Interrupts() as outer:
        with felt(), Interrupts() as inner:
            send()
            with pytest.raises(KeyboardInterrupt), felt():
                pass
        assert (inner.count, outer.count) == (1, 0)
        with pytest.raises(KeyboardInterrupt), felt():
            send()
        assert (inner.count, outer.count) == (1, 1)


def test_in_a_wait_of_the_outer_one_the_inner_one_does_not_end_it():
    with Interrupts(), felt():
        with Interrupts(), felt():
            pass
        with pytest.raises(KeyboardInterrupt):
            send()


def test_outside_the_main_thread_it_changes_nothing():
    def run():
        try:
            with Interrupts() as interrupts, felt():
                handlers.append(signal.getsignal(signal.SIGTERM))
            counts.append(interrupts.count)
        except BaseException as error:
            counts.append(error)

    handlers, counts = [], []
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert (handlers, counts) == ([signal.SIG_DFL], [0])


def test_without_a_sweep_a_wait_is_nothing_special():
    reached = []
    with felt():
        reached.append(1)
        with pytest.raises(KeyboardInterrupt):
            send()
    assert reached == [1]


def test_what_is_shielded_is_not_interrupted_in_a_wait_either():
    reached = []
    with Interrupts(), pytest.raises(KeyboardInterrupt), felt():
        with stopping.shield():
            send()
            reached.append("the rest of the shielded block")
        reached.append("after it")
    assert reached == ["the rest of the shielded block"]
