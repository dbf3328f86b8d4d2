"""Structured configs whose classes only the user's program has."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """
import enum
from dataclasses import dataclass

import hydra
from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


def schema():
{schema}
    return Config


ConfigStore.instance().store(name="config", node=schema())


@hydra.main(version_base=None, config_name="config")
def main(config):
    assert type(config.colour) is Colour, type(config.colour)
    assert OmegaConf.get_type(config).__name__ == "Config"
    print("job", config.size, config.colour.name)


if __name__ == "__main__":
    main()
"""
CLASS = """
@dataclass
class Config:
    size: int = 1
    colour: Colour = Colour.RED
"""


def indented(text: str) -> str:
    return text.replace("\n", "\n    ")


PROGRAMS = {
    "in __main__": PROGRAM.replace("def schema", CLASS + "\n\ndef schema").format(schema=""),
    "in a function": PROGRAM.format(schema=indented(CLASS)),
}


@pytest.mark.parametrize("start_method", ["fork", "spawn"])
@pytest.mark.parametrize("place", PROGRAMS)
def test_the_class_reaches_the_job(tmp_path, place, start_method):
    (tmp_path / "app.py").write_text(PROGRAMS[place])
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    done = subprocess.run(
        [
            *(sys.executable, "app.py", "-m", "size=1,2,3", "colour=RED,BLUE"),
            *("hydra/launcher=launchkit_local", f"hydra.launcher.start_method={start_method}"),
            f"hydra.sweep.dir={tmp_path / 'sweep'}",
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said = [
        (tmp_path / "sweep" / str(num) / ".launchkit" / "stdout.log").read_text()
        for num in range(6)
    ]
    colours = [(size, colour) for size in (1, 2, 3) for colour in ("RED", "BLUE")]
    assert said == [f"job {size} {colour}\n" for size, colour in colours]
