"""progress.csv: what is written for which value, gaining columns, continuing a file."""

from __future__ import annotations

import csv
import math
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from launchkit.logging import cells
from launchkit.logging.cells import cell
from launchkit.logging.tabular import TabularFile


def read(path):
    with open(path, newline="", encoding="utf-8") as stream:
        header, *rows = csv.reader(stream)
    return header, rows


def dump(path, *rows):
    """Write rows as one process would, from opening to closing the file."""
    table = TabularFile(str(path))
    for row in rows:
        table.write_row({name: cell(value) for name, value in row.items()})
    table.close()


# Round trips

NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
VALUES = st.one_of(st.floats(), st.integers(-(2**200), 2**200), st.booleans(), st.none(), TEXTS)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.dictionaries(NAMES, VALUES, min_size=1, max_size=5), min_size=1, max_size=5))
def test_names_and_values_survive_a_round_trip(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("csv") / "progress.csv"
    dump(path, *rows)
    header, written = read(path)
    assert sorted(header) == sorted({name for row in rows for name in row})
    assert len(written) == len(rows)
    for row, texts in zip(rows, written, strict=True):
        for name, text in zip(header, texts, strict=True):
            value = row.get(name)
            if isinstance(value, str):
                assert text == value
            elif value is None:
                assert text == "nan"
            else:
                assert float(text) == float(value) or math.isnan(value)


# A row that is the header, cell by cell, is taken for one in a file that is continued.
ROWS = st.dictionaries(NAMES, VALUES, min_size=1, max_size=4).filter(
    lambda row: any(name != cell(value) for name, value in row.items())
)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(ROWS, min_size=2, max_size=6),
    st.integers(0, 5),
    st.sampled_from(["\n", "\r\n"]),
)
def test_a_restart_at_any_row_changes_nothing(tmp_path_factory, rows, cut, line_end):
    folder = tmp_path_factory.mktemp("csv")
    dump(folder / "one.csv", *rows)
    dump(folder / "two.csv", *rows[:cut])
    if cut and line_end == "\r\n":  # as csv.DictWriter would have written it
        header, written = read(folder / "two.csv")
        with open(folder / "two.csv", "w", newline="", encoding="utf-8") as stream:
            csv.writer(stream, quoting=csv.QUOTE_ALL).writerows([header, *written])
    dump(folder / "two.csv", *rows[cut:])
    assert read(folder / "two.csv") == read(folder / "one.csv")


@given(st.text())
def test_any_text_even_a_lone_surrogate_can_be_written_and_read(text):
    shown = cell(text).encode(errors="backslashreplace").decode()
    line = cells.join([shown, "1"])
    assert next(csv.reader([line])) == [shown, "1"]


# Values


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.1, "0.1"),
        (1e300, "1e+300"),
        (-0.0, "-0.0"),
        (math.inf, "inf"),
        (-math.inf, "-inf"),
        (math.nan, "nan"),
        (7, "7"),
        (True, "1"),
        (False, "0"),
        (None, "nan"),
        ("", "nan"),
        (Decimal("0.1"), "0.1"),
        (Fraction(1, 4), "0.25"),
        ("a\0b", "a\\x00b"),
    ],
)
def test_the_cell_of_a_plain_value(value, text):
    assert cell(value) == text


def test_an_integer_beyond_every_float_is_infinite():
    assert cell(10**5000) == "inf"
    assert cell(-(10**5000)) == "-inf"


def test_a_text_too_long_for_pythons_reader_is_cut(tmp_path):
    dump(tmp_path / "p.csv", {"a": "x" * 200_000, "b": 1})
    _, ((text, one),) = read(tmp_path / "p.csv")
    assert (len(text), one) == (100_000, "1")


def test_numpy_scalars_and_arrays_of_one_number():
    np = pytest.importorskip("numpy")
    assert cell(np.float64(0.1)) == "0.1"
    assert np.float32(cell(np.float32(0.1))) == np.float32(0.1)
    assert cell(np.int64(3)) == "3"
    assert cell(np.bool_(True)) == "1"
    assert cell(np.array(2.5)) == "2.5"
    assert cell(np.array([[4]])) == "4"
    assert float(cell(np.longdouble(0.5))) == 0.5
    assert cell(np.float64("nan")) == "nan"


class Tensor:
    """What torch's tensors have in common with all others."""

    def __init__(self, *numbers):
        self.numbers = numbers

    def item(self):
        if len(self.numbers) != 1:
            raise RuntimeError("a Tensor with 2 elements cannot be converted to Scalar")
        return self.numbers[0]

    def __str__(self):
        return f"tensor({list(self.numbers)})"


def test_a_tensor_of_one_number_is_that_number():
    assert cell(Tensor(0.5)) == "0.5"
    assert cell(Tensor(True)) == "1"


def test_an_unknown_type_is_written_as_text_with_one_warning(caplog, monkeypatch):
    monkeypatch.setattr(cells, "_warned", set())
    assert cell(Tensor(1, 2)) == "tensor([1, 2])"
    assert cell(Tensor(1, 3)) == "tensor([1, 3])"
    assert caplog.text.count("Tensor") == 1


