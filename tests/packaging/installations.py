"""Building launchkit and installing it in fresh environments."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
NOT_COPIED = (
    ".*", "__pycache__", "build", "dist", "*.egg-info", "multirun", "outputs", "data",
)  # fmt: skip


@dataclass(frozen=True)
class Distributions:
    """What was built."""

    sdist: Path
    wheel: Path


@dataclass(frozen=True)
class Environment:
    """A virtual environment with launchkit in it, and a directory to work in."""

    directory: Path
    work: Path

    def run(self, program: str, *arguments: str) -> str:
        """Run a program of the environment, and return what it printed."""
        return run(self.directory / "bin" / program, *arguments, cwd=self.work)


def run(program: str | Path, *arguments: str | Path, cwd: Path) -> str:
    # What the tests themselves find must not be found by what is tested.
    environ = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        [str(program), *map(str, arguments)],
        cwd=cwd,
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, f"{program} {arguments}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def copy_of_checkout(to: Path) -> Path:
    shutil.copytree(ROOT, to, ignore=shutil.ignore_patterns(*NOT_COPIED))
    return to
