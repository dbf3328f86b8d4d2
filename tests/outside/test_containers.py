"""The scripts that put a pack into a container: what they are, and what they do.

They are run with stand-ins for ``docker`` and ``apptainer`` that write down what they were
asked, by every shell that is here.
"""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from golden_files import check_golden

from launchkit.outside import docker
from launchkit.outside.containers import USER, Container, Mount, docker_script, docker_trial
from launchkit.outside.singularity_script import (
    NO_PROGRAM_CODE,
    singularity_script,
    singularity_trial,
)

SHELLS = [
    [found, *more]
    for shell, *more in (
        ["dash"],
        ["bash", "--posix"],
        ["busybox", "sh"],
        ["zsh", "--emulate", "sh"],
    )
    if (found := shutil.which(shell))
]
EACH_SHELL = pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: Path(shell[0]).name)
PLAIN = Container(
    image="python:3.11-slim",
    mounts=(
        Mount("deps/local/code0", "/home/me/project"),
        Mount("/data/sets", "/home/me/project/data"),
        Mount("/home/me/results", "/home/me/results", writable=True),
    ),
    workdir="/home/me/project",
    env=("API_KEY",),
    args=("--network=none", "--volume", "/a b:/c"),
)
GPUS = Container(image="img", mounts=(), workdir="/tmp", gpus=True)
HOSTILE = (
    *("a b", "a,b", "a:b", 'a"b', "a'b", "a\\b", "a$HOME", "a`id`", "a$(id)", "-x", "--", "a\nb"),
    *("a=b", "a;b", "#", "~", "*", "?[x]", "{b}", '"', '""', " first", "last ", "a\tb", "ü漢😀"),
)

STAND_IN = """#!/bin/sh
printf '%s\\0' "$@" >{told}/words
env -0 >{told}/environment
pwd >{told}/directory
exit 7
"""


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """Stand-ins for the programs, and where they tell what they were asked last."""
    folder, told = tmp_path / "bin", tmp_path / "told"
    folder.mkdir()
    told.mkdir()
    for name in ("docker", "apptainer"):
        path = folder / name
        path.write_text(STAND_IN.format(told=told))
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder, told


def unpack(directory, script, code=("code0",)):
    """Lay out what a sweep's directory has while it runs, and return the script's file."""
    here = directory / ".launchkit" / "unpacked"
    for name in code:
        (here / "deps" / "local" / name).mkdir(parents=True)
    path = here / "final_script.sh"
    path.write_text(script, encoding="utf-8")
    return path


