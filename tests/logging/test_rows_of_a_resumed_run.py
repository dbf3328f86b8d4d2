"""A run that goes on: no row twice, none backwards, and none thrown away that is new."""

from __future__ import annotations

import csv
import logging
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from launchkit.logging import Logger


@pytest.fixture
def directory(tmp_path):
    return tmp_path / "run"


def opened(directory, **settings):
    log = Logger()
    log.open(directory, print_table=False, **settings)
    return log


def dump(log, *rows):
    for row in rows:
        log.record_dict(row)
        log.dump_tabular()


def first_attempt(directory, *rows):
    log = opened(directory)
    dump(log, *rows)
    log.close()


def second_attempt(directory, *rows):
    log = opened(directory, resume=True)
    dump(log, *rows)
    log.close()


def column(directory, name, file="progress.csv"):
    with open(directory / file, newline="") as stream:
        return [float(row[name]) for row in csv.DictReader(stream)]


def epochs(*numbers, name="epoch", **more):
    return [{name: number, **more} for number in numbers]


# With a column that counts


def test_a_restart_from_scratch_writes_only_what_is_new(directory):
    first_attempt(directory, *epochs(0, 1, 2))
    second_attempt(directory, *epochs(0, 1, 2, 3, 4))
    assert column(directory, "epoch") == [0, 1, 2, 3, 4]


def test_a_restart_in_the_middle_writes_only_what_is_new(directory):
    first_attempt(directory, *epochs(0, 1, 2, 3))
    second_attempt(directory, *epochs(2, 3, 4))
    assert column(directory, "epoch") == [0, 1, 2, 3, 4]


def test_a_row_that_was_there_stays_as_it_was(directory):
    first_attempt(directory, *epochs(0, 1, loss="first"))
    second_attempt(directory, *epochs(1, 2, loss="second"))
    text = (directory / "progress.csv").read_text()
    assert text == "epoch,loss\n0,first\n1,first\n2,second\n"


def test_without_resume_every_row_is_written(directory):
    first_attempt(directory, *epochs(0, 1))
    first_attempt(directory, *epochs(0, 1))
    assert column(directory, "epoch") == [0, 1, 0, 1]


@pytest.mark.parametrize(
    "name",
    ["Epoch", "itr", "ITERATION", "trainer/epoch", "global step", "exploration/num steps total"],
)
def test_usual_names_in_any_case_and_with_prefixes_count(directory, name):
    first_attempt(directory, *epochs(0, 1, 2, name=name, loss=1))
    second_attempt(directory, {"loss": 0, name: 2}, {"loss": 0, name: 3})
    assert column(directory, name) == [0, 1, 2, 3]
    assert column(directory, "loss") == [1, 1, 1, 0]


def test_numbers_are_compared_as_numbers(directory):
    first_attempt(directory, *epochs(9, 10, 1e6))
    second_attempt(directory, *epochs(9.0, "1000000", 1000001))
    assert column(directory, "epoch") == [9, 10, 1e6, 1000001]


def test_a_shown_row_is_shown_again(directory):
    first_attempt(directory, *epochs(0))
    log = Logger()
    log.open(directory, resume=True)
    dump(log, *epochs(0))
    log.close()
    assert (directory / "debug.log").read_text() == "-----  -\nepoch  0\n-----  -\n"


def test_after_the_first_new_row_a_program_may_do_what_it_likes(directory):
    first_attempt(directory, *epochs(0, 1))
    second_attempt(directory, *epochs(1, 2, 0, 1))
    assert column(directory, "epoch") == [0, 1, 2, 0, 1]


def test_a_torn_last_row_is_written_again(directory):
    first_attempt(directory, *epochs(0, 1))
    with open(directory / "progress.csv", "a") as stream:
        stream.write("2")
    second_attempt(directory, *epochs(1, 2))
    assert column(directory, "epoch") == [0, 1, 2]


def test_a_file_of_the_old_logger_is_put_right_before_it_is_judged(directory):
    directory.mkdir()
    (directory / "progress.csv").write_bytes(b"epoch,loss\r\n0,1\r\n\r\nepoch,loss\r\n1,\r\n2\r\n")
    second_attempt(directory, *epochs(1, 2, 3, loss=5))
    assert column(directory, "epoch") == [0, 1, 2, 3]


def test_quoted_cells_with_line_ends_are_no_rows(directory):
    first_attempt(directory, *epochs(0, 1, note='a\n9,"9\n'))
    second_attempt(directory, *epochs(1, 2, note="b"))
    assert column(directory, "epoch") == [0, 1, 2]


