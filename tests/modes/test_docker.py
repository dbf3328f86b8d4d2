"""``local_docker``, on a real engine."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest
from contract import ModeContract

HERE = Path(__file__).parent
IMAGE = "python:3.11-slim"

pytestmark = [pytest.mark.docker, pytest.mark.doodad]


class TestDocker(ModeContract):
    name = "local_docker"
    # With the processes of this machine, whose numbers the tests compare.
    settings: ClassVar = {
        "image": IMAGE,
        "n_jobs": 2,
        "code_dirs": [str(HERE)],
        "container_args": ["--pid=host"],
    }
    pickles = True
