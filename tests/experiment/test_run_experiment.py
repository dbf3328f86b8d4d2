"""`run_experiment`, as the README has it."""

from __future__ import annotations

import copy
import csv
import datetime
import inspect
import json
import logging
import os
import pickle
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import experiments
import pytest
import viskit_reader

from launchkit.driver import current
from launchkit.handle import JobHandle, NotCompleted
from launchkit.launcher_util import ExperimentsFailed, run_experiment
from launchkit.mode_parameters import OF_MODES
from launchkit.sweep import Sweep, SweepError

ROOT = Path(__file__).parents[2]
VARIANT = {
    "hyperparam1": ["something", "something else"],
    "hyperparam2": [1, 2, 3],
    "hyperparam_fixed": False,
}
NAME = re.compile(r"(\d\d-\d\d-test)_\d{4}(_\d\d){5}_(\d{4})--s-(\d+)(-\d+)?")


def runs(base):
    """Return the directories of the runs below a base, by experiment number."""
    found = [path.parent for path in base.glob("*/*/variant.json")]
    return sorted(found, key=lambda path: NAME.fullmatch(path.name)[3])


def sweep_of(base):
    (path,) = base.glob("*/*/.launchkit/sweep.json")
    return Sweep.open(path.parent.parent)


def written(base):
    """Return everything below a base; nothing, if there is no such directory."""
    return sorted(str(path.relative_to(base)) for path in base.rglob("*"))


@pytest.fixture
def base(tmp_path):
    return tmp_path / "data"


@pytest.mark.parametrize("mode", ["here_no_doodad", "local"])
def test_the_example_of_the_readme(base, mode):
    values = run_experiment(
        experiments.learn,
        variant=VARIANT,
        exp_prefix="test",
        mode=mode,
        snapshot_mode="gap_and_last",
        snapshot_gap=3,
        base_log_dir=base,
    )
    combinations = [(value["hyperparam1"], value["hyperparam2"]) for value in values]
    assert combinations == [
        (one, two) for one in ("something", "something else") for two in (1, 2, 3)
    ]
    day = f"{datetime.datetime.now():%m-%d}"
    directories = runs(base)
    assert len(directories) == 6
    for number, (directory, value) in enumerate(zip(directories, values, strict=True)):
        name = NAME.fullmatch(directory.name)
        assert directory.parent == base / f"{day}-test"
        assert (name[1], int(name[3]), int(name[4])) == (f"{day}-test", number, value["seed"])
        assert {"variant.json", "progress.csv", "debug.log", "params.pkl", "itr_0.pkl"} <= set(
            os.listdir(directory)
        )
        assert not (directory / "itr_1.pkl").exists()
        variant = json.loads((directory / "variant.json").read_text())
        assert variant == {**value, "exp_name": directory.name}
        assert variant["hyperparam_fixed"] is False
        assert variant["exp_id"] == number
        with (directory / "progress.csv").open() as stream:
            assert [row["epoch"] for row in csv.DictReader(stream)] == ["0", "1"]
        assert (directory / "script_name.txt").read_text() == sys.argv[0]
    assert [str(attempt.state) for attempt in sweep_of(base).attempts().values()] == (
        ["completed"] * 6
    )
    assert sweep_of(base).jobs[1].overrides == ("hyperparam1=something", "hyperparam2=2")


def test_viskit_reads_the_runs_and_can_tell_them_apart(base):
    variant = {"x": [1, 2], "net": {"sizes": [256, 256], "empty": {}}, "ratio": float("inf")}
    for _ in range(2):
        run_experiment(experiments.learn, variant=variant, base_log_dir=base, seed=3)
    loaded = viskit_reader.load(base)
    assert len(loaded) == 4
    choices = viskit_reader.selectable(loaded)
    assert choices["x"] == {"1", "2"}
    assert len(choices["exp_name"]) == 4
    chosen = viskit_reader.select(loaded, "x", 2)
    assert [run.progress["AverageReturn"] for run in chosen] == [[2.0, 12.0]] * 2
    assert {run.settings["seed"] for run in loaded} == {3}


def test_it_says_how_many_jobs_there_are_before_it_starts(base, capsys):
    def shout(variant):
        print("FIRST WORD", file=sys.stderr)

    run_experiment(shout, variant=VARIANT, base_log_dir=base)
    before = capsys.readouterr().err.partition("FIRST WORD")[0]
    assert "6 jobs" in before


