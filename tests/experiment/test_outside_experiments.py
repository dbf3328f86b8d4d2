"""`run_experiment` in the modes that leave the launcher's Python."""

from __future__ import annotations

import os
import pickle
import subprocess
from pathlib import Path

import outside_experiments
import pytest
from outside_modes import DOCKER, SINGULARITY, SLURM, SSH, SSS, marks, params

from launchkit.handle import JobHandle
from launchkit.launcher_util import ExperimentsFailed, run_experiment
from launchkit.modes import registry
from launchkit.sweep import Sweep

pytestmark = pytest.mark.long
CODE = {"code_dirs": [str(Path(outside_experiments.__file__).parent)]}
PATIENCE_S = 90.0


@pytest.fixture
def base(tmp_path):
    return tmp_path / "far" / "from" / "the program"


def sweep_of(base):
    (path,) = base.glob("*/*/.launchkit/sweep.json")
    return Sweep.open(path.parents[1])


@pytest.mark.parametrize("mode", params(without=[SSS]))
def test_values_and_files_come_back(base, mode):
    variant = {"x": [1, 2], "nested": {"sizes": [256, 256]}, "pair": (1, "two")}
    values = run_experiment(
        outside_experiments.learn,
        variant=variant,
        base_log_dir=base,
        seed=3,
        **mode.keywords(**CODE),
    )
    seen = {"nested": {"sizes": [256, 256]}, "pair": (1, "two"), "seed": 3}
    assert values == [{"x": x, "exp_id": x - 1, **seen} for x in (1, 2)]
    runs = sorted(path.parent for path in base.glob("*/*/progress.csv"))
    assert len(runs) == 2
    for run in runs:
        names = {"variant.json", "debug.log", "params.pkl", "experiment.pkl", "script_name.txt"}
        assert names <= set(os.listdir(run))
    assert [job.directory for job in sweep_of(base).jobs] == runs


@pytest.mark.parametrize("mode", params(without=[SSS]))
def test_skip_wait_gives_handles(base, mode):
    handles = run_experiment(
        outside_experiments.learn,
        variant={"x": [1, 2]},
        base_log_dir=base,
        skip_wait=True,
        **mode.keywords(**CODE),
    )
    assert all(isinstance(handle, JobHandle) for handle in handles)
    assert [str(handle.wait(PATIENCE_S).state) for handle in handles] == ["completed"] * 2
    assert [pickle.loads(pickle.dumps(handle)).value["x"] for handle in handles] == [1, 2]


@pytest.mark.parametrize("mode", params(without=[SSS]))
def test_an_experiment_that_fails_costs_no_other(base, mode):
    with pytest.raises(ExperimentsFailed) as caught:
        run_experiment(
            outside_experiments.fail_for_two,
            variant={"x": [1, 2, 3]},
            base_log_dir=base,
            **mode.keywords(**CODE),
        )
    (failed,) = caught.value.outcomes
    assert failed.job.overrides == ("x=2",)
    assert "ValueError: two is not to be had" in str(caught.value)
    assert "ValueError: two is not to be had" in failed.job.stderr.read_text()
    states = [str(attempt.state) for attempt in sweep_of(base).attempts().values()]
    assert states == ["completed", "failed", "completed"]


@pytest.mark.parametrize("mode", params(SSS))
def test_a_folder_to_carry_holds_no_directories_beside_it(base, mode):
    with pytest.raises(ValueError, match="mode 'sss' carries one folder"):
        run_experiment(outside_experiments.learn, base_log_dir=base, **mode.keywords(**CODE))
    assert not base.exists()


@pytest.mark.parametrize("mode", params(DOCKER, SINGULARITY))
def test_directories_to_read_are_mounted_where_they_are_wanted(base, tmp_path, mode):
    data = tmp_path / "it's, my data"
    data.mkdir()
    (data / "words.txt").write_text("ü")
    (value,) = run_experiment(
        outside_experiments.read_and_write,
        variant={"path": "/mnt/data set/words.txt"},
        base_log_dir=base,
        local_input_dir_to_mount_point_dict={str(data): "/mnt/data set"},
        **mode.keywords(**CODE),
    )
    assert value == ("ü", "OSError")
    assert os.listdir(data) == ["words.txt"]


