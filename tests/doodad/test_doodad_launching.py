"""doodad's launch modes, started launchkit's way: a script and whole numbers, without a shell."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from doodad_trees import Machine

from launchkit.doodad import engine, launching
from launchkit.machine import processes

pytestmark = pytest.mark.doodad


def script(folder: Path, text: str) -> str:
    # It need not be executable: a disk may forbid that of all its files.
    path = folder / "it's a $(touch x) script.sh"
    path.write_text(text)
    return str(path)


def ended(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_it_is_a_launch_mode_of_doodads() -> None:
    assert isinstance(launching.local_launcher(), engine.load().mode.LocalMode)
    assert type(launching.local_launcher()) is type(launching.local_launcher())


def test_the_exit_code_the_output_and_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OURS", "ours")
    output = tmp_path / "log"
    output.write_text("before\n")
    text = 'echo "$1 $2 $OURS $THEIRS"; echo error >&2; read line || echo nothing to read; exit 5'
    pid = launching.start(
        [script(tmp_path, text), "17", "0"],
        environment={"THEIRS": "$(touch y)"},
        output=output,
    )
    assert ended(pid) == 5
    said = ["before", "17 0 ours $(touch y)", "error", "nothing to read"]
    assert output.read_text().splitlines() == said
    assert not {"x", "y"} & set(os.listdir(tmp_path))


def test_it_leads_a_session_and_feels_signals_that_its_starter_holds_back(tmp_path: Path) -> None:
    with processes.holding_signals():
        pid = launching.start(
            [script(tmp_path, "exec sleep 60")], environment={}, output=tmp_path / "log"
        )
    assert os.getsid(pid) == os.getpgid(pid) == pid
    os.kill(pid, signal.SIGTERM)
    assert ended(pid) == -signal.SIGTERM


@pytest.mark.parametrize("argument", ["-1", "x", "1;2", "$(touch x)", "", "²", " 1"])
def test_arguments_are_whole_numbers(tmp_path: Path, argument: str) -> None:
    with pytest.raises(ValueError, match="is no whole number"):
        launching.start(["x.sh", "1", argument], environment={}, output=tmp_path / "log")
    assert not (tmp_path / "log").exists()


def test_a_script_that_is_not_there_fails(tmp_path: Path) -> None:
    pid = launching.start([str(tmp_path / "no.sh")], environment={}, output=tmp_path / "log")
    assert ended(pid) != 0
    assert "no.sh" in (tmp_path / "log").read_text()


def test_an_output_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        launching.start(["x.sh"], environment={}, output=tmp_path / "no" / "log")


def test_without_doodad_there_is_none(machine: Machine) -> None:
    with pytest.raises(engine.DoodadMissing):
        launching.local_launcher()