def test_verbose_lists_the_jobs_before_they_start(base, capsys):
    def shout(variant):
        print("FIRST WORD", file=sys.stderr)

    run_experiment(shout, variant={"x": [1, 2]}, base_log_dir=base, verbose=True)
    before = capsys.readouterr().err.partition("FIRST WORD")[0]
    assert "job 0: x=1" in before
    assert "job 1: x=2" in before


# What is swept


def test_a_list_as_a_value_is_a_list_in_a_list(base):
    variant = {"sizes": [[256, 256]], "other": [[1], [2, 3]], "none": [[]]}
    values = run_experiment(experiments.learn, variant=variant, base_log_dir=base)
    assert [(value["sizes"], value["other"], value["none"]) for value in values] == [
        ([256, 256], [1], []),
        ([256, 256], [2, 3], []),
    ]


def test_lists_in_nested_dicts_and_tuples_are_values(base):
    variant = {"nested": {"list": [1, 2]}, "pair": (1, 2)}
    (value,) = run_experiment(experiments.learn, variant=variant, base_log_dir=base)
    assert value["nested"] == {"list": [1, 2]}
    assert value["pair"] == (1, 2)


def test_an_empty_list_is_refused_by_name(base):
    with pytest.raises(ValueError, match=r"'x' is an empty list, .* \[\[\]\]"):
        run_experiment(experiments.learn, variant={"x": []}, base_log_dir=base)
    assert not base.exists()


def test_without_a_variant_there_is_one_job(base):
    (value,) = run_experiment(experiments.learn, base_log_dir=base)
    assert set(value) == {"exp_id", "seed"}


@pytest.mark.parametrize("mode", ["here_no_doodad", "local"])
def test_the_callers_variant_is_as_it_was_and_jobs_share_no_value(base, mode):
    variant = {"x": [1, 2, 3], "nested": {"list": [1]}, "fixed": (shared := [[1]])[0:1]}
    before = copy.deepcopy(variant)
    values = run_experiment(experiments.spoil, variant=variant, mode=mode, base_log_dir=base)
    assert values == [2, 2, 2]
    assert variant == before
    assert shared == [[1]]


def test_the_values_of_one_list_are_not_shared_either(base):
    one = {"list": [1]}
    values = run_experiment(
        experiments.spoil,
        variant={"nested": [one, one], "fixed": [[0]]},
        base_log_dir=base,
    )
    assert values == [2, 2]
    assert one == {"list": [1]}


# Seeds and numbers


def test_a_given_seed_is_every_jobs(base):
    values = run_experiment(experiments.draw, variant={"x": [1, 2]}, seed=7, base_log_dir=base)
    assert values[0] == values[1]
    assert values[0][0] == 7


def test_the_seed_of_the_variant_is_taken_and_can_be_swept(base):
    values = run_experiment(experiments.draw, variant={"seed": [5, 6, 5]}, base_log_dir=base)
    assert [seed for seed, _ in values] == [5, 6, 5]
    assert values[0] == values[2] != values[1]


def test_without_a_seed_each_job_has_a_random_one(base):
    values = run_experiment(experiments.draw, variant={"x": [*range(5)]}, base_log_dir=base)
    assert len({seed for seed, _ in values}) > 1
    assert [int(NAME_SEED.search(path.name)[1]) for path in sorted(base.glob("*/*_0*--s-*"))] == (
        [seed for seed, _ in values]
    )


NAME_SEED = re.compile(r"--s-(\d+)$")


def test_one_seed_for_all_and_seeds_to_sweep_is_refused(base):
    with pytest.raises(ValueError, match=r"seed=1 .* seeds that variant sweeps"):
        run_experiment(experiments.draw, variant={"seed": [5, 6]}, seed=1, base_log_dir=base)
    assert not base.exists()


def test_numpy_is_seeded_where_it_is_imported(base):
    numpy = pytest.importorskip("numpy")
    values = run_experiment(
        lambda variant: numpy.random.rand(), variant={"x": [1, 2]}, seed=7, base_log_dir=base
    )
    assert values == [numpy.random.RandomState(7).rand()] * 2


def test_experiments_are_numbered_from_exp_id(base):
    values = run_experiment(
        experiments.learn, variant={"x": [1, 2]}, exp_id=40, exp_prefix="test", base_log_dir=base
    )
    assert [value["exp_id"] for value in values] == [40, 41]
    assert [NAME.fullmatch(path.name)[3] for path in runs(base)] == ["0040", "0041"]


# Directories


@pytest.mark.parametrize("prefix", ["my_exp", "group/exp"])
def test_without_the_date_the_prefix_stands_alone(base, prefix):
    run_experiment(
        experiments.learn, exp_prefix=prefix, prepend_date_to_exp_prefix=False, base_log_dir=base
    )
    (variant,) = base.rglob("variant.json")
    name = variant.parent.relative_to(base / prefix.replace("_", "-"))
    assert str(name).startswith(f"{prefix}_20")
    (sweep,) = base.rglob("sweep.json")
    assert sweep.parents[2] == variant.parents[1]


