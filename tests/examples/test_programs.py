"""The example programs run as the README says, from both directories."""

from __future__ import annotations

import csv
import json
import math
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(script, *arguments, cwd, check=True):
    """Run an example in `cwd`, with this checkout on the path whether or not it is installed."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    done = subprocess.run(
        [sys.executable, str(script), *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def rows_of(directory):
    with (directory / "progress.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def variant_of(directory):
    return json.loads((directory / "variant.json").read_text(encoding="utf-8"))


def jobs_of(cwd):
    return sorted(p.parent for p in cwd.glob("multirun/*/*/*/progress.csv"))


def test_train_runs_once(tmp_path):
    run(ROOT / "examples/train.py", "hyperparam2=2", cwd=tmp_path)
    (job,) = (p.parent for p in tmp_path.glob("outputs/*/*/progress.csv"))
    rows = rows_of(job)
    assert [int(row["epoch"]) for row in rows] == list(range(20))
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"])
    variant = variant_of(job)
    assert (variant["hyperparam1"], variant["hyperparam2"]) == ("something", 2)
    assert variant["seed"] == 0
    assert len(pickle.loads((job / "params.pkl").read_bytes())) == 3


def test_train_sweeps_over_six(tmp_path):
    done = run(
        ROOT / "examples/train.py",
        "-m",
        "hyperparam1=something,other",
        "hyperparam2=1,2,3",
        cwd=tmp_path,
    )
    jobs = jobs_of(tmp_path)
    settings = {(v["hyperparam1"], v["hyperparam2"]) for v in map(variant_of, jobs)}
    assert settings == {(rule, size) for rule in ("something", "other") for size in (1, 2, 3)}
    losses = {float(rows_of(job)[-1]["loss"]) for job in jobs}
    assert len(losses) == 6
    assert all(map(math.isfinite, losses))
    assert str(jobs[0].parent) in done.stdout + done.stderr


def test_train_is_the_same_again(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        run(ROOT / "examples/train.py", "-m", "hyperparam2=3", "seed=4,5", cwd=tmp_path / name)
    one, two = ([rows_of(job) for job in jobs_of(tmp_path / name)] for name in ("one", "two"))
    assert one == two
    assert one[0] != one[1]


def test_train_names_a_wrong_step_rule(tmp_path):
    done = run(ROOT / "examples/train.py", "hyperparam1=nothing", cwd=tmp_path, check=False)
    assert done.returncode != 0
    assert "hyperparam1='nothing': one of something, other" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("extra", "mode", "jobs"),
    [
        ((), "local", 2),
        (("hydra.launcher.n_jobs=1",), "local", 1),
        (("hydra/launcher=launchkit_here_no_doodad",), "here_no_doodad", None),
    ],
)
def test_the_launcher_is_the_laptop_s_unless_told(tmp_path, extra, mode, jobs):
    done = run(
        ROOT / "examples/train.py", "--cfg", "hydra", "-p", "hydra.launcher", *extra, cwd=tmp_path
    )
    assert f"mode: {mode}\n" in done.stdout
    assert (f"n_jobs: {jobs}\n" in done.stdout) == (jobs is not None)


def test_train_sweeps_inside_examples(tmp_path):
    """The script is named as in `cd examples; python train.py`; the outputs go elsewhere."""
    run("train.py", "-m", "hyperparam2=1,2", f"hydra.sweep.dir={tmp_path}", cwd=ROOT / "examples")
    assert [variant_of(tmp_path / str(num))["hyperparam2"] for num in (0, 1)] == [1, 2]


def test_grid_runs_the_six_of_the_readme(tmp_path):
    run(ROOT / "examples/grid.py", cwd=tmp_path)
    jobs = sorted(p.parent for p in tmp_path.glob("data/**/progress.csv"))
    settings = {(v["hyperparam1"], v["hyperparam2"]) for v in map(variant_of, jobs)}
    assert settings == {(one, two) for one in ("something", "something else") for two in (1, 2, 3)}
    for job in jobs:
        assert len(rows_of(job)) == 20
        kept = {path.name for path in job.glob("*.pkl")} - {"experiment.pkl"}
        assert kept == {"params.pkl", *(f"itr_{num}.pkl" for num in range(0, 20, 3))}


@pytest.fixture
def _learners():
    reason = "examples/cartpole.py needs it: pip install hydra-launchkit[examples]"
    pytest.importorskip("numpy", reason=reason)
    pytest.importorskip("gymnasium", reason=reason)


@pytest.mark.usefixtures("_learners")
def test_cartpole_smoke(tmp_path):
    run(ROOT / "examples/cartpole.py", "+experiment=smoke", "seed=3", cwd=tmp_path)
    (job,) = (p.parent for p in tmp_path.glob("outputs/*/*/progress.csv"))
    rows = rows_of(job)
    assert set(rows[0]) == {
        *("epoch", "AverageReturn", "StdReturn", "BestReturn", "EnvSteps", "time")
    }
    steps = [int(row["EnvSteps"]) for row in rows]
    assert len(rows) == 3
    assert steps == sorted(set(steps))
    assert float(rows[-1]["BestReturn"]) == max(float(row["AverageReturn"]) for row in rows)
    assert {path.name for path in job.glob("*.pkl")} == {"params.pkl", "itr_0.pkl"}
    assert pickle.loads((job / "params.pkl").read_bytes())["env"] == "CartPole-v1"


@pytest.mark.usefixtures("_learners")
def test_cartpole_sweeps_over_groups(tmp_path):
    run(
        ROOT / "examples/cartpole.py",
        "-m",
        "+experiment=smoke",
        "algorithm=cem,reinforce",
        "env=cartpole,pendulum",
        "algorithm.lr=0.01,0.1",
        cwd=tmp_path,
    )
    chosen = {
        (v["algorithm"]["name"], v["env"]["id"], v["algorithm"]["lr"])
        for v in map(variant_of, jobs_of(tmp_path))
    }
    assert chosen == {
        (algorithm, env, lr)
        for algorithm in ("cem", "reinforce")
        for env in ("CartPole-v1", "Pendulum-v1")
        for lr in (0.01, 0.1)
    }
