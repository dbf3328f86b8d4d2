"""Bad input for the modes that leave this Python: one line naming it, and nothing left behind."""

from __future__ import annotations

import os
import sys
from typing import Any

import pytest
import testbed
from apps import App
from outside_modes import DOCKER, SINGULARITY, SLURM, SSH, SSS, OutsideMode, marks, params

pytestmark = pytest.mark.long
RAN = "Path('ran').touch()\nreturn cfg.x"
GB = 10**9


@pytest.fixture
def app(app: App, monkeypatch: pytest.MonkeyPatch) -> App:
    monkeypatch.setenv("PYTHONWARNINGS", "ignore")  # Hydra's, of what it is going to drop
    return app.write(RAN, imports="from pathlib import Path")


def refused(app: App, mode: OutsideMode, *arguments: str, **settings: Any) -> str:
    """Run a sweep that must be refused, and return the one line that says why."""
    done = app.run(
        "-m", *mode.flags(**settings), "hydra.sweep.dir=sweep", "x=1,2", *arguments, code=1
    )
    assert not (app.directory / "ran").exists()
    # Hydra itself writes multirun.yaml where it has got that far.
    assert set(
        os.listdir(app.directory / "sweep") if (app.directory / "sweep").exists() else ()
    ) <= ({"multirun.yaml"})
    assert "Traceback" not in done.stderr
    said = done.stderr.partition("\n\nSet the environment variable HYDRA_FULL_ERROR")[0].strip()
    assert "\n" not in said
    return said


CASES: list[tuple[OutsideMode, dict[str, Any], list[str]]] = [
    (DOCKER, {"image": "launchkit-test/none-such"}, ["image is 'launchkit-test/none-such'"]),
    (DOCKER, {"image": None}, ["image is not set", "python:3.11-slim"]),
    (DOCKER, {"image": testbed.NO_PYTHON_IMAGE}, [testbed.NO_PYTHON_IMAGE, "python"]),
    (DOCKER, {"python": "python9"}, ["python9"]),
    (DOCKER, {"inputs": {"/etc": "mnt"}}, ["the mount point of /etc is 'mnt'", "absolute path"]),
    (DOCKER, {"inputs": {"/etc": "/mnt", "/opt": "/mnt/in"}}, ["/mnt/in", "overlap"]),
    (DOCKER, {"inputs": {"/opt": "/usr"}}, ["/usr", "hide the Python", "choose another"]),
    (DOCKER, {"inputs": {"/none/such": "/mnt"}}, ["inputs has '/none/such'"]),
    (DOCKER, {"gpus": [0]}, ["GPU"]),
    (DOCKER, {"code_dirs": ["none-such"]}, ["code_dirs has 'none-such'"]),
    (DOCKER, {"env": {"A-B": "1"}}, ["env has 'A-B'"]),
    (SINGULARITY, {"image": "none-such.sif"}, ["image is 'none-such.sif'"]),
    (SINGULARITY, {"image": None}, ["image is not set"]),
    (SINGULARITY, {"image": str(testbed.NO_PYTHON_SIF)}, ["no-python.sif", "python"]),
    (SINGULARITY, {"inputs": {"/opt": "/usr"}}, ["/usr", "hide the Python"]),
    (SINGULARITY, {"gpus": "auto"}, ["gpus is 'auto'", "GPU"]),
    (SSH, {"host": ""}, ["host is not set"]),
    (SSH, {"host": "-oProxyCommand=touch ran"}, ["that is no name of a host"]),
    (SSH, {"host": testbed.SSH_CLOSED_HOST}, [testbed.SSH_CLOSED_HOST, "refused"]),
    (SSH, {"host": testbed.SSH_DENIED_HOST}, [testbed.SSH_DENIED_HOST, "denied"]),
    (SSH, {"host": testbed.SSH_UNKNOWN_HOST}, [testbed.SSH_UNKNOWN_HOST, "key"]),
    (SSH, {"host": "none.such.invalid"}, ["none.such.invalid"]),
    (SSH, {"remote_dir": "/proc/none"}, ["/proc/none"]),
    (SSH, {"gpus": "auto"}, ["GPU"]),
    (SLURM, {"partition": "none-such"}, ["partition", "none-such"]),
    (SLURM, {"constraint": "none-such"}, ["constraint", "none-such"]),
    (SLURM, {"gpus": 1}, ["gpus is 1"]),
    (SLURM, {"cpus_per_task": 4000}, ["cpus_per_task", "4000"]),
    (SLURM, {"image": "/none/such.sif"}, ["image is '/none/such.sif'"]),
    (SLURM, {"time_in_mins": 0}, ["time_in_mins is 0"]),
    (SSS, {"image": "here.sif"}, ["image is 'here.sif'", "on the cluster"]),
]