def test_by_default_they_are_below_data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_experiment(experiments.learn, exp_prefix="test")
    assert len(runs(tmp_path / "data")) == 1


RACER = """
import datetime, sys
import launchkit.experiment, launchkit.launcher_util
class Frozen(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2026, 1, 2, 3, 4, 5)
datetime.datetime = Frozen
print("ready", flush=True)
sys.stdin.readline()
launchkit.launcher_util.run_experiment(
    lambda variant: None, variant={"x": [1, 2, 3]}, seed=1, exp_id=0, base_log_dir=sys.argv[1]
)
"""


def test_two_runs_of_one_seed_and_second_share_no_directory(base):
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, str(base)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            text=True,
        )
        for _ in range(3)
    ]
    for racer in racers:
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        racer.stdin.write("go\n")
        racer.stdin.flush()
    for racer in racers:
        _, err = racer.communicate(timeout=60)
        assert racer.returncode == 0, err
    variants = [json.loads(path.read_text()) for path in base.glob("*/*/variant.json")]
    assert len(variants) == 9
    assert len({variant["exp_name"] for variant in variants}) == 9
    sweeps = list(base.glob("*/*_sweep*/.launchkit/sweep.json"))
    assert len(sweeps) == 3
    assert sorted(job.num for path in sweeps for job in Sweep.open(path.parents[1]).jobs) == (
        sorted([0, 1, 2] * 3)
    )


# What the function gets


def test_an_unpacked_variant_is_keywords(base):
    values = run_experiment(
        experiments.learn_unpacked, variant={"x": [1, 2]}, unpack_variant=True, base_log_dir=base
    )
    assert values == [(1, 5), (2, 5)]


def test_an_unpacked_variant_has_the_seed_only_where_it_had_one(base):
    variant = {"x": 1, "seed": 4}
    (value,) = run_experiment(
        experiments.everything_unpacked, variant=variant, unpack_variant=True, base_log_dir=base
    )
    assert value == {"x": 1, "seed": 4}


@pytest.mark.parametrize(("use_gpu", "seen"), [(False, ""), (True, "3,4")])
def test_gpus_are_hidden_unless_they_are_used(base, monkeypatch, use_gpu, seen):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,4")
    assert run_experiment(experiments.gpus, use_gpu=use_gpu, base_log_dir=base) == [seen]
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "3,4"


@pytest.mark.parametrize("mode", ["here_no_doodad", "local"])
def test_what_was_called_is_kept(base, mode):
    run_experiment(
        experiments.learn,
        variant={"x": [1, 2], "act": len},
        mode=mode,
        exp_prefix="test",
        seed=3,
        exp_id=7,
        snapshot_mode="gap",
        snapshot_gap=2,
        base_log_dir=base,
    )
    for number, directory in enumerate(runs(base)):
        kept = pickle.loads((directory / "experiment.pkl").read_bytes())
        assert kept == {
            "run_experiment_here_kwargs": {
                "variant": {"x": number + 1, "act": len, "exp_id": 7 + number, "seed": 3},
                "exp_id": 7 + number,
                "seed": 3,
                "use_gpu": False,
                "exp_prefix": directory.parent.name,
                "snapshot_mode": "gap",
                "snapshot_gap": 2,
                "git_infos": None,
                "script_name": sys.argv[0],
                "base_log_dir": str(base),
            }
        }


def test_a_variant_that_pickle_refuses_is_kept_by_cloudpickle(base):
    run_experiment(
        experiments.learn, exp_prefix="test", variant={"f": lambda: 5}, base_log_dir=base
    )
    (directory,) = runs(base)
    kept = pickle.loads((directory / "experiment.pkl").read_bytes())
    assert kept["run_experiment_here_kwargs"]["variant"]["f"]() == 5


class Guarded:
    """Copied, but never pickled."""

    def __init__(self):
        self.lock = threading.Lock()

    def __deepcopy__(self, memo):
        return Guarded()


def test_a_variant_that_nothing_can_pickle_is_a_warning(base, caplog):
    with caplog.at_level(logging.WARNING):
        run_experiment(
            experiments.learn, exp_prefix="test", variant={"g": Guarded()}, base_log_dir=base
        )
    (directory,) = runs(base)
    assert "experiment.pkl: cannot save" in caplog.text
    assert not (directory / "experiment.pkl").exists()
    assert (directory / "params.pkl").exists()