def asked(told, shell, path, **variables):
    """Run a script, and return what the stand-in was asked: words, environment, directory."""
    done = subprocess.run(
        [*shell, path, "5"],
        env={**os.environ, "LAUNCHKIT_TAG": "the.tag", **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (7, "", "")
    return told_words(told), told_environment(told), (told / "directory").read_text().strip()


def told_words(told):
    return (told / "words").read_text("utf-8").split("\0")[:-1]


def told_environment(told):
    items = (told / "environment").read_bytes().decode("utf-8", "replace").split("\0")
    return dict(item.partition("=")[::2] for item in items[:-1])


def values(words, flag):
    """Return what follows a flag, each time."""
    return [words[i + 1] for i, word in enumerate(words) if word == flag]


def mounts(words):
    """Return the mounts that Docker is asked for, by their fields."""
    found = []
    for value in values(words, "--mount"):
        found.append(dict(field.partition("=")[::2] for field in one(value)))
    return found


def one(value):
    (record,) = csv.reader(value.splitlines(keepends=True), strict=True)
    return record


# What they are


@pytest.mark.parametrize(
    ("name", "container"), [("docker.sh", PLAIN), ("docker_gpus.sh", GPUS)], ids=["plain", "gpus"]
)
def test_the_script_of_docker(name, container):
    check_golden(name, docker_script(container, "launchkit-20260101-abc"))


@pytest.mark.parametrize(
    ("name", "container"),
    [
        ("singularity.sh", Container(**{**vars(PLAIN), "image": "/images/a b.sif"})),
        ("singularity_gpus.sh", Container(**{**vars(GPUS), "image": "docker://python:3.11"})),
        (
            "singularity_clean.sh",
            Container("/i.sif", (), "/tmp", ("API_KEY",), args=("--cleanenv", "--userns")),
        ),
    ],
    ids=["plain", "fetched and gpus", "clean"],
)
def test_the_script_of_singularity(name, container):
    check_golden(name, singularity_script(container))


# What they do


@EACH_SHELL
@pytest.mark.parametrize("name", HOSTILE)
def test_docker_is_asked_for_the_very_paths(tmp_path, programs, shell, name):
    code = tmp_path / name / "project"
    sweep = code / "multirun" / name
    source = tmp_path / "in" / name
    container = Container(
        image="img",
        mounts=(
            Mount("deps/local/code0", str(code)),
            Mount(str(source), str(code / "data" / name)),
            Mount(str(tmp_path / name / "out"), f"/out/{name}", writable=True),
        ),
        workdir=str(code),
        args=(name,),
    )
    path = unpack(sweep, docker_script(container, "the-name"))
    words, _, _ = asked(programs[1], shell, path)
    here = path.parent
    assert mounts(words) == [
        {"type": "bind", "source": f"{here}/deps/local/code0", "target": str(code), "readonly": ""},
        {
            "type": "bind",
            "source": str(source),
            "target": str(code / "data" / name),
            "readonly": "",
        },
        {"type": "bind", "source": str(tmp_path / name / "out"), "target": f"/out/{name}"},
        {"type": "bind", "source": str(sweep), "target": str(sweep)},
    ]
    assert values(words, "--workdir") == [str(code)]
    assert words[words.index("--entrypoint") - 1] == name
    assert words[-2:] == [f"{here}/run.sh", "5"]
    # A read-only copy must have what is mounted within it.
    assert (here / "deps/local/code0/data" / name).is_dir()
    assert (here / "deps/local/code0/multirun" / name).is_dir()
    assert (tmp_path / name / "out").is_dir()


@EACH_SHELL
@pytest.mark.parametrize("name", HOSTILE)
def test_singularity_is_asked_for_the_very_paths(tmp_path, programs, shell, name):
    code = tmp_path / name / "project"
    sweep = code / "multirun" / name
    container = Container(
        image=f"/images/{name}",
        mounts=(
            Mount("deps/local/code0", str(code)),
            Mount(f"/in/{name}", str(code / "data" / name)),
        ),
        workdir=str(code),
        args=(name,),
    )
    path = unpack(sweep, singularity_script(container))
    words, _, cwd = asked(programs[1], shell, path)
    here = path.parent
    pairs = [
        (f"{here}/deps/local/code0", str(code), "ro"),
        (f"/in/{name}", str(code / "data" / name), "ro"),
        (str(sweep), str(sweep), ""),
    ]
    got = [words[i : i + 2] for i, word in enumerate(words) if word in ("--bind", "--mount")]
    for (flag, spec), (source, target, option) in zip(got, pairs, strict=True):
        if flag == "--bind":
            assert not set(',:\\"') & set(source + target)
            assert spec == f"{source}:{target}" + (f":{option}" if option else "")
        else:
            wanted = ["type=bind", f"source={source}", f"destination={target}"]
            assert one(spec) == [*wanted, *([option] if option else [])]
    assert words[-5:] == [name, f"/images/{name}", "/bin/sh", f"{here}/run.sh", "5"]
    # What it is started in is not mounted, over the code.
    assert cwd == "/"
    assert (here / "deps/local/code0/data" / name).is_dir()
    assert (here / "deps/local/code0/multirun" / name).is_dir()


def test_docker_runs_as_who_starts_it_with_all_groups_and_the_umask(tmp_path, programs):
    path = unpack(tmp_path / "sweep", docker_script(PLAIN, "name"))
    path.write_text(path.read_text().replace("/home/me/results", str(tmp_path / "results")))
    script = f"umask 027; exec sh {path} 5"
    subprocess.run(["sh", "-c", script], check=False, env={**os.environ, "LAUNCHKIT_TAG": "t"})
    words = told_words(programs[1])
    assert values(words, "--user") == [f"{os.getuid()}:{os.getgid()}"]
    assert set(values(words, "--group-add")) == {
        str(group) for group in {*os.getgroups(), os.getgid()}
    }
    assert values(words, "--label") == ["launchkit.tag=t"]
    assert values(words, "--name") == ["name-5"]
    assert "--rm" in words
    assert int(words[-3], 8) == 0o027
    assert {"LAUNCHKIT_TAG", "OMP_NUM_THREADS", "API_KEY"} <= set(values(words, "--env"))
    other = asked(programs[1], ["sh"], path, **{USER: "0:0"})[0]
    assert values(other, "--user") == ["0:0"]


@pytest.mark.parametrize(
    ("gpus", "wanted"), [("0,2", ['"device=0,2"']), ("", []), (None, [])], ids=["two", "none", "no"]
)
def test_docker_is_asked_for_the_gpus_of_the_place(tmp_path, programs, monkeypatch, gpus, wanted):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    path = unpack(tmp_path / "sweep", docker_script(GPUS, "name"))
    variables = {} if gpus is None else {"CUDA_VISIBLE_DEVICES": gpus}
    words, _, _ = asked(programs[1], ["sh"], path, **variables)
    assert values(words, "--gpus") == wanted


def test_singularity_takes_the_gpus_unless_there_are_none(tmp_path, programs):
    container = Container("/i.sif", (), "/tmp", gpus=True)
    path = unpack(tmp_path / "sweep", singularity_script(container))
    for gpus, wanted in (("0", True), ("", False)):
        words, environment, _ = asked(programs[1], ["sh"], path, CUDA_VISIBLE_DEVICES=gpus)
        assert ("--nv" in words) is wanted
        assert environment["CUDA_VISIBLE_DEVICES"] == gpus


def test_the_hosts_python_leaves_nothing_in_the_environment(tmp_path, programs):
    hosts = {"PYTHONPATH": "/host", "PYTHONHOME": "/host"}
    path = unpack(tmp_path / "sweep", singularity_script(Container("/i.sif", (), "/tmp")))
    words, environment, _ = asked(
        programs[1], ["sh"], path, **hosts, MY_KEY="$(id)", OMP_NUM_THREADS="3"
    )
    assert not set(hosts) & set(environment)
    assert environment["PYTHONNOUSERSITE"] == "1"
    assert environment["LAUNCHKIT_TAG"] == "the.tag"
    assert environment["MY_KEY"] == "$(id)"
    assert environment["OMP_NUM_THREADS"] == "3"
    assert "--cleanenv" not in words


def test_in_a_clean_environment_is_what_was_asked_for_unread(tmp_path, programs):
    container = Container("/i.sif", (), "/tmp", ("MY_KEY",), args=("--cleanenv",))
    path = unpack(tmp_path / "sweep", singularity_script(container))
    words, environment, _ = asked(programs[1], ["sh"], path, MY_KEY="$(id) a,b", OTHER="x")
    for prefix in ("APPTAINERENV", "SINGULARITYENV"):
        assert environment[f"{prefix}_MY_KEY"] == "$(id) a,b"
        assert environment[f"{prefix}_LAUNCHKIT_TAG"] == "the.tag"
        assert environment[f"{prefix}_PYTHONNOUSERSITE"] == "1"
        assert f"{prefix}_OTHER" not in environment
    assert words.index("--no-eval") < words.index("/i.sif")


def test_singularity_is_taken_where_there_is_no_apptainer(tmp_path, programs):
    folder, told = programs
    (folder / "apptainer").rename(folder / "singularity")
    path = unpack(tmp_path / "sweep", singularity_script(Container("/i.sif", (), "/tmp")))
    assert asked(told, ["sh"], path)[0][-4] == "/i.sif"
    (folder / "singularity").unlink()
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in ("sh", "dirname", "uname", "id", "sed", "mkdir"):
        (tools / tool).symlink_to(shutil.which(tool))
    done = subprocess.run(
        ["sh", path, "5"], env={"PATH": str(tools)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == NO_PROGRAM_CODE
    assert done.stderr.startswith(
        "launchkit: there is neither apptainer nor singularity on PATH on "
    )


def test_an_image_that_was_fetched_is_taken_before_it_is_fetched_again(tmp_path, programs):
    script = singularity_script(Container("docker://python:3.11", (), "/tmp"))
    path = unpack(tmp_path / "sweep", script)
    assert asked(programs[1], ["sh"], path)[0][-4] == "docker://python:3.11"
    image = tmp_path / "sweep" / ".launchkit" / "image.sif"
    image.touch()
    assert asked(programs[1], ["sh"], path)[0][-4] == str(image)


def test_what_singularity_unpacks_is_put_where_it_is_removed(tmp_path, programs, monkeypatch):
    for name in ("APPTAINER_TMPDIR", "SINGULARITY_TMPDIR"):
        monkeypatch.delenv(name, raising=False)
    path = unpack(tmp_path / "sweep", singularity_script(Container("/i.sif", (), "/tmp")))
    environment = asked(programs[1], ["sh"], path)[1]
    assert environment["APPTAINER_TMPDIR"] == environment["SINGULARITY_TMPDIR"]
    assert environment["APPTAINER_TMPDIR"] == str(path.parent / "tmp")
    assert (path.parent / "tmp").is_dir()
    chosen = str(tmp_path / "chosen")
    assert (
        asked(programs[1], ["sh"], path, APPTAINER_TMPDIR=chosen)[1]["APPTAINER_TMPDIR"] == chosen
    )


def test_a_sweep_behind_a_link_is_there_at_both_paths(tmp_path, programs):
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    path = unpack(
        tmp_path / "link" / "sweep",
        singularity_script(Container("/i.sif", (), "/tmp")),
    )
    words, _, _ = asked(programs[1], ["sh"], path)
    real, link = tmp_path / "disk" / "sweep", tmp_path / "link" / "sweep"
    assert values(words, "--bind") == [f"{real}:{real}", f"{real}:{link}"]


@pytest.mark.parametrize(
    ("args", "root"), [((), True), (("--fakeroot",), False), (("-u",), False)], ids=str
)
def test_root_takes_no_privileges_along(tmp_path, programs, args, root):
    container = Container("/i.sif", (), "/tmp", args=args)
    path = unpack(tmp_path / "sweep", singularity_script(container))
    words, _, _ = asked(programs[1], ["sh"], path)
    assert ("--no-privs" in words) is (root and os.getuid() == 0)


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ('["name=seccomp,profile=default"]', None),
        ('["name=seccomp,profile=default","name=rootless"]', "0:0"),
    ],
    ids=["root's engine", "rootless"],
)
def test_files_are_the_users_own_in_an_engine_without_root_too(programs, options, wanted):
    (programs[0] / "docker").write_text(f"#!/bin/sh\necho '{options}'\n")
    assert docker.user() == (wanted or f"{os.getuid()}:{os.getgid()}")


@pytest.mark.parametrize("make", [docker_trial, singularity_trial], ids=["docker", "singularity"])
def test_a_trial_runs_a_script_and_sees_no_sweep(tmp_path, programs, make):
    container = Container("img", (Mount("/in put", "/in"),), "/work dir", args=("--more",))
    script = "echo 'a  b' \"$HOME\"\nexit 3"
    more = ("name",) if make is docker_trial else ()
    text = make(container, *more, script)
    done = subprocess.run(["sh", "-c", text], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (7, "")
    words = told_words(programs[1])
    assert words[-1] == script
    assert "--more" in words
    assert not any("launchkit" in word for word in words)


def test_there_is_a_shell_that_knows_no_more_than_it_must():
    assert {"dash", "busybox"} & {Path(shell).name for shell, *_ in SHELLS}


GOLDEN = sorted(Path(__file__).with_name("golden").glob("*.sh"))


@EACH_SHELL
@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.name)
def test_every_golden_script_is_a_script(shell, path):
    done = subprocess.run([*shell, "-n", path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