@pytest.mark.parametrize(
    ("mode", "settings", "words"),
    [
        pytest.param(*case, id=f"{case[0].name}-{num}", marks=marks(case[0]))
        for num, case in enumerate(CASES)
    ],
)
def test_what_is_not_there_or_cannot_be(
    app: App, mode: OutsideMode, settings: dict[str, Any], words: list[str]
) -> None:
    said = refused(app, mode, **settings)
    for word in words:
        assert word in said


@pytest.mark.docker
@pytest.mark.doodad
def test_another_python_in_the_image(app: App) -> None:
    image = testbed.other_python_image()
    said = refused(app, DOCKER, image=image)
    assert image in said
    assert "{}.{}".format(*sys.version_info[:2]) in said


@pytest.mark.parametrize("mode", params())
def test_code_of_five_gigabytes(app: App, mode: OutsideMode) -> None:
    with (app.directory / "weights.bin").open("wb") as stream:
        stream.truncate(5 * GB)
    said = refused(app, mode)
    assert "weights.bin 5.0 GB" in said
    assert "code_exclude" in said
    assert f"the code in {app.directory}" in said


@pytest.mark.parametrize("mode", params())
def test_a_setting_that_there_is_not(app: App, mode: OutsideMode) -> None:
    done = app.run("-m", *mode.flags(), "hydra.launcher.imgae=a", "hydra.sweep.dir=sweep", code=1)
    assert "Could not override 'hydra.launcher.imgae'" in done.stderr
    assert not (app.directory / "sweep").exists()


@pytest.mark.parametrize("mode", params())
def test_without_doodad_the_one_command_is_named(
    app: App, mode: OutsideMode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAUNCHKIT_DOODAD", str(app.directory / "none"))
    said = refused(app, mode)
    assert f"LAUNCHKIT_DOODAD is '{app.directory}/none': there is no such directory" in said
    monkeypatch.delenv("LAUNCHKIT_DOODAD")
    monkeypatch.setenv("XDG_DATA_HOME", str(app.directory / "data"))
    assert "get it with `launchkit doodad install`" in refused(app, mode)


@pytest.mark.parametrize("mode", params(DOCKER))
def test_a_namesake_of_doodad_is_told_from_it(
    app: App, mode: OutsideMode, monkeypatch: pytest.MonkeyPatch
) -> None:
    namesake = app.directory / "other" / "doodad"
    namesake.mkdir(parents=True)
    (namesake / "__init__.py").write_text("def doodle():\n    pass\n")
    monkeypatch.setenv("LAUNCHKIT_DOODAD", str(namesake.parent))
    said = refused(app, mode)
    assert f"LAUNCHKIT_DOODAD is '{namesake.parent}'" in said


@pytest.mark.parametrize("mode", params(DOCKER, SINGULARITY))
def test_a_package_that_the_image_lacks(app: App, mode: OutsideMode) -> None:
    app.write("return numpy.__version__", imports="import numpy")
    pytest.importorskip("numpy")
    done = app.sweep("x=1,2", *mode.flags()[1:], launcher=mode.launcher, code=None)
    assert "PackagesMissing" in done.said
    assert "numpy" in done.said
    assert str(mode.settings["image"]) in done.said
    assert "code_dirs" in done.said