# What is refused


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"mode": "locl"}, "unknown mode 'locl'; the modes are here_no_doodad, local"),
        ({"mode": "locl", "ssh_host": "a"}, "unknown mode 'locl'"),
        ({"snapshot_mode": "lst"}, "snapshot_mode is 'lst'; .* gap_and_last"),
        ({"snapshot_gap": 0}, "snapshot_gap is 0"),
        ({"variant": ["lr"]}, r"variant is \['lr'\]; it must be a dict"),
        ({"method_call": "learn"}, "method_call is 'learn'; it must be a function"),
    ],
)
def test_a_wrong_value_is_refused_by_name_and_nothing_is_written(base, wrong, message):
    given = {"method_call": experiments.learn, "variant": {"x": [1]}, "base_log_dir": base}
    with pytest.raises(ValueError, match=message):
        run_experiment(**{**given, **wrong})
    assert not base.exists()


OF_OTHER_MODES = {
    "local_input_dir_to_mount_point_dict": {"/data": "/mnt"},
    "sync_interval": 60,
    "region": "eu-west-1",
    "instance_type": "c4.large",
    "spot_price": 0.1,
    "num_exps_per_instance": 2,
    "time_in_mins": 30,
    "ssh_host": "host",
    "gcp_kwargs": {"zone": "a"},
}


@pytest.mark.parametrize("mode", ["here_no_doodad", "local"])
@pytest.mark.parametrize("name", OF_MODES)
def test_what_only_other_modes_use_is_refused_by_name(base, mode, name):
    given = OF_OTHER_MODES[name]
    with pytest.raises(ValueError) as caught:
        run_experiment(experiments.learn, mode=mode, base_log_dir=base, **{name: given})
    assert f"mode {mode!r} cannot honour {name}={given!r}" in str(caught.value)
    assert not base.exists()


def test_settings_of_a_mode_that_has_none_such_are_refused_by_name(base):
    with pytest.raises(
        ValueError, match=r"'local' has no setting 'imgae'; its settings are n_jobs"
    ):
        run_experiment(
            experiments.learn, mode="local", base_log_dir=base, mode_kwargs={"imgae": "a"}
        )
    assert not base.exists()


def test_a_setting_that_is_given_twice_is_refused(base):
    with pytest.raises(ValueError, match=r"ssh_host is 'a', and mode_kwargs has 'host' as well"):
        run_experiment(
            experiments.learn,
            mode="ssh",
            base_log_dir=base,
            ssh_host="a",
            mode_kwargs={"host": "b"},
        )
    assert not base.exists()


def test_the_settings_of_a_mode_are_taken(base):
    settings = {"n_jobs": 1, "start_method": "spawn"}
    run_experiment(experiments.learn, mode="local", base_log_dir=base, mode_kwargs=settings)
    assert sweep_of(base).settings == settings


@pytest.mark.parametrize("mode", ["here_no_doodad", "local"])
def test_their_defaults_are_accepted(base, mode):
    defaults = {name: default for name, (default, _, _) in OF_MODES.items()}
    parameters = inspect.signature(run_experiment).parameters
    assert defaults == {name: parameters[name].default for name in defaults}
    run_experiment(experiments.learn, mode=mode, base_log_dir=base, **defaults)


# Leaving at once


def test_with_skip_wait_the_jobs_go_on_without_the_program(base, tmp_path):
    go = tmp_path / "go"
    variant = {"x": [1, 2], "go": str(go)}
    handles = run_experiment(
        experiments.wait_and_learn,
        "local",
        "test",
        variant=variant,
        base_log_dir=base,
        skip_wait=True,
    )
    sweep = sweep_of(base)
    supervisor = current(sweep)
    try:
        assert all(isinstance(handle, JobHandle) for handle in handles)
        assert [handle.job.overrides for handle in handles] == [("x=1",), ("x=2",)]
        assert not any(handle.state.final for handle in handles)
        assert supervisor.pid != os.getpid()
        with pytest.raises(NotCompleted, match="job 0 is"):
            _ = handles[0].value
    finally:
        go.touch()
    assert [str(handle.wait(30).state) for handle in handles] == ["completed"] * 2
    assert [handle.value["x"] for handle in handles] == [1, 2]
    # A handle is two paths: it is as good in another process, on another day.
    again = pickle.loads(pickle.dumps(handles[1]))
    assert again.value["x"] == 2
    assert len(runs(base)) == 2


