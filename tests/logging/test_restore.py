"""`restore`: the newest whole snapshot, whatever lies beside it; the trailer behind a pickle."""

from __future__ import annotations

import io
import logging
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import launchkit
from launchkit.logging import Logger, NotOpenError, RestoreError, trailer
from launchkit.logging.trailer import Trailer

ROOT = Path(__file__).parents[2]


@pytest.fixture
def gap_and_last(log):
    log.set_snapshot_mode("gap_and_last")
    log.set_snapshot_gap(2)
    return log


def save(log, *iterations):
    for itr in iterations:
        log.save_itr_params(itr, {"itr": itr, "weights": bytes(2000)})


def cut(path, count):
    """Take the last bytes of a file away."""
    os.truncate(path, path.stat().st_size - count)


def cut_into_the_pickle(path):
    with path.open("rb") as stream:
        pickle.load(stream)
        os.truncate(path, stream.tell() - 1)


def in_restored(log):
    restored = log.restore()
    assert restored is not None
    assert restored.object["itr"] == restored.iteration
    assert len(restored.object["weights"]) == 2000
    return restored.iteration


# Which snapshot


@pytest.mark.parametrize(
    ("mode", "gap", "newest"),
    [
        ("all", 1, 4),
        ("last", 1, 4),
        ("gap", 3, 3),
        ("gap_and_last", 3, 4),
        ("none", 1, None),
    ],
)
def test_in_each_mode_the_newest_there_is(log, mode, gap, newest):
    log.set_snapshot_mode(mode)
    log.set_snapshot_gap(gap)
    save(log, *range(5))
    assert (log.restore() and in_restored(log)) == newest


def test_it_unpacks_to_iteration_and_object(log):
    log.save_itr_params(7, "weights")
    itr, params = log.restore()
    assert (itr, params) == (7, "weights")


def test_an_object_that_is_none_is_a_snapshot_all_the_same(log):
    log.save_itr_params(0, None)
    assert log.restore() == (0, None)


def test_numbers_are_compared_as_numbers_and_negative_ones_are_taken(log):
    log.set_snapshot_mode("all")
    save(log, -1)
    assert in_restored(log) == -1
    save(log, 9, 10)
    assert in_restored(log) == 10


def test_what_looks_like_a_snapshot_and_is_none_is_left_alone(log, run_directory):
    save(log, 1)
    for name in ("itr_9.pkl.bak", "xitr_9.pkl", "itr_.pkl", "itr_9.pkl~"):
        (run_directory / name).write_bytes(b"x")
    assert in_restored(log) == 1


def test_a_process_killed_between_the_two_files_has_the_numbered_one(gap_and_last):
    save(gap_and_last, 1, 2, 3)
    gap_and_last.set_snapshot_mode("gap")  # what of gap_and_last comes first
    save(gap_and_last, 4)
    assert in_restored(gap_and_last) == 4


def test_it_is_the_interface_of_the_package(tmp_path, monkeypatch):
    launchkit.logger.open(tmp_path)
    try:
        assert launchkit.restore() is None
        launchkit.logger.save_itr_params(2, "x")
        assert launchkit.restore() == (2, "x")
    finally:
        launchkit.logger.close()


def test_without_a_directory_it_says_what_to_call():
    with pytest.raises(NotOpenError, match=r"logger\.restore needs .*logger\.open\(directory\)"):
        Logger().restore()


# Torn snapshots


def test_a_torn_params_pkl_is_passed_over_with_a_warning(gap_and_last, run_directory, caplog):
    save(gap_and_last, 0, 1, 2, 3)
    cut(run_directory / "params.pkl", 500)
    assert in_restored(gap_and_last) == 2
    assert "params.pkl" in caplog.text and "torn" in caplog.text


def test_torn_snapshots_are_passed_over_down_to_a_whole_one(log, run_directory, caplog):
    log.set_snapshot_mode("all")
    save(log, *range(4))
    cut_into_the_pickle(run_directory / "itr_3.pkl")
    (run_directory / "itr_2.pkl").write_bytes(b"")
    assert in_restored(log) == 1
    assert "itr_3.pkl" in caplog.text and "itr_2.pkl" in caplog.text


