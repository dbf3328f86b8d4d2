"""The benchmark programs run. What they measure is not a test's business."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
PEERS = {
    "bench_sweep_wall": "hydra-joblib-launcher",
    "bench_first_job": "hydra-joblib-launcher",
    "bench_slurm": "hydra-submitit-launcher",
}
"""What a program compares with that may not be installed."""

linux = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="reads what only Linux has, in /proc"
)
slurm = (pytest.mark.slurm, pytest.mark.doodad)
docker = (pytest.mark.docker, pytest.mark.doodad)
cloud = (pytest.mark.cloud, *docker)


def run(name: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / f"{name}.py"), *arguments],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "name",
    [
        "bench_sweep_wall",
        "bench_first_job",
        "bench_sweep_cpu",
        pytest.param("bench_memory", marks=linux),
        "bench_plugin_start",
        "bench_scaling",
        "bench_commands",
        pytest.param("bench_slurm", marks=slurm),
        pytest.param("bench_docker", marks=docker),
        pytest.param("bench_archive", marks=docker),
        pytest.param("bench_cloud", marks=cloud),
    ],
)
def test_a_program_runs(name, monkeypatch):
    peer = PEERS.get(name)
    if peer and not list(importlib.metadata.distributions(name=peer)):
        pytest.skip(f"{peer} is not installed: pip install hydra-launchkit[bench]")
    before = _results()
    # doodad prints the name of each file it packs to a pipe that nobody reads: where a long path
    # is in all of them, that is full before the last, and it waits for ever.
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="b") as folder:
        monkeypatch.setenv("TMPDIR", folder)
        said = run(name, "--rounds", "1", "--jobs", "4")
        assert os.listdir(folder) == [], "its temporary files are gone"
    assert "(too small to be judged)" in said
    assert _results() == before, "what is too small is not kept"


def _results() -> dict[str, float]:
    return {path.name: path.stat().st_mtime for path in (BENCHMARKS / "results").glob("*")}


def measured(tmp_path: Path, command: list[str]) -> subprocess.CompletedProcess[str]:
    """Measure a command in a process of its own: it waits for all the children it has."""
    program = (
        f"import os, pathlib, sys; sys.path.insert(0, {str(BENCHMARKS)!r})\n"
        "from _processes import run\n"
        f"done = run({command!r}, pathlib.Path({str(tmp_path)!r}), os.environ)\n"
        "print(done.wall, done.cpu)\n"
    )
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)


def test_a_run_that_fails_is_not_measured(tmp_path):
    done = measured(tmp_path, [sys.executable, "-c", "print('told'); raise SystemExit(3)"])
    assert done.returncode != 0
    assert "RunFailed" in done.stderr
    assert "ended with 3:\ntold" in done.stderr


@pytest.mark.parametrize("waits", ["run", "Popen"])
def test_the_cpu_time_of_children_counts(tmp_path, waits):
    """That of the orphans too, which outlive the program."""
    if waits == "Popen" and not sys.platform.startswith("linux"):
        pytest.skip("only Linux lets a process adopt orphans")
    burn = "import time\nwhile time.process_time() < 0.3: pass"
    program = f"import subprocess, sys\nsubprocess.{waits}([sys.executable, '-c', {burn!r}])"
    done = measured(tmp_path, [sys.executable, "-c", program])
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.split()[1]) >= 0.3


def test_the_table_goes_between_its_markers(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import run_all

    line = {"name": "n", "ours": [1.0, 2.0, 3.0], "theirs": [8.0, 8.0, 8.0], "ratio": 4.0}
    line |= {"required": 3.0, "unit": "s", "reached": True}
    limit = {"name": "m", "ours": [4.0], "limit": 3.0, "unit": "ms", "reached": False}
    machine = {"processor": "P", "cores": 2, "system": "S", "python": "3.x", "versions": {"a": "1"}}
    raw = {"machine": machine, "time": 0.0, "comparisons": [line, limit]}
    made = run_all.table({"bench_sweep_wall": raw})
    assert "| 3 times as good | 4 times (2 s, theirs 8 s) | 3 | PASS |" in made
    assert "| at most 3 ms | 4 ms | 1 | SHORT |" in made
    assert "P, 2 cores, S, Python 3.x, a 1; 1970-01-01." in made
    text = f"prose\n{run_all.BEGIN}\nold\n{run_all.END}\nmore\n"
    assert run_all.with_table(text, "new") == text.replace("old", "new")
    with pytest.raises(ValueError, match="has no"):
        run_all.with_table("no markers", made)