def test_skip_wait_says_how_to_follow_the_jobs(base, capsys):
    (handle,) = run_experiment(experiments.learn, "local", base_log_dir=base, skip_wait=True)
    err = capsys.readouterr().err
    assert "1 job handed over to process" in err
    assert f"launchkit status {handle.sweep.directory}" in err
    handle.wait(30)


def test_skip_wait_is_refused_where_the_jobs_run_in_this_process(base):
    with pytest.raises(ValueError, match=r"'here_no_doodad' cannot honour skip_wait=True"):
        run_experiment(experiments.learn, base_log_dir=base, skip_wait=True)
    assert not base.exists()


def test_a_place_that_cannot_be_written_is_named_and_nothing_has_run(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(SweepError, match=r"cannot make .*file.*; set base_log_dir"):
        run_experiment(experiments.learn, base_log_dir=tmp_path / "file")


def test_a_disk_that_fills_up_leaves_no_directory_behind(base, monkeypatch):
    made = []
    mkdir = Path.mkdir

    def limited(self, *arguments, **options):
        if "--s-" in self.name:
            made.append(self)
            if len(made) == 3:
                raise OSError(28, "No space left on device", str(self))
        mkdir(self, *arguments, **options)

    monkeypatch.setattr(Path, "mkdir", limited)
    with pytest.raises(SweepError, match="No space left on device"):
        run_experiment(experiments.learn, variant={"x": [1, 2, 3, 4]}, base_log_dir=base)
    assert len(made) == 3
    assert [name for name in written(base) if "--s-" in name] == []


# Failures


@pytest.mark.parametrize("mode", ["here_no_doodad", "local"])
def test_an_experiment_that_fails_costs_no_other(base, mode):
    with pytest.raises(ExperimentsFailed) as caught:
        run_experiment(
            experiments.fail_for_two, variant={"x": [1, 2, 3]}, mode=mode, base_log_dir=base
        )
    assert [str(attempt.state) for attempt in sweep_of(base).attempts().values()] == (
        ["completed", "failed", "completed"]
    )
    (failed,) = caught.value.outcomes
    assert failed.job.overrides == ("x=2",)
    text = str(caught.value)
    assert "1 of the experiments did not complete" in text
    assert "ValueError: two is not to be had" in text
    assert str(failed.job.stderr) in text
    assert "ValueError: two is not to be had" in failed.job.stderr.read_text()


def test_the_end_lists_every_failure(base, capsys):
    with pytest.raises(ExperimentsFailed, match="2 of the experiments"):
        run_experiment(experiments.fail_for_two, variant={"x": [2, 1, 2]}, base_log_dir=base)
    err = capsys.readouterr().err
    failures = [line for line in err.splitlines() if line.endswith("[x=2]")]
    assert failures == [
        "job 0 failed: ValueError: two is not to be had  [x=2]",
        "job 2 failed: ValueError: two is not to be had  [x=2]",
    ]


# The code


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_the_git_record_is_of_the_users_repository(tmp_path):
    users = tmp_path / "users"
    users.mkdir()
    (users / "train.py").write_text(
        "from launchkit.launcher_util import run_experiment\n"
        f"run_experiment(lambda variant: None, base_log_dir={str(tmp_path / 'data')!r})\n"
    )
    for arguments in (
        ["init", "-q"],
        ["add", "."],
        ["-c", "user.name=A", "-c", "user.email=a@example.org", "commit", "-q", "-m", "first"],
    ):
        subprocess.run(["git", "-C", users, *arguments], check=True)
    subprocess.run(
        [sys.executable, users / "train.py"],
        check=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    record = json.loads((sweep_of(tmp_path / "data").own / "code" / "git.json").read_text())
    head = subprocess.check_output(["git", "-C", users, "rev-parse", "HEAD"], text=True)
    (repository,) = record["repositories"]
    assert (repository["directory"], repository["commit"]) == (str(users), head.strip())


def test_its_parameters_are_rlkits():
    assert list(inspect.signature(run_experiment).parameters) == [
        "method_call",
        "mode",
        "exp_prefix",
        "seed",
        "variant",
        "exp_id",
        "prepend_date_to_exp_prefix",
        "use_gpu",
        "snapshot_mode",
        "snapshot_gap",
        "base_log_dir",
        "local_input_dir_to_mount_point_dict",
        "unpack_variant",
        "skip_wait",
        "sync_interval",
        "region",
        "instance_type",
        "spot_price",
        "verbose",
        "num_exps_per_instance",
        "time_in_mins",
        "ssh_host",
        "gcp_kwargs",
        "mode_kwargs",  # launchkit's own
    ]
    assert inspect.signature(run_experiment).parameters["mode"].default == "here_no_doodad"