def test_where_none_is_whole_there_is_none(log, run_directory, caplog):
    save(log, 3)
    cut(run_directory / "params.pkl", 500)
    assert log.restore() is None
    assert "params.pkl" in caplog.text


def test_zeros_where_a_power_failure_left_them_are_torn(log, run_directory):
    log.set_snapshot_mode("all")
    save(log, 0, 1)
    path = run_directory / "itr_1.pkl"
    path.write_bytes(bytes(path.stat().st_size))
    assert in_restored(log) == 0


def test_a_pickle_cut_anywhere_is_never_taken_for_a_whole_one(log, run_directory):
    log.set_snapshot_mode("all")
    log.save_itr_params(0, "older")
    log.save_itr_params(1, {"itr": 1, "list": list(range(300)), "text": "x" * 300, "set": {1}})
    path = run_directory / "itr_1.pkl"
    whole = path.read_bytes()
    with path.open("rb") as stream:
        newest = pickle.load(stream)
        end = stream.tell()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert log.restore() == ((0, "older") if length < end else (1, newest)), length


def test_a_numbered_snapshot_of_a_logger_without_trailers_is_taken(log, run_directory):
    (run_directory / "itr_5.pkl").write_bytes(pickle.dumps("old"))
    assert log.restore() == (5, "old")


def test_a_params_pkl_that_does_not_say_its_iteration_is_passed_over(log, run_directory, caplog):
    (run_directory / "params.pkl").write_bytes(pickle.dumps("old"))
    assert log.restore() is None
    assert "iteration" in caplog.text


# Whole snapshots that cannot be loaded


def test_a_missing_module_is_an_error_that_names_it_and_the_snapshot(log, run_directory, tmp_path):
    (tmp_path / "gone_module.py").write_text("class Policy: pass\n")
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); import gone_module\n"
        "from launchkit.logging import logger\n"
        "logger.open(sys.argv[2]); logger.save_itr_params(8, gone_module.Policy())\n"
    )
    save(log, 7)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(
        [sys.executable, "-c", program, str(tmp_path), str(run_directory)],
        check=True,
        env=environment,
    )
    with pytest.raises(RestoreError, match=r"iteration 8.*params\.pkl.*gone_module") as caught:
        log.restore()
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)
    assert (run_directory / "params.pkl").exists()


class Raises:
    """An object whose own code raises when it is loaded."""

    def __init__(self, error):
        self.error = error

    def __reduce__(self):
        return (_raise, (self.error,))


def _raise(error):
    raise error


@pytest.mark.parametrize(
    "error", [EOFError("no data"), pickle.UnpicklingError("no"), ValueError("no"), OSError("no")]
)
def test_an_error_of_the_objects_own_is_not_taken_for_a_torn_file(log, error):
    log.set_snapshot_mode("all")
    save(log, 0)
    log.save_itr_params(1, Raises(error))
    with pytest.raises(RestoreError, match=f"iteration 1.*{type(error).__name__}") as caught:
        log.restore()
    assert type(caught.value.__cause__) is type(error)


def test_too_little_memory_is_said_as_it_is(log):
    log.save_itr_params(1, Raises(MemoryError()))
    with pytest.raises(MemoryError):
        log.restore()


