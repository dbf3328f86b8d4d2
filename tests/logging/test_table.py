"""Plain text tables."""

from __future__ import annotations

import doctest

from hypothesis import given
from hypothesis import strategies as st

from launchkit.logging import table
from launchkit.logging.table import KeyValueTable, format_table


def test_the_example_in_the_docstring_is_true():
    assert doctest.testmod(table).failed == 0


def test_without_headers_rules_stand_above_and_below():
    assert format_table([("loss", "0.5"), ("a", "x")]) == "\n".join(
        ["----  ---", "loss  0.5", "a     x", "----  ---"]
    )


def test_columns_of_numbers_are_aligned_to_the_right_below_headers():
    rows = [(0, "completed", 1.5, "-"), (10, "failed", "", 3)]
    assert format_table(rows, ["job", "state", "loss", "best"]).splitlines() == [
        "job  state      loss  best",
        "---  ---------  ----  ----",
        "  0  completed   1.5     -",
        " 10  failed              3",
    ]


def test_short_rows_and_no_rows():
    assert format_table([(1, 2), (3,)], ["a", "b"]).splitlines()[-1] == "3"
    assert format_table([], ["a", "b"]) == "a  b\n-  -"
    assert format_table([]) == ""


def test_a_cell_stays_on_its_line():
    assert "a\\nb\\x1b" in format_table([("k", "a\nb\x1b")])


@given(st.lists(st.dictionaries(st.text(), st.text("ab\n.é", min_size=1), min_size=1), max_size=4))
def test_the_quick_table_of_a_row_is_the_table_of_its_cells(rows):
    quick = KeyValueTable()
    for cells in rows:
        assert quick.render(cells) == format_table(list(cells.items()))
