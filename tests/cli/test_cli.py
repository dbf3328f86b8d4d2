"""`launchkit` after a real run: `table`, `status`, `modes` and `doctor`."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from launchkit import cli, doctor
from launchkit.cloud import logins
from launchkit.launcher_util import ExperimentsFailed, run_experiment
from launchkit.logging import logger
from launchkit.modes import registry


def experiment(variant):
    for epoch in range(3):
        logger.record_dict({"epoch": epoch, "loss": variant["x"] / (epoch + 1)})
        logger.dump_tabular()
    if variant["x"] == 3:
        raise ValueError("boom")
    return {1, 2} if variant["x"] == 1 else variant["x"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("data")
    with pytest.raises(ExperimentsFailed):
        run_experiment(experiment, variant={"x": [1, 2, 3]}, base_log_dir=base)
    return base


@pytest.fixture(scope="module")
def sweep(data: Path) -> Path:
    return next(data.glob("*/*_sweep"))


def test_table_shows_a_row_a_job(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["table", str(data)]) == 0
    header, _, *rows = capsys.readouterr().out.splitlines()
    assert header.split() == ["job", "state", "time", "x", "loss.last", "loss.best"]
    assert [row.split()[:2] for row in rows] == [
        ["0", "completed"],
        ["1", "completed"],
        ["2", "failed"],
    ]
    assert [row.split()[3:] for row in rows] == [
        ["1", "0.3333", "0.3333"],
        ["2", "0.6667", "0.6667"],
        ["3", "1", "1"],
    ]


def test_table_as_csv_and_json_with_named_metrics(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["table", str(data / "*"), "--csv", "--metrics", "epoch,loss"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["epoch.last"] for row in rows] == ["2.0"] * 3
    assert cli.main(["table", str(data), "--json"]) == 0
    objects = json.loads(capsys.readouterr().out)
    assert [row["loss.last"] for row in objects] == pytest.approx([1 / 3, 2 / 3, 1])


def test_table_says_what_is_broken_and_shows_the_rest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, variant in (("a", '{"x": 1}'), ("b", '{"x": ')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "variant.json").write_text(variant)
        (tmp_path / name / "progress.csv").write_text("loss\n1\n")
    assert cli.main(["table", str(tmp_path)]) == 0
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == 4
    assert f"{tmp_path / 'b'}: variant.json" in said.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["table", "nowhere"], "nowhere"),
        (["status", "nowhere"], "nowhere is not a sweep directory"),
        (["table", "DATA", "--metrics", "lss"], "no metric 'lss'"),
    ],
)
def test_what_cannot_be_read_is_named_and_exits_with_2(
    data: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(data) if argument == "DATA" else argument for argument in arguments]
    assert cli.main(arguments) == 2
    said = capsys.readouterr()
    assert message in said.err
    assert "Traceback" not in said.err


def test_status_counts_states_and_names_failures(
    sweep: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["status", str(sweep), "--jobs"]) == 0
    said = capsys.readouterr().out
    assert "mode here_no_doodad, 3 jobs" in said
    assert "2 completed, 1 failed" in said
    assert "job 2 failed: ValueError: boom  [x=3]" in said
    assert "stderr.log" in said
    assert re.search(r"^    0 completed +\d\.\ds  x=1$", said, re.MULTILINE)


def test_status_as_json(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["status", str(sweep), "--json"]) == 0
    status = json.loads(capsys.readouterr().out)
    assert status["counts"] == {"completed": 2, "failed": 1}
    assert status["jobs"][2]["error"]["last_line"] == "ValueError: boom"


def test_table_shows_no_secrets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for num in range(2):
        variant = {"api_key": f"s3cr3t-{num}", "url": f"http://me:s3cr3t-{num}@h", "lr": num}
        (tmp_path / str(num)).mkdir()
        (tmp_path / str(num) / "variant.json").write_text(json.dumps(variant))
        (tmp_path / str(num) / "progress.csv").write_text("loss\n1\n")
    for form in ([], ["--csv"], ["--json"]):
        assert cli.main(["table", str(tmp_path), *form]) == 0
        said = capsys.readouterr().out
        assert "s3cr3t" not in said
        assert said.count("***") == 4


def test_names_that_are_no_text_are_spelled_out(tmp_path: Path) -> None:
    odd = os.fsencode(tmp_path) + b"/odd\xff"
    os.mkdir(odd)
    argv = [sys.executable, "-m", "launchkit.cli", "status", odd]
    done = subprocess.run(argv, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"})
    assert done.returncode == 2
    assert "odd\\udcff is not a sweep directory" in done.stderr


def test_what_may_not_be_read_is_no_traceback(
    sweep: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(directory: object) -> None:
        raise PermissionError(13, "Permission denied", "sweep.json")

    monkeypatch.setattr("launchkit.sweep.Sweep.open", refuse)
    assert cli.main(["status", str(sweep)]) == 2
    assert "Permission denied: 'sweep.json'" in capsys.readouterr().err


def test_every_command_is_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(["--help"])
    assert stop.value.code == 0
    said = capsys.readouterr().out
    listed = set(re.findall(r"^    (\w+)(?:  |$)", said, re.MULTILINE))
    assert listed == {
        *("status", "wait", "logs", "cancel", "resume", "table", "reproduce", "list"),
        *("pull", "reap", "ec2", "gcp", "modes", "doctor", "doodad"),
    }


def test_modes_lists_each_mode_once(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ec2_lacking", "gcp_lacking"):
        monkeypatch.setattr(logins, name, list)
    assert cli.main(["modes"]) == 0
    lines = capsys.readouterr().out.splitlines()[2:]
    assert [line.split()[0] for line in lines] == list(registry.MODES)
    assert all("ready" in line for line in lines)


def test_doctor_is_content_here(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["doctor"]) == 0
    said = capsys.readouterr().out
    assert "hydra-core" in said
    assert "Hydra plugin  found" in said


def test_doctor_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "PACKAGES", ("hydra-core", "no-such-package"))
    monkeypatch.setattr(doctor, "PLUGIN", "hydra_plugins.not_there")
    assert cli.main(["doctor"]) == 1
    said = capsys.readouterr().out
    assert "MISSING" in said
    assert "NOT FOUND" in said


def test_a_reader_that_stops_reading_is_no_error(data: Path) -> None:
    command = f"{sys.executable} -m launchkit.cli table {data} --csv | head -n 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("job,")
    assert done.stderr == ""