def test_a_file_of_quoted_cells_counts_too(directory):
    directory.mkdir()
    (directory / "progress.csv").write_text('"epoch","loss"\n"0","1"\n"1","1"\n')
    second_attempt(directory, *epochs(1, 2, loss=2))
    assert column(directory, "epoch") == [0, 1, 2]


def test_a_new_column_in_a_repeated_row_is_left_out_with_it_and_comes_with_a_new_row(directory):
    first_attempt(directory, *epochs(0, 1))
    second_attempt(directory, *epochs(1, 2, late=5))
    text = (directory / "progress.csv").read_text()
    assert text == "epoch,late\n0,nan\n1,nan\n2,5\n"


def test_a_counter_that_only_the_row_has_does_not_count(directory):
    first_attempt(directory, {"loss": 1})
    log = opened(directory, resume=True)
    dump(log, {"loss": 1, "epoch": 0}, {"loss": 2, "epoch": 1})
    log.close()
    assert column(directory, "loss") == [1, 2]


# Which column counts


def test_a_column_that_does_not_only_go_up_is_no_counter(directory):
    rows = [{"epoch": e, "step": 10 * e + s} for e in range(2) for s in range(3)]
    first_attempt(directory, *rows[:5])
    second_attempt(directory, *rows[3:])
    assert column(directory, "step") == [0, 1, 2, 10, 11, 12]
    assert column(directory, "epoch") == [0, 0, 0, 1, 1, 1]


def test_a_constant_step_is_no_counter_even_after_one_row(directory):
    log = opened(directory)
    dump(log, {"step": 100, "loss": 0})
    log.save_itr_params(0, 0)
    log.close()
    log = opened(directory, resume=True)
    log.restore()
    dump(log, *({"step": 100, "loss": loss} for loss in range(1, 5)))
    log.close()
    # The first row cannot be told from a repeated one; then it shows that nothing counts.
    assert column(directory, "loss") == [0, 2, 3, 4]


def test_two_phases_in_one_file_are_told_apart(directory):
    pretraining, training = epochs(0, 1, phase=1), epochs(0, 1, 2, phase=2)
    first_attempt(directory, *pretraining)
    second_attempt(directory, *pretraining, *training)
    assert column(directory, "phase") == [1, 1, 2, 2, 2]
    assert column(directory, "epoch") == [0, 1, 0, 1, 2]


def test_two_phases_of_which_the_second_was_stopped(directory):
    pretraining, training = epochs(0, 1, phase=1), epochs(0, 1, 2, phase=2)
    first_attempt(directory, *pretraining, *training[:1])
    second_attempt(directory, *pretraining, *training)
    assert column(directory, "phase") == [1, 1, 2, 2, 2]
    assert column(directory, "epoch") == [0, 1, 0, 1, 2]


# Rows in which the counter is missing


def mixed(*numbers):
    """A row of training, which counts, and after it one of evaluation, which does not."""
    return [row for n in numbers for row in ({"epoch": n, "loss": n}, {"return": 10 * n})]


