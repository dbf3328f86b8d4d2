"""The last row of a progress.csv that a job is writing."""

from __future__ import annotations

from pathlib import Path

import pytest

from launchkit.display import last_rows
from launchkit.display.last_rows import LatestMetrics, last_row, metrics_of
from launchkit.job import Job


@pytest.mark.parametrize(
    ("content", "row"),
    [
        (b"a,b\n1,2\n", {"a": "1", "b": "2"}),
        (b"a,b\r\n1,2\r\n3,4\r\n", {"a": "3", "b": "4"}),
        (b"a,b\n1,2\n3,", {"a": "1", "b": "2"}),
        (b"a,b\n1", {}),
        (b"a,b\n", {}),
        (b"", {}),
        (b"\n\n\n", {}),
        (b'"a,x",b\n1,"2\n', {"a,x": "1", "b": "2\n"}),
        (b"\xff\xfe\n\x00\n", {}),
    ],
)
def test_the_last_whole_row(content: bytes, row: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "progress.csv"
    path.write_bytes(content)
    found = last_row(path)
    assert found == row or (b"\xff" in content and len(found) <= 1)


@pytest.mark.parametrize("width", [1, 5000, 30000])
def test_of_a_long_file_with_rows_of_any_width(width: int, tmp_path: Path) -> None:
    path = tmp_path / "progress.csv"
    cell = "7" * width
    path.write_text("a,b\n" + f"0,{cell}\n" * 40 + f"1,{cell}\n0,{cell[:3]}")
    assert last_row(path) == {"a": "1", "b": cell}


def test_no_file_is_no_row(tmp_path: Path) -> None:
    assert last_row(tmp_path / "progress.csv") == {}


def test_the_metrics_that_tell_most() -> None:
    assert metrics_of({"epoch": "3", "AverageReturn": "12.3456789"}) == "AverageReturn 12.35"
    assert metrics_of({"epoch": "3", "loss": "nan", "reward": "1"}) == "loss nan  reward 1"
    assert metrics_of({}) == ""


def test_metrics_are_looked_for_every_so_often_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    monkeypatch.setattr(last_rows.time, "monotonic", lambda: clock[0])
    job, path, latest = Job(0, (), tmp_path), tmp_path / "progress.csv", LatestMetrics()
    assert latest.of(job) == ""
    path.write_text("loss\n1\n")
    clock[0] += last_rows.EVERY_S / 2
    assert latest.of(job) == ""
    clock[0] += last_rows.EVERY_S / 2
    assert latest.of(job) == "loss 1"
    latest.forget(0)
    path.write_text("loss\n2\n")
    assert latest.of(job) == "loss 2"
