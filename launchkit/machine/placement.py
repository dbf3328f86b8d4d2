"""Which job gets which part of this machine: slots, GPUs and threads."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from launchkit.job import Job, Needs
from launchkit.machine import openblas

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMEXPR_MAX_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "BLIS_NUM_THREADS",
)
GPU_VARIABLE = "CUDA_VISIBLE_DEVICES"
NVIDIA_SMI_S = 20.0


@dataclass(frozen=True)
class Place:
    """What one job has of this machine while it runs.

    Parameters
    ----------
    gpus
        The GPUs it sees; None where it sees what the launcher sees.
    cpus
        How many threads its libraries use; None where that is left to them.
    cores
        How many cores it counts for.
    """

    gpus: tuple[str, ...] | None
    cpus: int | None
    cores: int

    def environment(self) -> dict[str, str]:
        """Return the variables that a job of this place is started with."""
        variables = {}
        if self.gpus is not None:
            variables[GPU_VARIABLE] = ",".join(self.gpus)
        if self.cpus is not None:
            variables.update(dict.fromkeys(THREAD_VARIABLES, str(self.cpus)))
        return variables

    def apply(self) -> None:
        """Put this process, a fork that has things imported already, in this place."""
        os.environ.update(self.environment())
        if self.cpus is not None:
            openblas.set_threads(self.cpus)
            torch = sys.modules.get("torch")
            if torch is not None:
                torch.set_num_threads(self.cpus)


class Places:
    """The places of this machine, taken and given back.

    Parameters
    ----------
    n_jobs
        How many jobs run at a time; None for as many as GPUs or cores allow.
    gpus
        The GPUs there are to give; None where they are not given out.
    jobs_per_gpu
        How many jobs share a GPU.
    gpus_per_job
        How many GPUs a job gets; None for one, where they are given out.
    cpus_per_job
        How many threads a job's libraries may use; None where that is left to them.
    """

    def __init__(
        self,
        n_jobs: int | None = None,
        gpus: Sequence[str] | None = None,
        jobs_per_gpu: int = 1,
        gpus_per_job: int | None = None,
        cpus_per_job: int | None = None,
    ) -> None:
        self._n_jobs = n_jobs
        self._cores = usable_cores()
        self._gpus = None if gpus is None else dict.fromkeys(gpus, 0)
        self._jobs_per_gpu = jobs_per_gpu
        self._gpus_per_job = gpus_per_job
        self._cpus_per_job = cpus_per_job
        self._taken = 0
        self._taken_cores = 0

    @property
    def many(self) -> int:
        """How many jobs run at a time, if none needs more than the settings give it."""
        if self._n_jobs is not None:
            return self._n_jobs
        if self._gpus and self._gpus_per_job != 0:
            return len(self._gpus) * self._jobs_per_gpu // (self._gpus_per_job or 1)
        return max(1, self._cores // (self._cpus_per_job or 1))

    def describe(self) -> str:
        """Return how many jobs run at a time, in words."""
        many = f"{self.many} at a time"
        if self._gpus:
            many += f" on GPUs {', '.join(self._gpus)}"
        if self._cpus_per_job:
            many += f", {self._cpus_per_job} thread{'s' * (self._cpus_per_job != 1)} each"
        return many

    def check(self, job: Job) -> None:
        """Raise ValueError if a job needs more than this machine has."""
        wanted = self._wanted_gpus(job.needs)
        there = len(self._gpus or ())
        if wanted > there:
            where = f"gpus is {list(self._gpus)}" if self._gpus else "there are none to give"
            raise ValueError(
                f"job {job.num} needs {wanted} GPUs and {where}; set gpus to the GPUs of this "
                "machine, or gpus_per_job to fewer"
            )

    def take(self, needs: Needs) -> Place | None:
        """Take a place for a job, or return None while there is none."""
        wanted = self._wanted_gpus(needs)
        cpus = needs.cpus if needs.cpus is not None else self._cpus_per_job
        cores = cpus or 1
        if not self._has_room(wanted, cores):
            return None
        gpus = self._take_gpus(wanted)
        if gpus is None and wanted:
            return None
        self._taken += 1
        self._taken_cores += cores
        return Place(gpus, cpus, cores)

    def give_back(self, place: Place) -> None:
        """Free a place."""
        self._taken -= 1
        self._taken_cores -= place.cores
        for gpu in place.gpus or ():
            assert self._gpus is not None
            self._gpus[gpu] -= 1

    def _has_room(self, wanted_gpus: int, cores: int) -> bool:
        if self._n_jobs is not None:
            return self._taken < self._n_jobs
        # A job with GPUs waits for those; one that wants more cores than there are runs alone.
        return wanted_gpus > 0 or not self._taken or self._taken_cores + cores <= self._cores

    def _take_gpus(self, wanted: int) -> tuple[str, ...] | None:
        if self._gpus is None:
            return None
        free = [gpu for gpu, jobs in self._gpus.items() if jobs < self._jobs_per_gpu]
        if len(free) < wanted:
            return None
        # The emptiest first, so that jobs do not share a GPU while another is idle.
        chosen = sorted(free, key=self._gpus.__getitem__)[:wanted]
        for gpu in chosen:
            self._gpus[gpu] += 1
        return tuple(chosen)

    def _wanted_gpus(self, needs: Needs) -> int:
        wanted = needs.gpus if needs.gpus is not None else self._gpus_per_job
        if wanted is None:
            return 1 if self._gpus else 0
        return wanted


def find_gpus(environment: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Return the GPUs that this process may use, as ``CUDA_VISIBLE_DEVICES`` names them."""
    visible = environment.get(GPU_VARIABLE)
    if visible is not None:
        names = [name.strip() for name in visible.split(",")]
        # CUDA sees what comes before the first that is none; -1 alone hides all of them.
        return tuple(itertools.takewhile(lambda name: name and name[0] != "-", names))
    try:
        listed = subprocess.run(
            ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"],  # noqa: S607
            capture_output=True,
            text=True,
            timeout=NVIDIA_SMI_S,
            check=True,
        ).stdout
        return tuple(line.strip() for line in listed.splitlines() if line.strip().isdigit())
    except (OSError, subprocess.SubprocessError):
        devices = (re.fullmatch(r"nvidia(\d+)", path.name) for path in Path("/dev").iterdir())
        return tuple(sorted((found[1] for found in devices if found), key=int))


def usable_cores() -> int:
    """Return how many cores this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS
        return os.cpu_count() or 1
