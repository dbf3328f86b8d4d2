"""Lines that stay and a block that changes, on a terminal and elsewhere."""

from __future__ import annotations

import io
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from terminal import Terminal

from launchkit.display.screen import Screen, cells, fit


@pytest.fixture(autouse=True)
def ordinary_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")


def test_a_block_is_redrawn_in_its_place_below_the_lines_that_stay() -> None:
    with Terminal() as terminal:
        screen = Screen(terminal.stream)
        screen.print("first")
        screen.draw(["1 of 2", "  running"])
        assert terminal.shown() == ["first", "1 of 2", "  running"]
        screen.draw(["2 of 2"])
        assert terminal.shown() == ["first", "2 of 2"]
        screen.print("second")
        assert terminal.shown() == ["first", "second", "2 of 2"]
        screen.clear()
        assert terminal.shown() == ["first", "second"]


def test_what_comes_between_stands_on_lines_of_its_own() -> None:
    with Terminal() as terminal:
        screen = Screen(terminal.stream)
        screen.draw(["a", "b"])
        terminal.stream.write("Traceback\r\n")
        terminal.stream.flush()
        assert terminal.shown() == ["a", "b", "Traceback"]


def test_a_frame_is_written_at_once() -> None:
    with Terminal() as terminal:
        screen = Screen(terminal.stream)
        screen.draw(["a", "b"])
        terminal.shown()
        before = terminal.frames
        screen.print("line")
        terminal.shown()
        assert terminal.frames == before + 1


@pytest.mark.parametrize("columns", [200, 41, 40, 39, 17, 5, 1])
def test_a_resized_window_leaves_nothing_behind(columns: int) -> None:
    with Terminal(columns=80) as terminal:
        screen = Screen(terminal.stream)
        screen.draw(["x" * 79, "y" * 40, "z"])
        terminal.resize(columns)
        screen.draw(["next"])
        assert terminal.shown() == [fit("next", columns - 1)] * (columns > 1)


def test_lines_are_cut_to_the_width_and_the_block_to_the_height() -> None:
    with Terminal(columns=20, lines=4) as terminal:
        screen = Screen(terminal.stream)
        screen.draw(["word " * 10, "日本語" * 10, "c", "d", "e"])
        shown = terminal.shown()
        assert len(shown) == 3
        assert all(cells(line) < 20 for line in shown)
        assert shown[0].endswith("…")


def test_elsewhere_there_is_no_block_and_no_escape() -> None:
    stream = io.StringIO()
    screen = Screen(stream)
    screen.draw(["1 of 2"])
    screen.print("line")
    screen.clear()
    assert stream.getvalue() == "line\n"


def test_a_terminal_that_cannot_move_its_cursor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    with Terminal() as terminal:
        Screen(terminal.stream).draw(["1 of 2"])
        assert terminal.shown() == []


def test_a_closed_pipe_stops_nothing() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    stream = os.fdopen(writing, "w")
    screen = Screen(stream)
    screen.print("line")
    screen.print("line")
    assert screen.closed
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # for its own end
    stream.close()


def test_a_stream_that_has_been_closed_stops_nothing() -> None:
    stream = io.StringIO()
    screen = Screen(stream)
    stream.close()
    screen.print("line")
    assert screen.closed


def test_characters_that_the_stream_cannot_encode_are_spelled_out() -> None:
    raw = io.BytesIO()
    screen = Screen(io.TextIOWrapper(raw, encoding="ascii"))
    screen.print("naïve \udc80")
    assert raw.getvalue() == b"na\\xefve \\udc80\n"


@given(st.text(), st.integers(0, 30))
def test_what_fits_is_one_printable_line_of_that_width(text: str, columns: int) -> None:
    fitted = fit(text, columns)
    assert cells(fitted) <= columns
    assert fitted.isprintable()


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30))
def test_what_is_short_enough_is_left_alone(text: str) -> None:
    assert fit(text, 30) == text