@pytest.mark.parametrize("mode", params(SSH, SLURM))
def test_directories_to_read_are_refused_where_nothing_is_mounted(base, tmp_path, mode):
    with pytest.raises(ValueError, match="inputs is set"):
        run_experiment(
            outside_experiments.learn,
            base_log_dir=base,
            local_input_dir_to_mount_point_dict={str(tmp_path): "/mnt"},
            **mode.keywords(**CODE),
        )
    assert not base.exists()


@pytest.mark.parametrize("mode", params(without=[SSS]))
def test_a_gpu_is_refused_where_there_is_none(base, monkeypatch, mode):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with pytest.raises(ValueError, match=r"(?i)gpu|gres") as caught:
        run_experiment(
            outside_experiments.learn, base_log_dir=base, use_gpu=True, **mode.keywords(**CODE)
        )
    assert "\n" not in str(caught.value)
    assert not base.exists()


WRONG = [
    (DOCKER, {"image": "launchkit-test/none-such"}, "image is 'launchkit-test/none-such'"),
    (DOCKER, {"image": None}, "image is not set; name one, such as python:3.11-slim"),
    (SINGULARITY, {"image": "/none/such.sif"}, "image is '/none/such.sif'"),
    (SSH, {"host": "launchkit-testbed-closed"}, "launchkit-testbed-closed"),
    (SLURM, {"partition": "none-such"}, "partition"),
    (SSS, {"time_in_mins": 0}, "time_in_mins is 0"),
]


@pytest.mark.parametrize(
    ("mode", "wrong", "message"),
    [
        pytest.param(*case, id=f"{case[0].name}-{next(iter(case[1]))}", marks=marks(case[0]))
        for case in WRONG
    ],
)
@pytest.mark.parametrize("skip_wait", [False, True])
def test_what_is_refused_leaves_nothing_behind(base, mode, wrong, message, skip_wait):
    with pytest.raises(ValueError) as caught:
        run_experiment(
            outside_experiments.learn,
            variant={"x": [1, 2]},
            base_log_dir=base,
            skip_wait=skip_wait,
            **mode.keywords(**{**CODE, **wrong}),
        )
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not base.exists()


@pytest.mark.parametrize("mode", params())
def test_a_setting_that_it_has_not_is_refused_with_those_it_has(base, mode):
    with pytest.raises(ValueError) as caught:
        run_experiment(
            outside_experiments.learn, base_log_dir=base, **mode.keywords(imgae="python:3.11-slim")
        )
    names = ", ".join(registry.find(mode.name).setting_names())
    assert str(caught.value) == (
        f"mode {mode.name!r} has no setting 'imgae'; its settings are {names}"
    )
    assert not base.exists()


@pytest.mark.parametrize("mode", params(SLURM))
def test_minutes_are_those_of_the_tasks(base, mode):
    values = run_experiment(
        outside_experiments.slurm_minutes,
        base_log_dir=base,
        time_in_mins=7,
        mode="slurm_singularity",
        mode_kwargs={"partition": mode.settings["partition"], **CODE},
    )
    assert values == ["7"]


@pytest.mark.parametrize("mode", params(SSH))
def test_the_host_is_given_as_rlkit_does(base, mode):
    settings = {key: value for key, value in mode.settings.items() if key != "host"}
    (user,) = run_experiment(
        outside_experiments.user_name,
        base_log_dir=base,
        ssh_host=mode.settings["host"],
        mode="ssh",
        mode_kwargs={**settings, **CODE},
    )
    done = subprocess.run(
        ["ssh", "-F", settings["ssh_config"], mode.settings["host"], "id -un"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert user == done.stdout.strip()
