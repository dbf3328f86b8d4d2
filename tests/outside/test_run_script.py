"""``run.sh``: it finds a Python, sets what the user wants, and hands on two words."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from golden_files import check_golden
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from launchkit.outside import probe
from launchkit.outside.scripts import NO_PYTHON_CODE, bare_script, run_script

SHELLS = [
    [found, *more]
    for shell, *more in (["dash"], ["bash", "--posix"], ["busybox", "sh"])
    if (found := shutil.which(shell))
]
EACH_SHELL = pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: Path(shell[0]).name)
VERSION = "{}.{}".format(*sys.version_info[:2])
VALUES = (
    *(
        "",
        " ",
        "a b",
        "it's",
        '"',
        "\\",
        "\\n",
        "$HOME",
        "${HOME}",
        "$(id)",
        "`id`",
        ";id",
        "&",
        "|",
    ),
    *(
        "\n",
        "a\nb\n",
        "\t",
        "\r",
        "-n",
        "--",
        "#",
        "~",
        "*",
        "!",
        "=",
        "a=b",
        "ü漢😀",
        "\x1b[31m",
        "'\"'",
    ),
)
TELLS = """#!/bin/sh
printf '%s\\0' "$0" "$@" >{told}/words
env -0 >{told}/environment
exit 7
"""


@pytest.fixture
def place(tmp_path):
    """Lay out an unpacked archive, and a folder for programs, the only one on PATH."""
    return make_place(tmp_path)


def make_place(directory, name="a sw'eep\n$(id)"):
    here = directory / name / ".launchkit" / "unpacked"
    programs, told = directory / "bin", directory / "told"
    for folder in (here, programs, told):
        folder.mkdir(parents=True)
    for tool in ("sh", "dirname", "env", "cat", "touch"):
        (programs / tool).symlink_to(shutil.which(tool))
    return here, programs, told


def add_python(place, name):
    path = place[1] / name
    path.write_text(TELLS.format(told=place[2]))
    path.chmod(0o755)
    return path


def run(place, shell, text, **variables):
    """Run a script as ``run.sh 5``, and return how it went."""
    path = place[0] / "run.sh"
    path.write_bytes(text.encode())
    return subprocess.run(
        [*shell, path, "5"],
        env={"PATH": str(place[1]), **variables},
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def told(place):
    """Return the words that a Python was started with, and its environment."""
    words = (place[2] / "words").read_text("utf-8").split("\0")[:-1]
    items = (place[2] / "environment").read_bytes().decode().split("\0")[:-1]
    return words, dict(item.partition("=")[::2] for item in items)


def test_the_script():
    env = {"SET": "it's\na $(value)", "PASSED": None}
    text = run_script(
        None, env, [". /opt/conda/bin/activate env"], "image 'img'", ["/first/py thon"]
    )
    check_golden("run.sh", text.replace(VERSION, "3.X"))


def test_the_script_without_a_container():
    check_golden("bare.sh", bare_script())


@EACH_SHELL
def test_it_hands_on_the_sweep_and_the_pack(place, shell):
    python = add_python(place, "python3")
    done = run(place, shell, run_script(None, {}, [], "this"))
    assert (done.returncode, done.stdout, done.stderr) == (7, "", "")
    here = place[0]
    assert told(place)[0] == [str(python), f"{here}/bootstrap.py", str(here.parents[1]), "5"]


@EACH_SHELL
def test_every_value_arrives_unchanged(place, shell):
    add_python(place, "python3")
    env = {f"V{number}": value for number, value in enumerate(VALUES)}
    run(place, shell, run_script(None, env, [], "this"))
    got = told(place)[1]
    assert {name: got[name] for name in env} == env


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
def test_whatever_the_value_is(tmp_path_factory, value):
    place = make_place(tmp_path_factory.mktemp("value"))
    add_python(place, "python3")
    run(place, ["sh"], run_script(None, {"VALUE": value}, [], "this"))
    assert told(place)[1]["VALUE"] == value


@EACH_SHELL
@pytest.mark.parametrize("name", ["here", "sweep", "pack", "python", "CDPATH", "PS1", "_x"])
def test_variables_may_be_called_as_those_of_the_script(place, shell, name):
    add_python(place, "python3")
    done = run(place, shell, run_script(None, {name: "/mine"}, [], "this"))
    assert done.returncode == 7, done.stderr
    words, environment = told(place)
    assert environment[name] == "/mine"
    assert words[2:] == [str(place[0].parents[1]), "5"]


@EACH_SHELL
def test_a_null_takes_the_variable_as_it_is(place, shell):
    add_python(place, "python3")
    run(
        place,
        shell,
        run_script(None, {"PASSED": None, "LACKING": None}, [], "this"),
        PASSED="$(id)",
    )
    environment = told(place)[1]
    assert environment["PASSED"] == "$(id)"
    assert "LACKING" not in environment


# Setup commands


@EACH_SHELL
def test_setup_commands_see_the_variables_and_change_what_python_sees(place, shell):
    add_python(place, "python3")
    commands = [
        'export MADE="$SET and more"  # a comment',
        'if [ -n "$NEVER_SET" ]; then\n  exit 9\nfi',
        "cat <<EOF\n$SET\nEOF",
        "cd /",
    ]
    done = run(place, shell, run_script(None, {"SET": "it's"}, commands, "this"))
    assert (done.returncode, done.stdout) == (7, "it's\n"), done.stderr
    words, environment = told(place)
    assert environment["MADE"] == "it's and more"
    assert words[2:] == [str(place[0].parents[1]), "5"]


@EACH_SHELL
def test_a_setup_command_may_bring_the_python(place, shell):
    add_python(place, "python3")
    (place[1] / "mine").mkdir()
    path = place[1] / "mine" / "python3"
    shutil.copy(place[1] / "python3", path)
    run(place, shell, run_script(None, {}, [f"PATH='{place[1]}/mine':$PATH"], "this"))
    assert told(place)[0][0] == str(path)


@EACH_SHELL
def test_a_setup_command_that_fails_ends_it(place, shell):
    add_python(place, "python3")
    commands = ["echo why >&2; false", "touch never"]
    done = run(place, shell, run_script(None, {}, commands, "this"))
    assert (done.returncode, done.stderr) == (1, "why\n")
    assert not (place[2] / "words").exists()


# Which Python


@EACH_SHELL
def test_the_launchers_version_is_preferred_and_any_other_taken(place, shell):
    names = ["python", "python3", f"python{VERSION}", "first python"]
    for name in names:
        add_python(place, name)
        run(place, shell, run_script(None, {}, [], "this", [str(place[1] / "first python")]))
        assert told(place)[0][0] == str(place[1] / name)


@EACH_SHELL
@pytest.mark.parametrize(
    ("python", "first", "named"),
    [
        (None, (), f"python{VERSION}, python3 or python"),
        (None, ("/a/b c",), f"/a/b c, python{VERSION}, python3 or python"),
        ("/opt/it's/python", (), "/opt/it's/python"),
    ],
    ids=["any", "first", "one"],
)
def test_no_python(place, shell, python, first, named):
    if python is not None:
        add_python(place, "python3")
    done = run(place, shell, run_script(python, {}, [], "image 'it''s'", first))
    assert (done.returncode, done.stdout) == (NO_PYTHON_CODE, "")
    assert done.stderr == f"launchkit: image 'it''s' has no {named}\n"


@EACH_SHELL
def test_bare_it_is_run_as_it_is(place, shell):
    (place[0] / "final_script.sh").write_text(bare_script())
    run_sh = place[0] / "run.sh"
    run_sh.write_text("#!/bin/sh\nprintf '%s|' \"$@\"; exit 3\n")
    run_sh.chmod(0o755)
    done = subprocess.run(
        [*shell, place[0] / "final_script.sh", "12"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (3, "12|", "")


# What is asked before


@EACH_SHELL
def test_the_probe_tells_of_the_same_python(place, shell):
    text = probe.shell(sys.executable, ["echo noise", 'export PROBED="$SET"'], {"SET": "it's"})
    done = subprocess.run(
        [*shell, "-c", text], capture_output=True, text=True, check=False, env=dict(os.environ)
    )
    assert (done.returncode, done.stderr) == (0, "")
    found = probe.Found.parse(done.stdout)
    assert found.python == "{}.{}.{}".format(*sys.version_info[:3])
    assert sys.prefix in found.dirs


@EACH_SHELL
@pytest.mark.parametrize(
    ("commands", "code"), [((), 127), (("exit 4",), 4), (("false", "true"), 1)], ids=str
)
def test_the_probe_fails_as_the_script_would(tmp_path, shell, commands, code):
    text = probe.shell("/no/python", commands)
    done = subprocess.run([*shell, "-c", text], capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (code, b"", b"")
