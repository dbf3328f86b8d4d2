"""The payload is checked before it is unpickled."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import stat
import threading

import pytest
from engine_helpers import environment, run_python

from launchkit import payload
from launchkit.payload import PayloadError
from launchkit.sweep import Sweep

HERE = platform.python_version()


class Doubling:
    """A task that another process can import, or get by value."""

    def __init__(self, offset):
        self.offset = offset

    def run(self, job):
        return 2 * job + self.offset


class Planted:
    """A pickle that leaves a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.fixture
def sweep(tmp_path):
    return Sweep.create(tmp_path / "sweep", mode="local", settings={}, command=[])


@pytest.fixture
def planted(sweep, tmp_path):
    """A payload that shows when it is unpickled: the path it would make, and the header's."""
    payload.save(sweep, Planted(tmp_path / "unpickled"))
    return tmp_path / "unpickled"


def rewrite(made, data=None, **changed):
    """Change the header of a payload, or what comes after it."""
    path = made.own / "payload.pkl"
    line, _, old = path.read_bytes().partition(b"\n")
    header = {**json.loads(line), **changed}
    path.write_bytes(json.dumps(header).encode() + b"\n" + (old if data is None else data))


LOAD = """
import sys
from launchkit import payload
from launchkit.sweep import Sweep
task = payload.load(Sweep.open(sys.argv[1]))
print(task.run(20), "torch" in sys.modules)
"""


def test_a_task_arrives_in_another_process(sweep):
    payload.save(sweep, Doubling(2))
    assert run_python(LOAD, sweep.directory, cwd="/").split() == ["42", "False"]


def test_a_task_of_the_main_program_arrives_by_value(sweep):
    program = """
import sys
from launchkit import payload
from launchkit.sweep import Sweep
offset = 2
class Task:
    def run(self, job):
        return (lambda: 2 * job + offset)()
payload.save(Sweep.open(sys.argv[1]), Task())
"""
    run_python(program, sweep.directory)
    assert run_python(LOAD, sweep.directory).split() == ["42", "False"]


def test_the_job_finds_modules_and_files_where_the_launcher_did(sweep, tmp_path):
    (tmp_path / "users").mkdir()
    (tmp_path / "users" / "users_module.py").write_text(
        "import os\nclass Task:\n    def run(self, job): return os.getcwd()\n"
    )
    program = """
import os, sys
os.chdir(sys.argv[2])
sys.path.insert(0, "")
from users_module import Task
from launchkit import payload
from launchkit.sweep import Sweep
payload.save(Sweep.open(sys.argv[1]), Task())
"""
    run_python(program, sweep.directory, tmp_path / "users")
    assert run_python(LOAD, sweep.directory, cwd="/").split()[0] == str(tmp_path / "users")


@pytest.mark.parametrize(
    ("same", "exists", "expected"),
    [(False, True, "there/sub"), (True, True, "users/sub"), (True, False, "there/sub")],
)
def test_code_that_came_along_is_found_where_it_is(sweep, tmp_path, same, exists, expected):
    users, there = tmp_path / "users", tmp_path / "there"
    for top in (users, there):
        (top / "sub").mkdir(parents=True)
    (users / "users_module.py").write_text(
        "import os\nclass Task:\n    def run(self, job): return (os.getcwd(), __file__)\n"
    )
    program = """
import os, sys
os.chdir(sys.argv[2] + "/sub")
sys.path.insert(0, sys.argv[2])
from users_module import Task
from launchkit import payload
from launchkit.sweep import Sweep
payload.save(Sweep.open(sys.argv[1]), Task())
"""
    run_python(program, sweep.directory, users)
    (users / "users_module.py").rename(there / "users_module.py")
    if not exists:
        shutil.rmtree(users)
    variables = {payload.PATHS: json.dumps({str(users): str(there)})}
    if same:
        variables[payload.SAME_CWD] = "1"
    said = run_python(LOAD, sweep.directory, cwd="/", env=environment(**variables))
    assert str(tmp_path / expected) in said
    assert str(there / "users_module.py") in said


def test_it_is_for_the_owner_only(sweep):
    payload.save(sweep, Doubling(1))
    assert stat.S_IMODE((sweep.own / "payload.pkl").stat().st_mode) == 0o600


def test_the_planted_pickle_does_what_the_tests_below_rely_on(sweep, planted):
    rewrite(sweep)
    payload.load(sweep)
    assert planted.exists()


def test_one_of_another_sweep_is_refused_by_both_names(sweep, planted):
    rewrite(sweep, sweep="20260101-000000-abcdef")
    with pytest.raises(PayloadError, match=f"20260101-000000-abcdef, not of {sweep.id}; start"):
        payload.load(sweep)
    assert not planted.exists()


@pytest.mark.parametrize("version", ["3.9.18", "4.11.3"])
def test_one_of_another_python_is_refused_by_both_versions(sweep, planted, version):
    rewrite(sweep, python=version)
    minor = version.rpartition(".")[0]
    with pytest.raises(PayloadError, match=rf"{version} and this is {HERE}; .* Python {minor}$"):
        payload.load(sweep)
    assert not planted.exists()


def test_another_patch_of_this_python_is_fine(sweep):
    payload.save(sweep, Doubling(0))
    rewrite(sweep, python=f"{HERE.rpartition('.')[0]}.99")
    assert payload.load(sweep).run(1) == 2


def test_a_damaged_one_is_refused(sweep, planted):
    path = sweep.own / "payload.pkl"
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    with pytest.raises(PayloadError, match=r"damaged .*start the sweep again"):
        payload.load(sweep)
    assert not planted.exists()


def test_one_cut_short_anywhere_is_refused(sweep, planted):
    path = sweep.own / "payload.pkl"
    data = path.read_bytes()
    for length in (0, 1, data.index(b"\n"), data.index(b"\n") + 1, len(data) - 1):
        path.write_bytes(data[:length])
        with pytest.raises(PayloadError, match="start the sweep again"):
            payload.load(sweep)
    assert not planted.exists()


@pytest.mark.parametrize("header", ["[]", "1", "{}", '{"sweep": 1}'])
def test_a_header_that_is_another_thing_is_refused(sweep, planted, header):
    path = sweep.own / "payload.pkl"
    data = path.read_bytes().partition(b"\n")[2]
    path.write_bytes(header.encode() + b"\n" + data)
    with pytest.raises(PayloadError, match="start the sweep again"):
        payload.load(sweep)
    assert not planted.exists()


def test_a_missing_one_is_named(sweep):
    with pytest.raises(PayloadError) as caught:
        payload.load(sweep)
    assert f"{sweep.own / 'payload.pkl'} is not there" in str(caught.value)
    assert f"hydra.sweep.dir={sweep.directory} hydra.launcher.resume=true" in str(caught.value)


def test_a_task_that_cannot_be_pickled_is_refused_with_what_needs_no_pickling(sweep):
    with pytest.raises(PayloadError, match=r"cannot be pickled \(TypeError: .*lock.*fork"):
        payload.save(sweep, Doubling(threading.Lock()))
    assert not (sweep.own / "payload.pkl").exists()


def test_the_header_says_what_wrote_it(sweep):
    payload.save(sweep, Doubling(1))
    line, _, data = (sweep.own / "payload.pkl").read_bytes().partition(b"\n")
    header = json.loads(line)
    assert header["sweep"] == sweep.id
    assert header["python"] == HERE
    assert {"hydra-core", "omegaconf", "cloudpickle"} <= set(header["packages"])
    assert header["sha256"] == hashlib.sha256(data).hexdigest()
