"""``local_singularity``, with a real Apptainer."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest
from contract import ModeContract

HERE = Path(__file__).parent
IMAGE = "/var/cache/launchkit-testbed/images/python-3.11.sif"

pytestmark = [pytest.mark.apptainer, pytest.mark.doodad]


class TestSingularity(ModeContract):
    name = "local_singularity"
    settings: ClassVar = {"image": IMAGE, "n_jobs": 2, "code_dirs": [str(HERE)]}
    pickles = True