def test_a_value_that_cannot_even_be_shown_kills_nothing():
    class Hostile:
        def __str__(self):
            raise ValueError("no")

    assert "Hostile" in cell(Hostile())


# Columns


def test_new_columns_stand_behind_the_old_ones_and_old_rows_get_nan(tmp_path):
    path = tmp_path / "p.csv"
    dump(path, {"b": 1, "a": 2}, {"b": 3, "a": 4, "0": 5, "z": 6}, {"a": 7})
    assert path.read_text() == "a,b,0,z\n2,1,nan,nan\n4,3,5,6\n7,nan,nan,nan\n"


def test_a_row_that_reads_like_the_header_is_kept_when_columns_are_added(tmp_path):
    dump(tmp_path / "p.csv", {"a": 1}, {"a": "a"}, {"b": 2})
    assert read(tmp_path / "p.csv")[1] == [["1", "nan"], ["a", "nan"], ["nan", "2"]]


def test_the_order_of_the_metrics_does_not_matter(tmp_path):
    dump(tmp_path / "p.csv", {"a": 1, "b": 2}, {"b": 4, "a": 3})
    assert read(tmp_path / "p.csv") == (["a", "b"], [["1", "2"], ["3", "4"]])


def test_gaining_columns_keeps_the_permissions(tmp_path):
    path = tmp_path / "p.csv"
    dump(path, {"a": 1})
    path.chmod(0o640)
    dump(path, {"b": 1})
    assert path.stat().st_mode & 0o777 == 0o640


# Continuing


@pytest.mark.parametrize("torn", ["5", "5,6", '5,"6', '5,"6\n7', "5,6\r"])
def test_a_torn_last_line_is_dropped(tmp_path, torn, caplog):
    path = tmp_path / "p.csv"
    path.write_bytes(b"a,b\n1,2\n3,4\n" + torn.encode())
    dump(path, {"a": 7, "b": 8})
    assert path.read_bytes() == b"a,b\n1,2\n3,4\n7,8\n"
    assert f"{len(torn)} bytes" in caplog.text


def test_a_last_line_of_too_few_cells_is_dropped(tmp_path):
    path = tmp_path / "p.csv"
    path.write_text("a,b\n1,2\n3\n")
    dump(path, {"a": 7, "b": 8})
    assert path.read_text() == "a,b\n1,2\n7,8\n"


@pytest.mark.parametrize("start", ["", "a,", "a,b", "\n\n", '"a\n'])
def test_a_file_without_a_whole_header_starts_anew(tmp_path, start):
    path = tmp_path / "p.csv"
    path.write_text(start)
    dump(path, {"a": 7, "b": 8})
    assert path.read_text() == "a,b\n7,8\n"


def test_a_file_with_only_a_header_gets_its_rows(tmp_path):
    path = tmp_path / "p.csv"
    path.write_text("b,a\n")
    dump(path, {"a": 7, "b": 8})
    assert path.read_text() == "b,a\n8,7\n"


def test_a_foreign_header_gains_columns(tmp_path):
    path = tmp_path / "p.csv"
    path.write_text("z,y\n1,2\n")
    dump(path, {"a": 7})
    assert path.read_text() == "z,y,a\n1,2,nan\nnan,nan,7\n"


def test_line_ends_are_continued(tmp_path):
    path = tmp_path / "p.csv"
    path.write_bytes(b"a,b\r\n1,2\r\n")
    dump(path, {"a": 3, "b": 4}, {"c": 5})
    assert path.read_bytes() == b"a,b,c\r\n1,2,nan\r\n3,4,nan\r\nnan,nan,5\r\n"


def test_what_the_old_logger_left_is_put_right(tmp_path):
    path = tmp_path / "p.csv"
    path.write_bytes(b"\xef\xbb\xbfa,b\r\n1,2\r\n\r\n,4\r\n5\r\na,b\r\n6,\r\n7,8\r\n")
    dump(path, {"a": 9, "b": 10})
    assert path.read_bytes() == b"a,b\r\n1,2\r\nnan,4\r\n5,nan\r\n6,nan\r\n7,8\r\n9,10\r\n"


def test_a_sound_file_is_not_rewritten_when_it_is_continued(tmp_path):
    path = tmp_path / "p.csv"
    dump(path, {"a": "x,y", "b": 2})
    inode = path.stat().st_ino
    dump(path, {"a": 3, "b": 4})
    assert path.stat().st_ino == inode


def test_a_file_behind_a_symlink_is_continued_there(tmp_path):
    target = tmp_path / "elsewhere.csv"
    (tmp_path / "p.csv").symlink_to(target)
    dump(tmp_path / "p.csv", {"a": 1}, {"b": 2})
    assert (tmp_path / "p.csv").is_symlink()
    assert target.read_text() == "a,b\n1,nan\nnan,2\n"