@pytest.mark.parametrize(
    ("stopped_after", "restart"), [(n, k) for n in range(1, 9) for k in range(4) if 2 * k <= n]
)
@pytest.mark.parametrize("reverse", [False, True])
def test_rows_without_the_counter_are_told_by_their_place(
    directory, stopped_after, restart, reverse
):
    rows = mixed(*range(5))
    if reverse:  # the row that counts comes second
        rows[::2], rows[1::2] = rows[1::2], rows[::2]
    log = opened(directory, snapshot_mode="all")
    for index, row in enumerate(rows[:stopped_after]):
        dump(log, row)
        if index % 2:
            log.save_itr_params(index // 2, None)
    log.close()
    for name in directory.glob("itr_*.pkl"):
        if int(name.stem[4:]) >= restart:
            name.unlink()
    log = opened(directory, resume=True)
    restored = log.restore()
    dump(log, *rows[2 * (restored.iteration + 1 if restored else 0) :])
    log.close()
    wanted = [(str(r.get("epoch", "nan")), str(r.get("return", "nan"))) for r in rows]
    with open(directory / "progress.csv", newline="") as stream:
        assert [(row["epoch"], row["return"]) for row in csv.DictReader(stream)] == wanted


@pytest.mark.parametrize("missing", [None, float("nan"), "", "x", float("inf")])
def test_a_counter_that_is_no_number_is_missing(directory, missing):
    rows = [{"epoch": 0}, {"epoch": missing}, {"epoch": 1}, {"epoch": missing}, {"epoch": 2}]
    first_attempt(directory, *rows[:3])
    second_attempt(directory, *rows)
    with open(directory / "progress.csv", newline="") as stream:
        cells = [row["epoch"] for row in csv.DictReader(stream)]
    assert cells[::2] == ["0", "1", "2"]
    assert len(cells) == 5


# Without a column that counts


def losses(*numbers):
    return [{"loss": number / 7} for number in numbers]


def run(directory, iterations, *, order, every=1, resume=False, mode="last", restore=True):
    """A training loop over the given number of iterations, and where it took up again."""
    log = opened(directory, snapshot_mode=mode, resume=resume)
    restored = log.restore() if restore else None
    start = restored.iteration + 1 if restored else 0
    for itr in range(start, iterations):
        for step in order:
            if step == "dump":
                dump(log, *losses(itr))
            elif step == "record":
                log.record_dict(losses(itr)[0])
            elif step == "dump what is recorded":
                log.dump_tabular()
            elif itr % every == 0:
                log.save_itr_params(itr, itr)
    log.close()
    return start


ORDERS = {
    "dump, save": ["dump", "save"],
    "save, dump": ["save", "dump"],
    "record, save, dump": ["record", "save", "dump what is recorded"],
}


def written(directory):
    return [round(7 * loss) for loss in column(directory, "loss")]


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
@pytest.mark.parametrize("mode", ["all", "last"])
def test_a_run_that_goes_on_at_its_snapshot_writes_each_row_once(directory, order, mode):
    run(directory, 5, order=order, mode=mode)
    assert run(directory, 9, order=order, mode=mode, resume=True) == 5
    assert written(directory) == list(range(9))


@pytest.mark.parametrize("order", ["dump, save", "record, save, dump"])
@pytest.mark.parametrize("iterations", range(1, 8))
def test_rows_after_a_rare_snapshot_are_not_written_again(directory, order, iterations):
    run(directory, iterations, order=ORDERS[order], every=3)
    start = run(directory, 12, order=ORDERS[order], every=3, resume=True)
    assert start == (iterations - 1) // 3 * 3 + 1
    assert written(directory) == list(range(12))


def test_in_gap_mode_a_program_that_saves_before_it_dumps_is_seen_through(directory):
    log = opened(directory, snapshot_mode="gap", snapshot_gap=3)
    for itr in range(6):
        log.save_itr_params(itr, None)
        dump(log, *losses(itr))
    log.close()
    log = opened(directory, snapshot_mode="gap", snapshot_gap=3, resume=True)
    assert log.restore().iteration == 3
    for itr in range(4, 9):
        log.save_itr_params(itr, None)
        dump(log, *losses(itr))
    log.close()
    assert written(directory) == list(range(9))


def test_where_it_cannot_be_known_a_row_is_left_out_rather_than_written_twice(directory):
    order = ORDERS["save, dump"]
    run(directory, 5, order=order, every=3)  # stopped after iteration 4, snapshot of 3
    assert run(directory, 9, order=order, every=3, resume=True) == 4
    rows = written(directory)
    assert rows == sorted(set(rows))
    assert set(range(9)) - set(rows) == {5}


def test_a_program_that_takes_up_the_snapshots_own_iteration_repeats_its_row(directory):
    run(directory, 4, order=ORDERS["save, dump"])  # a snapshot is of before the iteration
    log = opened(directory, resume=True)
    for itr in range(log.restore().iteration, 6):
        log.save_itr_params(itr, itr)
        dump(log, *losses(itr))
    log.close()
    assert written(directory) == list(range(6))


def test_from_scratch_the_rows_that_are_there_are_repeated(directory):
    run(directory, 5, order=["dump"])
    run(directory, 8, order=["dump"], resume=True)
    assert written(directory) == list(range(8))


def test_the_rows_of_a_later_attempt_are_counted_from_its_own_snapshot(directory):
    loop = {"order": ["dump", "save"], "every": 2, "mode": "all"}
    run(directory, 7, **loop)
    for lost in (4, 6):
        (directory / f"itr_{lost}.pkl").unlink()
    # These two are stopped before they come to the end of the rows that are there.
    assert run(directory, 5, **loop, resume=True) == 3
    assert run(directory, 6, **loop, resume=True) == 5
    assert run(directory, 12, **loop, resume=True) == 5
    assert written(directory) == list(range(12))


def test_a_snapshot_without_a_trailer_says_nothing_of_rows_so_none_is_left_out(directory):
    first_attempt(directory, *losses(0, 1, 2))
    (directory / "itr_2.pkl").write_bytes(pickle.dumps("old"))
    log = opened(directory, resume=True)
    assert log.restore().iteration == 2
    dump(log, *losses(3, 4))
    log.close()
    assert written(directory) == [0, 1, 2, 3, 4]


def test_a_guess_is_told_with_what_to_do_instead(directory, caplog):
    first_attempt(directory, *losses(0, 1))
    second_attempt(directory, *losses(0, 1, 2))
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    for said in ("progress.csv", "first 2 rows", "logger.restore()", "epoch"):
        assert said in record.getMessage()


def test_what_is_known_is_told_once_and_is_no_warning(directory, caplog):
    caplog.set_level(logging.INFO)
    first_attempt(directory, *epochs(0, 1))
    second_attempt(directory, *epochs(0, 1, 2))
    (record,) = caplog.records
    assert record.levelno == logging.INFO and "progress.csv" in record.getMessage()


# Several files


def test_each_file_is_judged_by_what_it_has(directory):
    log = opened(directory)
    dump(log, *epochs(0, 1))
    log.add_tabular_output(directory / "late.csv")
    dump(log, *epochs(2))
    log.close()
    log = opened(directory, resume=True)
    log.add_tabular_output(directory / "late.csv")
    log.add_tabular_output(directory / "new.csv")
    dump(log, *epochs(1, 2, 3))
    log.close()
    assert column(directory, "epoch") == [0, 1, 2, 3]
    assert column(directory, "epoch", "late.csv") == [2, 3]
    assert column(directory, "epoch", "new.csv") == [1, 2, 3]


def test_a_file_that_is_taken_away_and_added_again_goes_on_where_it_was(directory):
    first_attempt(directory, *losses(0, 1, 2))
    log = opened(directory, resume=True)
    dump(log, *losses(0, 1))
    for _ in range(2):
        log.remove_tabular_output("progress.csv", relative_to_snapshot_dir=True)
        log.add_tabular_output("progress.csv", relative_to_snapshot_dir=True)
        dump(log, *losses(2))
    dump(log, *losses(3))
    log.close()
    assert written(directory) == [0, 1, 2, 2, 3]


def test_a_file_that_a_resumed_run_makes_is_its_own(directory):
    log = opened(directory, resume=True)
    for number in range(3):
        log.add_tabular_output("more.csv", relative_to_snapshot_dir=True)
        dump(log, *losses(number))
        log.remove_tabular_output("more.csv", relative_to_snapshot_dir=True)
    log.close()
    assert len(column(directory, "loss", "more.csv")) == 3


def test_a_file_added_after_restore_begins_where_the_snapshot_was(directory):
    for resume in (False, True):
        log = opened(directory, resume=resume)
        restored = log.restore()
        log.add_tabular_output("more.csv", relative_to_snapshot_dir=True)
        for itr in range(restored.iteration + 1 if restored else 0, 6 if resume else 4):
            dump(log, *losses(itr))
            if itr < 2 or resume:
                log.save_itr_params(itr, itr)
        log.close()
    assert written(directory) == list(range(6))
    assert column(directory, "loss", "more.csv") == column(directory, "loss")


# Whatever the program


@settings(max_examples=150, deadline=None)
@given(
    stops=st.lists(st.integers(0, 14), max_size=5),
    every=st.integers(1, 4),
    counter=st.booleans(),
    evaluations=st.integers(1, 3),
    mode=st.sampled_from(["all", "last", "gap", "gap_and_last", "none"]),
)
def test_a_program_that_dumps_before_it_saves_has_every_row_once(
    tmp_path_factory, stops, every, counter, evaluations, mode
):
    directory = tmp_path_factory.mktemp("run")
    for attempt, stop in enumerate([*stops, 10_000]):
        log = opened(directory, resume=attempt > 0, snapshot_mode=mode, snapshot_gap=2)
        restored = log.restore()
        for itr in range(restored.iteration + 1 if restored else 0, 8):
            rows = [{"loss": itr}, *({"return": itr + n / 10} for n in range(evaluations))]
            if counter:
                rows[0]["epoch"] = itr
            for row in rows:
                stop -= 1
                if stop >= 0:
                    dump(log, row)
            if stop >= 0 and itr % every == 0:
                log.save_itr_params(itr, itr)
            if stop < 0:
                break
        log.close()
    with open(directory / "progress.csv", newline="") as stream:
        rows = [(row["loss"], row["return"]) for row in csv.DictReader(stream)]
    wanted = [
        pair
        for itr in range(8)
        for pair in [(f"{itr}", "nan"), *(("nan", f"{itr + n / 10}") for n in range(evaluations))]
    ]
    assert rows == wanted
