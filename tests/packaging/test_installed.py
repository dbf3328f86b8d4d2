"""launchkit works from a wheel, from an sdist, and from a checkout in editable mode."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from installations import Environment

from launchkit import __version__

pytestmark = pytest.mark.packaging

DISCOVER = """
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
print(sorted(found.__name__ for found in Plugins.instance().discover(Launcher)))
"""

PROGRAM = """
import hydra
from launchkit import logger

@hydra.main(version_base=None, config_path=None)
def main(cfg):
    for epoch in range(2):
        logger.record_dict({"epoch": epoch, "loss": cfg.x / (epoch + 1)})
        logger.dump_tabular()
    return cfg.x

main()
"""


def test_hydra_discovers_the_plugin(installed: Environment) -> None:
    assert "LaunchkitLauncher" in installed.run("python", "-c", DISCOVER)


def test_doctor_finds_nothing_wrong(installed: Environment) -> None:
    plugin = [
        line for line in installed.run("launchkit", "doctor").splitlines() if "plugin" in line
    ]
    assert [line.split()[-1] for line in plugin] == ["found"]


def test_the_version_is_that_of_the_source(installed: Environment) -> None:
    assert installed.run("launchkit", "--version").split() == ["launchkit", __version__]


def test_types_are_shipped(installed: Environment) -> None:
    code = "import launchkit; print(launchkit.__path__[0])"
    package = Path(installed.run("python", "-c", code).strip())
    assert (package / "py.typed").exists()
    assert not package.is_relative_to(Path(__file__).parents[2])


def test_a_sweep_gives_every_job_its_files(installed: Environment) -> None:
    (installed.work / "program.py").write_text(PROGRAM)
    installed.run(
        "python", "program.py", "-m", "hydra/launcher=launchkit_local", "hydra/callbacks=launchkit",
        "hydra.sweep.dir=sweep", "+x=1,2,3",
    )  # fmt: skip
    for num, x in enumerate([1, 2, 3]):
        job = installed.work / "sweep" / str(num)
        rows = (job / "progress.csv").read_text().splitlines()
        assert rows == ["epoch,loss", f"0,{x / 1}", f"1,{x / 2}"]
        variant = json.loads((job / "variant.json").read_text())
        assert variant["x"] == x
        assert json.loads((job / ".launchkit/state.json").read_text())["state"] == "completed"
    table = json.loads(installed.run("launchkit", "table", "--json", "sweep"))
    assert [row["x"] for row in table] == [1, 2, 3]


def test_it_is_the_same_python(installed: Environment) -> None:
    code = "import sys; print(*sys.version_info[:2])"
    assert installed.run("python", "-c", code).split() == [str(n) for n in sys.version_info[:2]]
