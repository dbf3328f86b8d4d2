"""`launchkit list`."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from cli_sweeps import complete, drive, fail, make_sweep

from launchkit import cli, find_sweeps
from launchkit.job import Job
from launchkit.sweep import Sweep

Captured = pytest.CaptureFixture[str]


def listed(root: Path, capsys: Captured) -> list[dict[str, object]]:
    assert cli.main(["list", str(root), "--json"]) == 0
    found: list[dict[str, object]] = json.loads(capsys.readouterr().out)
    return found


def names(root: Path, capsys: Captured) -> list[str]:
    return [os.path.relpath(str(entry["directory"]), root) for entry in listed(root, capsys)]


def test_a_line_a_sweep_the_newest_last(tmp_path: Path, capsys: Captured) -> None:
    newest = make_sweep(tmp_path / "a", 3)
    oldest = make_sweep(tmp_path / "b" / "c", 1)
    content = json.loads((oldest.own / "sweep.json").read_text())
    (oldest.own / "sweep.json").write_text(json.dumps({**content, "created": 1e9}))
    complete(*oldest.jobs, newest.jobs[0])
    fail(newest.jobs[1])
    with drive(newest):
        assert cli.main(["list", str(tmp_path)]) == 0
    heads, _, *rows = capsys.readouterr().out.splitlines()
    assert heads.split() == ["created", "mode", "driven", "directory", "jobs"]
    assert [row.split(maxsplit=5)[2:] for row in rows] == [
        ["local", "no", str(oldest.directory), "1 completed"],
        ["local", "yes", str(newest.directory), "1 pending, 1 completed, 1 failed"],
    ]


def test_as_json(tmp_path: Path, capsys: Captured) -> None:
    sweep = make_sweep(tmp_path / "a", 2)
    complete(sweep.jobs[0])
    assert listed(tmp_path, capsys) == [
        {
            "directory": str(sweep.directory),
            "id": sweep.id,
            "mode": "local",
            "created": sweep.created,
            "counts": {"pending": 1, "completed": 1},
            "driven": False,
        }
    ]


def test_the_directory_itself_may_be_one(tmp_path: Path, capsys: Captured) -> None:
    make_sweep(tmp_path, 1)
    assert names(tmp_path, capsys) == ["."]


def test_sweeps_within_sweeps_and_beside_their_jobs(tmp_path: Path, capsys: Captured) -> None:
    outer = make_sweep(tmp_path / "outer", 2)
    make_sweep(outer.directory / "inner", 1)
    beside = Sweep.create(tmp_path / "runs" / "x_sweep", mode="local", settings={}, command=[])
    beside.add(Job(num, (), tmp_path / "runs" / f"x_{num}") for num in range(3))
    assert sorted(names(tmp_path, capsys)) == ["outer", "outer/inner", "runs/x_sweep"]


def test_the_directories_of_jobs_are_not_entered(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = make_sweep(tmp_path / "outer", 2)
    beside = Sweep.create(tmp_path / "runs" / "x_sweep", mode="local", settings={}, command=[])
    beside.add(Job(num, (), tmp_path / "runs" / f"a_{num}") for num in range(3))
    for known in (*sweep.jobs, *beside.jobs):
        (known.directory / "checkpoints").mkdir(parents=True)
    entered: list[str] = []
    real = os.scandir

    def scandir(path: str) -> object:
        entered.append(os.path.relpath(path, tmp_path))
        return real(path)

    monkeypatch.setattr(find_sweeps.os, "scandir", scandir)
    assert len(names(tmp_path, capsys)) == 2
    assert set(entered) == {".", "outer", "runs", "runs/x_sweep"}


def test_loops_of_links_and_hidden_directories_are_left_alone(
    tmp_path: Path, capsys: Captured
) -> None:
    make_sweep(tmp_path / "a", 1)
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "again").symlink_to(tmp_path / "a")
    make_sweep(tmp_path / ".trash" / "b", 1)
    assert names(tmp_path, capsys) == ["a"]


def test_a_link_may_be_asked_for(tmp_path: Path, capsys: Captured) -> None:
    make_sweep(tmp_path / "a", 1)
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert [entry["directory"] for entry in listed(tmp_path / "link", capsys)] == [
        str(tmp_path / "link")
    ]


def test_what_cannot_be_read_is_named_and_the_rest_is_shown(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_sweep(tmp_path / "a", 1)
    for name, content in (("b", "{"), ("c", '{"id": "x"}')):
        (tmp_path / name / ".launchkit").mkdir(parents=True)
        (tmp_path / name / ".launchkit" / "sweep.json").write_text(content)
    broken = make_sweep(tmp_path / "d", 1)
    complete(*broken.jobs)
    (broken.jobs[0].own / "state.json").write_text("{")
    (tmp_path / "locked").mkdir()
    real = os.scandir

    def scandir(path: str) -> object:
        if path.endswith("locked"):
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(find_sweeps.os, "scandir", scandir)
    assert cli.main(["list", str(tmp_path)]) == 0
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == 3
    for place in ("b/.launchkit/sweep.json is damaged", "c/.launchkit/sweep.json is damaged"):
        assert f"{tmp_path}/{place}" in said.err
    assert f"{tmp_path}/d/0/.launchkit/state.json is damaged" in said.err
    assert f"{tmp_path}/locked: Permission denied" in said.err


def test_none_is_no_error_and_no_directory_is_one(tmp_path: Path, capsys: Captured) -> None:
    assert cli.main(["list", str(tmp_path)]) == 0
    assert "no sweep in" in capsys.readouterr().err
    assert cli.main(["list", str(tmp_path / "nowhere")]) == 2
    assert "nowhere" in capsys.readouterr().err
