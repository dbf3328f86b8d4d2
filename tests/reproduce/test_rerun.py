"""The command that runs a job again: what it keeps of the sweep's command line, and what not."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import user_repository

from launchkit.code import code_snapshot, rerun
from launchkit.code.environment import Environment
from launchkit.code.program import Program
from launchkit.job import Job
from launchkit.sweep import Sweep

ROOT = Path(__file__).parents[2]


def snapshot(program: Program, top: str = "/users") -> code_snapshot.CodeSnapshot:
    repository = code_snapshot.Repository(
        ".", top, f"{top}/.git", "abc", "trunk", None, False, None, 0, None
    )
    environment = Environment("3.11.0", "cpython", "Linux")
    return code_snapshot.CodeSnapshot(
        Path("/sweep"), program, (repository,), (), 0, (), 0, None, environment
    )


SCRIPT = Program("train.py")


def of_hydra(tmp_path: Path, *arguments: str, program: Program = SCRIPT) -> list[str]:
    sweep = Sweep.create(
        tmp_path / "sweep", mode="local", settings={}, command=["train.py", *arguments]
    )
    job = Job(3, ("x=1", "name='a b'"), sweep.directory / "3")
    command = rerun.command(sweep, job, snapshot(program))
    assert command is not None
    assert shlex.split(command.line) == list(command.arguments)
    return list(command.arguments)


NUMBER = ["hydra.job.num=3", "hydra.job.id=3"]
OVERRIDES = ["x=1", "name='a b'"]


def test_it_is_the_jobs_overrides_as_a_single_run(tmp_path: Path) -> None:
    arguments = of_hydra(tmp_path, "-m", "x=1,2", "name='a b'")
    assert arguments == ["python", "train.py", *OVERRIDES, *NUMBER]


def test_what_is_of_the_sweep_goes_and_what_is_of_the_job_stays(tmp_path: Path) -> None:
    of_the_sweep = (
        *("hydra/launcher=launchkit_local", "hydra.launcher.n_jobs=2", "+hydra/sweeper=optuna"),
        *("hydra.sweeper.n_trials=5", "hydra.sweep.dir=/else/where", "hydra.sweep.subdir=a"),
    )
    of_the_job = ("hydra.job.chdir=true", "+hydra/callbacks=mine", "hydra.searchpath=[conf]")
    arguments = of_hydra(tmp_path, "--multirun", *of_the_sweep, "x=1,2", *of_the_job)
    assert arguments == ["python", "train.py", *OVERRIDES, *of_the_job, *NUMBER]


@pytest.mark.parametrize(
    "given",
    [("-cn", "other"), ("--config-name", "other"), ("-cn=other",), ("--config-name=other",)],
)
def test_the_config_is_the_one_that_was_chosen(tmp_path: Path, given: tuple[str, ...]) -> None:
    arguments = of_hydra(tmp_path, *given, "-m", "x=1,2")
    assert arguments == ["python", "train.py", "--config-name=other", *OVERRIDES, *NUMBER]


def test_paths_of_the_repository_are_those_of_the_checkout(tmp_path: Path) -> None:
    program = Program("src/train.py", cwd="work")
    given = ("--config-path=/users/conf", "-cd", "/users/more", "-m", "x=1,2")
    assert of_hydra(tmp_path, *given, program=program)[1:4] == [
        "../src/train.py",
        "--config-path=../conf",
        "--config-dir=../more",
    ]


def test_paths_elsewhere_and_relative_ones_stay(tmp_path: Path) -> None:
    given = ("--config-path=conf", "--config-dir=/else/where", "-m")
    assert of_hydra(tmp_path, *given)[2:4] == list(given[:2])


def test_a_config_that_is_a_multirun_by_itself_is_told_not_to_be(tmp_path: Path) -> None:
    assert "hydra.mode=RUN" in of_hydra(tmp_path, "hydra.mode=MULTIRUN", "x=1,2")
    assert "hydra.mode=MULTIRUN" not in of_hydra(tmp_path / "2", "hydra.mode=MULTIRUN", "x=1,2")


@pytest.mark.parametrize(
    ("program", "start"),
    [
        (Program(module="lab.train"), ["python", "-m", "lab.train"]),
        (Program(command="lab-train"), ["lab-train"]),
        (Program("deep/train.py", cwd="deep"), ["python", "train.py"]),
        (Program("train.py", cwd="/home/me"), ["python", "train.py"]),
    ],
)
def test_every_way_to_start_a_program(tmp_path: Path, program: Program, start: list[str]) -> None:
    assert of_hydra(tmp_path, "-m", "x=1,2", program=program)[: len(start)] == start


def test_without_a_program_there_is_no_command(tmp_path: Path) -> None:
    sweep = Sweep.create(tmp_path / "sweep", mode="local", settings={}, command=["-c"])
    job = Job(0, (), sweep.directory / "0")
    assert rerun.command(sweep, job, snapshot(Program())) is None


def test_secrets_are_in_the_line_but_not_in_what_is_shown() -> None:
    command = rerun.Command(".", (), ("python", "train.py", "wandb.api_key=abcdef12", "x=a b"))
    assert command.line == "python train.py wandb.api_key=abcdef12 'x=a b'"
    assert command.masked == "python train.py 'wandb.api_key=***' 'x=a b'"


TELLS_ITSELF = """
import json, sys
from pathlib import Path
from launchkit.code.environment import Environment
from launchkit.code.program import Program
top = Path(sys.argv[1]).resolve()
print(json.dumps(vars(Program.of_this_process(top, Environment.here()))))
"""


def told(cwd: Path, *command: str, path: str = "") -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, *command],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), path]))},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def users(tmp_path: Path) -> Path:
    users = user_repository.new_repository(tmp_path / "users", train=TELLS_ITSELF)
    (users / "src" / "lab").mkdir(parents=True)
    for name in ("lab/__init__", "lab/__main__", "lab/train"):
        (users / "src" / f"{name}.py").write_text("" if "init" in name else TELLS_ITSELF)
    return users.resolve()


def test_a_program_knows_how_it_was_started(users: Path, tmp_path: Path) -> None:
    top = str(users)
    script = {"file": "train.py", "module": None, "command": None}
    assert told(users, "train.py", top) == {**script, "cwd": ".", "import_path": []}
    assert told(tmp_path, "users/train.py", top) == {
        **script, "cwd": str(tmp_path.resolve()), "import_path": [],
    }  # fmt: skip
    module = {"file": None, "command": None, "cwd": "src", "import_path": []}
    assert told(users / "src", "-m", "lab.train", top) == {**module, "module": "lab.train"}
    assert told(users / "src", "-m", "lab", top) == {**module, "module": "lab"}


def test_code_that_is_found_by_the_import_path_is_found_in_the_checkout(users: Path) -> None:
    found = told(users, "train.py", str(users), path=str(users / "src"))
    assert found["import_path"] == ["src"]
    program = Program("train.py", cwd="work dir", import_path=("src",))
    command = rerun.Command("work dir", ("../src",), ("python", "../train.py"))
    sweep = Sweep.create(users / "sweep", mode="local", settings={}, command=["../train.py"])
    beside = Job(0, (), users / "run")
    assert rerun.command(sweep, beside, snapshot(program)) == command
    (users / "work dir").mkdir()
    (users / "train.py").write_text("import lab, sys\nprint(lab.__file__)\n")
    for before in ("", "/else/where"):
        done = subprocess.run(
            ["sh", "-c", f"cd {command.within(str(users))} && {command.line}"],
            env={
                "PATH": os.path.dirname(sys.executable) + ":" + os.environ["PATH"],
                "PYTHONPATH": before,
            },
            capture_output=True,
            text=True,
        )
        assert Path(done.stdout.strip()).resolve() == users / "src" / "lab" / "__init__.py"


def test_an_editable_install_of_the_repository_is_replaced_by_the_checkout(users: Path) -> None:
    site = users.parent / "site"
    (site / "lab-1.dist-info").mkdir(parents=True)
    url = {"url": users.as_uri(), "dir_info": {"editable": True}}
    (site / "lab-1.dist-info" / "direct_url.json").write_text(json.dumps(url))
    assert told(users, "train.py", str(users), path=str(site))["import_path"] == ["src"]
