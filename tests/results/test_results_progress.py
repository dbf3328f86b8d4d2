"""The table of the rows: odd files, and that reading many at once changes nothing."""

import itertools
import math
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from result_trees import put, run

from launchkit.results import bulk, load_sweep
from launchkit.results.progress_csv import parse_table

NAN = math.nan


def load(tmp_path, *files):
    for num, content in enumerate(files):
        run(tmp_path / str(num), {"num": num}, content)
    return load_sweep(tmp_path)


def check(results, **columns):
    for name, values in columns.items():
        expected = np.array(values, dtype=float)
        np.testing.assert_array_equal(results.progress[name].to_numpy(), expected, err_msg=name)


def test_a_row_a_dumped_row_in_the_order_of_the_runs(tmp_path):
    results = load(tmp_path, "epoch,loss\n0,1.5\n1,0.5\n", "epoch,loss\n0,2.5\n")
    check(
        results, job=[0, 0, 1], row=[0, 1, 0], num=[0, 0, 1], epoch=[0, 1, 0], loss=[1.5, 0.5, 2.5]
    )
    assert results.progress["loss"].dtype == "float64"
    assert results.problems == []


def test_runs_may_have_different_columns(tmp_path):
    results = load(tmp_path, "a,b\n1,2\n", "b,c\n3,4\n", "a,b\n5,6\n")
    check(results, a=[1, NAN, 5], b=[2, 3, 6], c=[NAN, 4, NAN])


def test_a_repeated_header_is_dropped(tmp_path):
    results = load(tmp_path, "a,b\n1,2\na,b\n3,4\n")
    check(results, a=[1, 3], b=[2, 4], row=[0, 1])
    assert results.problems == []


def test_a_later_header_with_other_columns_is_followed(tmp_path):
    results = load(tmp_path, "a,b\n1,2\nb,a,c\n3,4,5\n")
    check(results, a=[1, 4], b=[2, 3], c=[NAN, 5])
    assert "another header after row 1" in results.problems[0].reason


def test_empty_cells_are_nan(tmp_path):
    results = load(tmp_path, "a,b\n,2\n3,\n")
    check(results, a=[NAN, 3], b=[2, NAN])
    assert results.problems == []


def test_short_and_long_rows_are_kept_and_reported(tmp_path):
    results = load(tmp_path, "a,b,c\n1,2\n3,4,5\n6,7,8,9\n")
    check(results, a=[1, 3, 6], b=[2, 4, 7], c=[NAN, 5, 8])
    assert [p.reason for p in results.problems] == [
        "progress.csv row 0 has too few cells; the missing ones are NaN",
        "progress.csv row 2 has too many cells; the last ones were left out",
    ]


def test_the_first_row_may_be_too_long(tmp_path):
    check(load(tmp_path, "a,b\n1,2,3\n4,5\n"), a=[1, 4], b=[2, 5])


def test_a_short_and_a_long_row_in_two_files_do_not_make_up_for_each_other(tmp_path):
    results = load(tmp_path, "a,b,c\n1,2\n", "a,b,c\n1,2,3,4\n")
    check(results, a=[1, 1], b=[2, 2], c=[NAN, 3])
    assert len(results.problems) == 2


def test_a_line_cut_off_by_a_kill_is_left_out_if_cells_are_missing(tmp_path):
    results = load(tmp_path, "a,b\n1,2\n3", "a,b\n1,2\n3,4")
    check(results, job=[0, 1, 1], a=[1, 1, 3], b=[2, 2, 4])
    assert "cut off in its last line" in results.problems[0].reason
    assert "may be cut off" in results.problems[1].reason


def test_line_ends_of_windows_and_a_bom_change_nothing(tmp_path):
    plain, odd = b"a,b\n1,2\n3,4\n", b"\xef\xbb\xbfa,b\r\n1,2\r\n3,4\r\n"
    results = load(tmp_path, plain, odd)
    check(results, a=[1, 3, 1, 3], b=[2, 4, 2, 4])
    assert results.problems == []


def test_blank_lines_are_no_rows(tmp_path):
    results = load(tmp_path, "a,b\n1,2\n\n3,4\n  \n", "a\n1\n\n2\n")
    check(results, a=[1, 3, 1, 2], row=[0, 1, 0, 1])
    assert results.problems == []


