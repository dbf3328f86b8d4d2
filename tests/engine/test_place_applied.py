"""A fork that has numerical libraries imported already keeps to its place as well."""

from __future__ import annotations

import importlib.util

import pytest
from engine_helpers import environment, run_python

needs_numpy = pytest.mark.skipif(
    importlib.util.find_spec("numpy") is None, reason="numpy is not installed"
)

FORK = """
import os, sys
from launchkit.machine import openblas, processes
from launchkit.machine.placement import Place

def in_fork(run):
    sys.stdout.flush()
    _, status = os.waitpid(processes.fork(run), 0)
    assert status == 0, status
"""

THREADS = """
numpy.ones((300, 300)) @ numpy.ones((300, 300))
print(len(os.listdir("/proc/self/task")), 1 + openblas.extra_threads())
return 0
"""


def placed(before, after, cpus):
    """Return the threads that two forks of a program report, with and without a place."""
    indented = "\n    ".join(f"{after}\n{THREADS}".splitlines())
    program = f"""{FORK}
{before}
def run():
    Place(None, {cpus}, 1).apply()
    {indented}
def run_freely():
    {indented}
in_fork(run)
in_fork(run_freely)
"""
    free = environment(OPENBLAS_NUM_THREADS="2", OMP_NUM_THREADS="2")
    return [line.split() for line in run_python(program, env=free).splitlines()]


@needs_numpy
def test_a_library_that_the_launcher_has_loaded_uses_the_threads_of_the_place():
    placed_, free = placed("import numpy", "", 1)
    if free[1] != "2":
        pytest.skip("this numpy has one thread")
    assert placed_[1] == "1"


@needs_numpy
def test_one_that_only_the_job_loads_does_so_too():
    placed_, free = placed("", "import numpy", 1)
    if free != ["2", "2"]:
        pytest.skip("this numpy has one thread")
    assert placed_ == ["1", "1"]


@needs_numpy
def test_more_threads_than_the_launcher_had_can_be_had():
    placed_, free = placed("import numpy", "", 3)
    if free[1] != "2":
        pytest.skip("this numpy has one thread")
    assert placed_[1] == "3"


def test_what_the_job_starts_sees_the_place():
    program = f"""{FORK}
import subprocess
def run():
    Place(("4", "7"), 3, 3).apply()
    child = "import os; print(*map(os.environ.get, ('CUDA_VISIBLE_DEVICES', 'OMP_NUM_THREADS')))"
    subprocess.run([sys.executable, "-c", child], check=True)
    return 0
in_fork(run)
print(os.environ.get("CUDA_VISIBLE_DEVICES"), os.environ["OMP_NUM_THREADS"])
"""
    out = run_python(program, env=environment(OMP_NUM_THREADS="9", CUDA_VISIBLE_DEVICES="1"))
    assert out.splitlines() == ["4,7 3", "1 9"]


def test_torch_that_the_launcher_has_imported_is_told(tmp_path):
    (tmp_path / "torch.py").write_text(
        "threads = 8\ndef set_num_threads(count):\n    global threads\n    threads = count\n"
    )
    program = f"""{FORK}
sys.path.insert(0, sys.argv[1])
import torch
def run():
    Place(None, 2, 2).apply()
    print(torch.threads)
    return 0
in_fork(run)
print(torch.threads)
"""
    assert run_python(program, tmp_path).split() == ["2", "8"]
