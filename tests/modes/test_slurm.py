"""``slurm_singularity``: packs of jobs as tasks of an array, on a real Slurm."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest
from contract import ModeContract

CODE = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "engine")]


@pytest.mark.slurm
@pytest.mark.doodad
class TestSlurm(ModeContract):
    name = "slurm_singularity"
    settings: ClassVar = {"array_parallelism": 2, "code_dirs": CODE}
    pickles = True


@pytest.mark.slurm
@pytest.mark.doodad
class TestSlurmPacks(ModeContract):
    name = "slurm_singularity"
    settings: ClassVar = {
        "jobs_per_task": 40,
        "n_jobs": 2,
        "cpus_per_task": 2,
        "code_dirs": CODE,
    }
    pickles = True