def test_texts_stay_texts(tmp_path):
    results = load(tmp_path, 'a,phase\n1,"warm, ""up"""\n2,nan\n3,run\n', "a,phase\n4,stop\n")
    assert results.progress["phase"].tolist()[0::2] == ['warm, "up"', "run"]
    assert results.progress["phase"].isna().tolist() == [False, True, False, False]
    check(results, a=[1, 2, 3, 4])
    assert results.problems == []


def test_text_in_one_run_and_numbers_in_another_both_stay(tmp_path):
    results = load(tmp_path, "a\nx\ny\n", "a\n1\n", "b\n2\n")
    assert results.progress["a"].tolist()[:3] == ["x", "y", 1.0]
    assert math.isnan(results.progress["a"].tolist()[3])


def test_booleans_are_numbers(tmp_path):
    results = load(tmp_path, "a,done\n1,True\n2,False\n3,\n")
    check(results, a=[1, 2, 3], done=[1, 0, NAN])
    assert results.problems == []


def test_a_broken_cell_among_numbers_is_nan_and_reported(tmp_path):
    results = load(tmp_path, "a,b\n1,2\n3,4e-\n5,x\n6,7\n8,9\n")
    check(results, a=[1, 3, 5, 6, 8], b=[2, NAN, NAN, 7, 9])
    assert "column 'b' has 2 cells that are no number, such as '4e-'" in results.problems[0].reason


def test_every_way_to_write_a_missing_or_infinite_number(tmp_path):
    cells = ["nan", "NaN", "None", "NA", "null", "+nan", "NAN", " nan", "inf", "-Infinity", " 1 "]
    text = "a,b\n" + "".join(f"{cell},1\n" for cell in cells)
    results = load(tmp_path, text)
    check(results, a=[NAN] * 8 + [math.inf, -math.inf, 1.0])
    assert results.problems == []


def test_names_with_quotes_commas_and_newlines_survive(tmp_path):
    text = '"a,1","b ""q""","c\nd"\n1,2,3\n'
    results = load(tmp_path, text, text)
    check(results, **{"a,1": [1, 1], 'b "q"': [2, 2], "c\nd": [3, 3]})


def test_two_columns_of_one_name_are_told_apart(tmp_path):
    results = load(tmp_path, "a,a,\n1,2,\n")
    check(results, a=[1], **{"a.1": [2]})
    assert "two columns of the same name" in results.problems[0].reason


def test_header_cells_that_look_like_numbers_do_not_become_rows(tmp_path):
    results = load(tmp_path, "1,2\n3,4\n1,2\n5,6\n")
    check(results, **{"1": [3, 5], "2": [4, 6]})


@pytest.mark.parametrize(
    ("content", "rows"),
    [(b"", 0), (b"a,b\n", 0), (b"a,b", 0), (b"\n\n", 0), (b"\xff\xfe,b\n1,2\n", 1),
     (b"\0" * 100, 0), (b"a,b\n1,2\n\0\0\0", 1), (b'a,b\n1,2\n"3,4\n', 2)],
)  # fmt: skip
def test_no_file_stops_the_others(tmp_path, content, rows):
    results = load(tmp_path, "a,b\n1,2\n", content, "a,b\n3,4\n")
    assert results.runs["rows"].tolist() == [1, rows, 1]
    good = results.progress[results.progress["job"] != 1]
    assert good["a"].tolist() == [1, 3]


def test_a_cell_of_any_length_does_not_stop_the_file_before_it():
    table = parse_table(b"a,b\n1,2\n3," + b"x" * 200_000 + b"\n")
    assert table.rows == 1
    assert "cannot be read" in table.problems[0]


def test_an_empty_progress_beside_a_tabular_log_is_read_from_there(tmp_path):
    run(tmp_path / "0", {"n": 0}, "")
    put(tmp_path / "0" / "log.txt", "a\tb\n1\t2\n3\t4\n")
    run(tmp_path / "1", {"n": 1}, "")
    put(tmp_path / "1" / "log.txt", "just a log, of words\n")
    results = load_sweep(tmp_path)
    check(results, a=[1, 3], b=[2, 4], job=[0, 0])


