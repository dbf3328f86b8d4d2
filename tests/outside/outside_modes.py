"""The modes that leave the launcher's Python, and what each needs on the testbed."""

from __future__ import annotations

import functools
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import ec2_case
import gcp_case
import pytest
import testbed

from launchkit.doodad import engine

CLOUDS = ("aws", "gcp")
COMPONENTS = (*(name for name in testbed.COMPONENTS if name not in CLOUDS), "cloud", "doodad")
VERSION = "{}.{}".format(*sys.version_info[:2])


@dataclass(frozen=True)
class OutsideMode:
    """A mode, as the tests use it: two jobs at a time.

    Parameters
    ----------
    name
        What the mode is called.
    components
        What must be there for it.
    settings
        Its settings on the testbed.
    label
        What tells it from the same mode with other settings.
    """

    name: str
    components: tuple[str, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    label: str = ""

    @property
    def id(self) -> str:
        """What its tests are called."""
        return "-".join(filter(None, (self.name, self.label)))

    @property
    def launcher(self) -> str:
        """The name of its config for Hydra."""
        return f"launchkit_{self.name}"

    def flags(self, **more: Any) -> list[str]:
        """Return Hydra's overrides that choose the mode, with its settings and more of them."""
        settings = {**self.settings, **more}
        return [
            f"hydra/launcher={self.launcher}",
            *(f"hydra.launcher.{key}={_word(value)}" for key, value in settings.items()),
        ]

    def keywords(self, **more: Any) -> dict[str, Any]:
        """Return what `run_experiment` takes for the mode, with its settings and more of them."""
        return {"mode": self.name, "mode_kwargs": {**self.settings, **more}}


DOCKER = OutsideMode(
    "local_docker", ("docker", "doodad"), {"image": testbed.PYTHON_IMAGE, "n_jobs": 2}
)
SINGULARITY = OutsideMode(
    "local_singularity", ("apptainer", "doodad"), {"image": str(testbed.PYTHON_SIF), "n_jobs": 2}
)
SSH = OutsideMode(
    "ssh",
    ("ssh", "doodad"),
    {"host": testbed.SSH_HOST, "ssh_config": str(testbed.SSH_CONFIG), "n_jobs": 2},
)
SLURM = OutsideMode(
    "slurm_singularity",
    ("slurm", "doodad"),
    {"image": None, "partition": testbed.SLURM_PARTITION, "time_in_mins": 5},
)
SSS = OutsideMode(
    "sss",
    ("slurm", "doodad"),
    {"image": None, "partition": testbed.SLURM_PARTITION, "time_in_mins": 5},
)
EC2 = OutsideMode("ec2", ("cloud", "docker", "doodad"), ec2_case.EC2.settings())
GCP = OutsideMode("gcp", ("cloud", "docker", "doodad"), gcp_case.GCP.settings())
MODES = (DOCKER, SINGULARITY, SSH, SLURM, SSS, EC2, GCP)
SSH_DOCKER = OutsideMode(
    "ssh",
    ("ssh", "docker", "doodad"),
    {**SSH.settings, "host": testbed.SSH_ROOT_HOST, "image": testbed.PYTHON_IMAGE},
    "docker",
)
SLURM_IMAGE = OutsideMode(
    "slurm_singularity",
    ("slurm", "apptainer", "doodad"),
    {**SLURM.settings, "image": str(testbed.PYTHON_SIF)},
    "image",
)
IN_IMAGES = (SSH_DOCKER, SLURM_IMAGE)
"""Modes that need no image, with one."""


def marks(mode: OutsideMode) -> list[pytest.MarkDecorator]:
    """Return the markers of tests that use a mode."""
    return [getattr(pytest.mark, name) for name in mode.components]


def params(*modes: OutsideMode, without: Sequence[OutsideMode] = ()) -> list[Any]:
    """Return the modes, all of them where none is named, as parameters with their markers."""
    return [
        pytest.param(mode, id=mode.id, marks=marks(mode))
        for mode in modes or MODES
        if mode not in without
    ]


@functools.cache
def missing(component: str) -> str | None:
    """Return why a component cannot be used by this Python, and the way out; None if it can."""
    if component == "doodad":
        lacking = "; ".join(engine.lacking())
        return f"doodad: {lacking}; get it with: launchkit doodad install" if lacking else None
    if component == "cloud":
        return next(filter(None, map(testbed.available, CLOUDS)), None)
    reason = testbed.available(component)
    if reason is None and component in _PYTHONS:
        there = _PYTHONS[component]()
        if there != VERSION:
            reason = f"{component}: the testbed has Python {there} for it, and this is {VERSION}"
    return reason


def _python_of_images() -> str:
    return testbed.PYTHON_IMAGE.partition(":")[2].partition("-")[0]


def _python_of_host() -> str:
    program = "import sys; print('{}.{}'.format(*sys.version_info[:2]))"
    done = subprocess.run(
        ["ssh", "-F", testbed.SSH_CONFIG, testbed.SSH_HOST, f"python3 -c {shlex.quote(program)}"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


_PYTHONS = {"docker": _python_of_images, "apptainer": _python_of_images, "ssh": _python_of_host}
"""Which Python jobs find there; what one has pickled only the same can read."""


def quoted(text: str) -> str:
    """Return a string as Hydra's grammar takes it, and OmegaConf after it."""
    escaped = re.sub(r"(\\*)\$\{", r"\1\1\\${", text)
    # A backslash stands for itself, but for those before a quote or the end.
    escaped = re.sub(r"(\\*)'", r"\1\1\\'", escaped)
    return "'" + re.sub(r"(\\+)$", r"\1\1", escaped) + "'"


def _word(value: Any) -> str:
    """Return a setting as Hydra's grammar takes it."""
    if value is None:
        return "null"
    if isinstance(value, bool | int | float):
        return str(value).lower()
    if isinstance(value, Mapping):
        items = (f"{key}: {_word(item)}" for key, item in value.items())
        return "{" + ", ".join(items) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(map(_word, value)) + "]"
    return quoted(os.fspath(value))
