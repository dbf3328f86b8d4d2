"""The settings that say how jobs share a machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from launchkit.machine import placement
from launchkit.machine.placement import Places
from launchkit.policy import check_whole


@dataclass(frozen=True, kw_only=True)
class Slots:
    """How jobs share a machine.

    Parameters
    ----------
    n_jobs
        How many run at a time; None for as many as the GPUs given out allow, or else as the
        cores this process may use.
    gpus
        The GPUs to give out, by the numbers or names that ``CUDA_VISIBLE_DEVICES`` takes, or
        ``auto`` for all there are; None to leave them to the jobs.
    jobs_per_gpu
        How many jobs share a GPU.
    gpus_per_job
        How many GPUs a job gets; None for one where they are given out.
    cpus_per_job
        How many threads a job's numerical libraries may use; None to leave it to them.

    Raises
    ------
    ValueError
        If a setting is wrong.
    """

    n_jobs: int | None = None
    gpus: str | Sequence[int | str] | None = None
    jobs_per_gpu: int = 1
    gpus_per_job: int | None = None
    cpus_per_job: int | None = None

    def __post_init__(self) -> None:
        for name, least in (
            ("n_jobs", 1),
            ("jobs_per_gpu", 1),
            ("gpus_per_job", 0),
            ("cpus_per_job", 1),
        ):
            check_whole(name, getattr(self, name), least, optional=name != "jobs_per_gpu")
        _check_gpus(self.gpus)

    @property
    def gives_gpus(self) -> bool:
        """Whether jobs are given GPUs."""
        return self.gpus is not None or bool(self.gpus_per_job)

    def places(self) -> Places:
        """Return the places that these settings make of this machine."""
        gpus = "auto" if self.gpus is None and self.gpus_per_job else self.gpus
        names = placement.find_gpus() if gpus == "auto" else gpus
        return Places(
            self.n_jobs,
            None if names is None else tuple(map(str, names)),
            self.jobs_per_gpu,
            self.gpus_per_job,
            self.cpus_per_job,
        )


def _check_gpus(gpus: Any) -> None:
    if gpus is None or gpus == "auto":
        return
    # A number alone could be one GPU, or so many.
    alone = isinstance(gpus, str) or not isinstance(gpus, Sequence)
    if alone or any(isinstance(gpu, bool) for gpu in gpus):
        raise ValueError(f"gpus is {gpus!r}; it must be a list such as [0,1], auto, or null")
    if len({str(gpu) for gpu in gpus}) < len(gpus):
        raise ValueError(f"gpus is {list(gpus)!r}; the same GPU is in it twice")