def test_an_interrupt_goes_through(log):
    log.save_itr_params(1, Raises(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        log.restore()


# The trailer


def with_numpy(path):
    return pytest.importorskip("numpy").load(path, allow_pickle=True)


READERS = {
    "pickle.load": lambda path: pickle.load(path.open("rb")),
    "pickle.loads": lambda path: pickle.loads(path.read_bytes()),
    "pickle in Python": lambda path: pickle._Unpickler(path.open("rb")).load(),
    "cloudpickle": lambda path: pytest.importorskip("cloudpickle").load(path.open("rb")),
    "joblib": lambda path: pytest.importorskip("joblib").load(path),
    "pandas": lambda path: pytest.importorskip("pandas").read_pickle(path),
    "numpy": with_numpy,
}


@pytest.mark.parametrize("reader", READERS)
def test_readers_of_pickles_do_not_notice_the_trailer(gap_and_last, run_directory, reader):
    save(gap_and_last, 2)
    for name in ("itr_2.pkl", "params.pkl"):
        loaded = READERS[reader](run_directory / name)
        assert loaded == {"itr": 2, "weights": bytes(2000)}


def test_a_snapshot_that_only_cloudpickle_can_save_has_one_too(log, run_directory):
    pytest.importorskip("cloudpickle")
    log.save_itr_params(3, lambda: 5)
    itr, function = log.restore()
    assert (itr, function()) == (3, 5)


def test_it_says_iteration_and_rows_in_both_files(gap_and_last, run_directory):
    log = gap_and_last
    log.add_tabular_output("vae/more.csv", relative_to_snapshot_dir=True)
    for _ in range(3):
        log.record_dict({"loss": 1})
        log.dump_tabular()
    log.remove_tabular_output("progress.csv", relative_to_snapshot_dir=True)
    log.add_tabular_output("progress.csv", relative_to_snapshot_dir=True)
    log.record_dict({"loss": 1})
    save(log, 2)
    for name in ("itr_2.pkl", "params.pkl"):
        with open(run_directory / name, "rb") as stream:
            found = trailer.read(stream)
            assert stream.tell() == 0
        assert found == Trailer(2, {"progress.csv": 3, "vae/more.csv": 3}, pending=True)


def test_extra_data_has_none(log):
    path = log.save_extra_data([1])
    assert Path(path).read_bytes() == pickle.dumps([1], protocol=pickle.HIGHEST_PROTOCOL)


def test_a_pickle_that_contains_a_trailer_is_read_by_its_own(log, run_directory):
    save(log, 1)
    inner = (run_directory / "params.pkl").read_bytes()
    log.save_itr_params(2, inner)
    assert log.restore() == (2, inner)


@pytest.mark.parametrize(
    "end", [b"", b"\n", b"#launchkit {}\n", b"\n#launchkit [1]\n", b"\n#launchkit {x}\n"]
)
def test_bytes_that_are_no_trailer_are_none(end):
    assert trailer.read(io.BytesIO(b"N." + end)) is None


def test_a_trailer_that_another_pickle_was_put_before_is_none():
    stream = io.BytesIO(b"N.")
    stream.seek(2)
    trailer.write(stream, Trailer(1, {}, pending=False))
    assert trailer.read(stream) == Trailer(1, {}, pending=False)
    assert trailer.read(io.BytesIO(b"more" + stream.getvalue())) is None


def test_names_of_files_that_are_no_unicode_come_back():
    stream = io.BytesIO()
    stands = Trailer(1, {"\udc80.csv": 4, "ü.csv": 5}, pending=True)
    trailer.write(stream, stands)
    assert trailer.read(stream) == stands


# Leftovers

KILLED = """
import os, signal, sys
from launchkit.logging import logger
class Kills:
    def __reduce__(self):
        os.kill(os.getpid(), signal.SIGKILL)
logger.open(sys.argv[1])
logger.save_itr_params(0, [bytes(100_000), Kills()])
"""


def test_what_a_killed_writer_left_is_removed_when_the_run_goes_on(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    run = tmp_path / "run"
    killed = subprocess.run([sys.executable, "-c", KILLED, str(run)], env=environment)
    assert killed.returncode == -signal.SIGKILL
    assert [name for name in os.listdir(run) if name.endswith(".tmp")]
    for name in (".mine.tmp", "params.pkl.0123456789ab.tmp", ".launchkit"):
        (run / name).mkdir() if name == ".launchkit" else (run / name).touch()
    (run / ".launchkit" / ".state.json.0123456789ab.tmp").touch()
    log = Logger()
    log.open(run)
    assert len(os.listdir(run)) == 5  # another may be writing: nothing is touched
    log.open(run, resume=True)
    log.close()
    assert set(os.listdir(run)) == {
        "debug.log",
        ".mine.tmp",
        "params.pkl.0123456789ab.tmp",
        ".launchkit",
    }
    assert os.listdir(run / ".launchkit") == [".state.json.0123456789ab.tmp"]


def test_resuming_where_nothing_is_yet_is_an_ordinary_start(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    log = Logger()
    log.open(tmp_path / "new", resume=True)
    assert log.restore() is None
    log.record_dict({"epoch": 0})
    log.dump_tabular()
    log.close()
    assert (tmp_path / "new" / "progress.csv").read_text() == "epoch\n0\n"
    assert caplog.text == ""
