"""A request to stop waits for the end of a shield, and is never lost."""

from __future__ import annotations

import os
import random
import signal
import threading
import time

import pytest

from launchkit import stopping
from launchkit.logging import Logger
from launchkit.stopping import request, shield


class Stop(BaseException):
    """What a handler raises."""


@pytest.fixture
def on_alarm():
    """Let SIGALRM be a request to stop."""
    before = signal.signal(signal.SIGALRM, lambda *_: request(Stop()))
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def test_without_a_shield_it_is_raised_at_once():
    with pytest.raises(Stop):
        request(Stop())


def test_within_a_shield_it_is_raised_where_the_outermost_ends():
    done = []
    with pytest.raises(Stop), shield():
        with shield():
            request(Stop())
            done.append("inner")
        done.append("outer")
    assert done == ["inner", "outer"]
    with shield():  # it was raised once
        pass


def test_the_first_of_several_requests_is_raised():
    with pytest.raises(KeyboardInterrupt), shield():
        request(KeyboardInterrupt())
        request(Stop())


def test_a_block_that_raises_still_stops_and_its_error_is_the_context():
    error = OSError("disk full")
    with pytest.raises(Stop) as caught, shield():
        request(Stop())
        raise error
    assert caught.value.__context__ is error


def test_a_block_that_raises_without_a_request_raises_its_own_error_and_ends_the_shield():
    with pytest.raises(OSError), shield():
        raise OSError
    with pytest.raises(Stop):
        request(Stop())


class RequestsAtItsEnd:
    """An object in whose finalizer a signal arrives."""

    def __del__(self):
        request(Stop())


def test_a_request_that_is_lost_in_a_finalizer_is_raised_at_the_end_of_the_next_shield():
    del_me = RequestsAtItsEnd()
    del del_me
    done = []
    with pytest.raises(Stop), shield():
        done.append(1)
    assert done == [1]
    with shield():  # once
        pass


def test_other_errors_of_finalizers_go_where_they_went(monkeypatch):
    class Fails:
        def __del__(self):
            raise ValueError("of its own")

    heard = []
    monkeypatch.setattr("sys.unraisablehook", lambda lost: heard.append(str(lost.exc_value)))
    for _ in range(2):
        with pytest.raises(Stop):
            request(Stop())
    fails = Fails()
    del fails
    assert heard == ["of its own"]
    with shield():
        pass


def test_another_thread_shields_nothing():
    entered, leave = threading.Event(), threading.Event()

    def wait_in_a_shield():
        with shield():
            entered.set()
            leave.wait()

    thread = threading.Thread(target=wait_in_a_shield)
    thread.start()
    try:
        assert entered.wait(30)
        with pytest.raises(Stop):
            request(Stop())
    finally:
        leave.set()
        thread.join()
    with pytest.raises(Stop):  # nor did its end take away what was never there
        request(Stop())


def exit_code_of(child):
    """Fork, run `child` there, and return its exit code."""
    pid = os.fork()
    if pid == 0:
        code = 99
        try:
            code = child()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def raises_at_once():
    try:
        request(Stop())
    except Stop:
        return 0
    return 1


def test_a_child_that_is_forked_within_a_shield_is_not_shielded_by_it():
    with shield(), shield():
        assert exit_code_of(raises_at_once) == 0


def test_a_request_before_the_fork_is_its_parents_alone():
    def shields():
        with shield():
            pass
        return 0

    with pytest.raises(Stop), shield():
        request(Stop())
        assert exit_code_of(shields) == 0


def test_a_child_that_leaves_its_parents_shield_can_shield_itself():
    pid = -1
    with shield():
        pid = os.fork()
    if pid == 0:
        code = 99
        try:
            held = False
            try:
                with shield():
                    request(Stop())
                    held = True
            except Stop:
                code = 0 if held and raises_at_once() == 0 else 1
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_a_child_of_another_thread_has_that_thread_as_its_main_one():
    codes = []

    def shields():
        try:
            with shield():
                request(Stop())
        except Stop:
            return 0
        return 1

    thread = threading.Thread(target=lambda: codes.append(exit_code_of(shields)))
    thread.start()
    thread.join()
    assert codes == [0]


def test_signals_at_any_moment_cut_no_block_in_two_and_none_is_lost(on_alarm):
    chance = random.Random(1)
    begun = ended = stopped = 0
    for _ in range(2000):
        try:
            signal.setitimer(signal.ITIMER_REAL, chance.uniform(1e-6, 3e-4))
            while True:
                with shield():
                    begun += 1
                    with shield():
                        sum(range(50))
                    ended += 1
        except Stop:
            stopped += 1
    assert begun == ended > 2000
    assert stopped == 2000
    assert raises_at_once() == 0


class Slow:
    """An object that takes its time to be pickled, and is asked to stop meanwhile."""

    def __reduce__(self):
        os.kill(os.getpid(), signal.SIGALRM)
        time.sleep(0.01)
        return (Slow, ())


def test_a_snapshot_that_is_being_saved_is_completed(tmp_path, on_alarm):
    log = Logger()
    log.open(tmp_path, snapshot_mode="gap_and_last")
    with pytest.raises(Stop):
        log.save_itr_params(4, {"slow": Slow(), "weights": [1, 2]})
    for name in ("itr_4.pkl", "params.pkl"):
        assert (tmp_path / name).exists()
    restored = log.restore()
    assert restored is not None
    assert (restored.iteration, restored.object["weights"]) == (4, [1, 2])
    log.close()


def test_extra_data_that_is_being_saved_is_completed(tmp_path, on_alarm):
    log = Logger()
    log.open(tmp_path)
    with pytest.raises(Stop):
        log.save_extra_data(Slow(), "extra.pkl")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["debug.log", "extra.pkl"]
    log.close()


def test_a_row_is_whole_in_every_file_and_is_not_written_twice(tmp_path, on_alarm, monkeypatch):
    log = Logger()
    log.open(tmp_path)
    log.add_tabular_output(tmp_path / "more.csv")
    log.record_dict({"loss": 0.5})
    real_write = os.write

    def write(fd, data):
        os.kill(os.getpid(), signal.SIGALRM)
        return real_write(fd, data)

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(Stop):
        log.dump_tabular()
    monkeypatch.undo()
    assert log.get_table_dict() == {}
    log.dump_tabular()
    for name in ("progress.csv", "more.csv"):
        assert (tmp_path / name).read_text() == "loss\n0.5\n"
    assert (tmp_path / "debug.log").read_text() == "----  ---\nloss  0.5\n----  ---\n"
    log.close()


def test_a_terminal_that_blocks_does_not_hold_back_a_request(tmp_path, on_alarm, monkeypatch):
    class Blocking:
        def write(self, text):
            signal.setitimer(signal.ITIMER_REAL, 0.01)
            time.sleep(30)

        def flush(self):
            pass

    log = Logger()
    log.open(tmp_path)
    log.record_dict({"loss": 0.5})
    monkeypatch.setattr("sys.stdout", Blocking())
    start = time.monotonic()
    with pytest.raises(Stop):
        log.dump_tabular()
    monkeypatch.undo()
    assert time.monotonic() - start < 20
    assert (tmp_path / "progress.csv").read_text() == "loss\n0.5\n"
    log.close()


def test_a_shield_is_there_once_in_a_process():
    assert stopping.shield() is shield()