def test_numbers_are_those_of_read_csv(tmp_path):
    random = np.random.default_rng(0)
    frames = []
    for num in range(20):
        exponents = random.integers(-300, 300, size=(50, 4)).astype(float)
        frame = pd.DataFrame(random.normal(size=(50, 4)) * 10**exponents, columns=list("abcd"))
        run(tmp_path / str(num), {"num": num}, frame.to_csv(index=False))
        frames.append(pd.read_csv(tmp_path / str(num) / "progress.csv"))
    ours = load_sweep(tmp_path).progress[list("abcd")]
    pd.testing.assert_frame_equal(ours, pd.concat(frames, ignore_index=True), check_exact=True)


def test_joining_starts_anew_when_enough_was_read(tmp_path, monkeypatch):
    files = ["a,b\n" + f"{num},1\n" * (num % 4) for num in range(40)]
    whole = load(tmp_path, *files).progress
    monkeypatch.setattr(bulk, "JOINED_BYTES", 30)
    pd.testing.assert_frame_equal(load_sweep(tmp_path).progress, whole)


cells = st.one_of(
    st.floats(allow_nan=True).map(repr),
    st.integers(-(10**20), 10**20).map(str),
    st.sampled_from(
        ["", "nan", "True", "text", "a", '"1.5"', '"x,y"', '"u\nv"', "1e", "_", " 2", "é"]
    ),
)
number = st.floats(allow_nan=False).map(repr)


@st.composite
def progress_file(draw):
    """Draw a file that is mostly regular, with some oddities."""
    header = draw(st.sampled_from([["a"], ["a", "b"], ["a", "b", "c"], ["b", "a"], ["1", "nan"]]))
    end = draw(st.sampled_from(["\n", "\n", "\r\n"]))
    odd = draw(st.booleans())
    lines = []
    for _ in range(draw(st.integers(0, 6))):
        width = len(header)
        kind = draw(st.integers(0, 12)) if odd else 99
        if kind == 0:
            lines.append(",".join(header))
        elif kind == 1:
            lines.append("")
        elif kind == 2:
            lines.append(",".join(draw(st.lists(number, min_size=1, max_size=width + 2))))
        elif kind == 3:
            lines.append(",".join([*header, "new"]))
        elif kind == 4:
            lines.append(draw(number) + "\r" + draw(number))
        else:
            one = cells if kind < 9 else number
            lines.append(",".join(draw(st.lists(one, min_size=width, max_size=width))))
    text = end.join([",".join(header), *lines]) + draw(st.sampled_from(["", end] if odd else [end]))
    return draw(st.sampled_from(["", "\ufeff"])) + draw(st.sampled_from([text, text, text, ""]))


@settings(max_examples=200, deadline=None)
@given(st.lists(progress_file(), min_size=1, max_size=6))
def test_files_read_together_give_what_each_gives_alone(files):
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        for num, content in enumerate(files):
            run(Path(folder, str(num)), {"num": num % 3}, content)
        together = load_sweep(folder)
        patch.setattr(bulk, "_regular", lambda landing: None)
        alone = load_sweep(folder)
    pd.testing.assert_frame_equal(together.progress, alone.progress, check_exact=True)
    pd.testing.assert_frame_equal(together.runs, alone.runs)
    assert [p.reason for p in together.problems] == [p.reason for p in alone.problems]


@settings(max_examples=100, deadline=None)
@given(st.lists(cells, min_size=1, max_size=8))
def test_no_row_is_lost_whatever_its_cells(drawn):
    table = parse_table(b"a,b\n" + "".join(f"{cell},1\n" for cell in drawn).encode())
    assert all(len(column) == table.rows for column in table.columns.values())
    assert table.rows == len(drawn)


def test_regular_files_are_read_together(tmp_path, monkeypatch):
    calls = itertools.count()
    read = bulk.read_numbers
    monkeypatch.setattr(bulk, "read_numbers", lambda *args: (next(calls), read(*args))[1])
    monkeypatch.setattr(bulk, "parse_table", None)
    results = load(tmp_path, *["a,b\n1,nan\n2,\n"] * 12, *["a,b\r\n1,2\r\n"] * 2)
    assert len(results.progress) == 26
    assert next(calls) == 1
