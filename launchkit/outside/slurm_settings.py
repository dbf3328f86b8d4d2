"""The settings of the modes that use Slurm, and the flags of ``sbatch`` that they make."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from launchkit.job import Job, Needs
from launchkit.outside.settings import Outside
from launchkit.policy import check_whole

MEMORY = re.compile(r"\d+[KMGT]?", re.IGNORECASE)
OWN_FLAGS = {
    "--array": "array_parallelism",
    "--parsable": "",
    "--test-only": "",
    "--wait": "",
    "--wrap": "",
    "--output": "",
    "--error": "",
    "--ntasks": "jobs_per_task",
}
"""Flags that are launchkit's to give, and the setting for it, if there is one."""
SHORT = {"-a": "--array", "-W": "--wait", "-o": "--output", "-e": "--error", "-n": "--ntasks"}


@dataclass(frozen=True, kw_only=True)
class SlurmSettings(Outside):
    """What is asked of Slurm for each task, and how jobs share one.

    Parameters
    ----------
    account, partition, qos, constraint
        As ``sbatch`` takes them; None for what Slurm gives who does not ask.
    time_in_mins
        The time limit of a task, in minutes.
    nodes
        How many nodes a task has; its jobs are started on the first.
    gpus
        The GPUs of a task: a number, or a kind and a number such as ``a100:2``.
    cpus_per_task
        The cores of a task; None for what its jobs need by the other settings.
    mem
        The memory of a task, ``8G`` say.
    sbatch_args
        More flags of ``sbatch``.
    jobs_per_task
        How many jobs are packed into one task of the array.
    n_jobs
        How many of these run at a time; None for as many as GPUs or cores allow.
    cpus_per_job
        How many threads a job's numerical libraries may use; None to leave it to them.
    gpus_per_job
        How many GPUs of its task a job gets; None for one where jobs share a task.
    jobs_per_gpu
        How many jobs share a GPU.
    array_parallelism
        How many tasks run at a time; None for as many as Slurm lets.
    requeue
        Whether a task goes back into the queue that lost its node, or was preempted.
    signal_s
        Seconds before the time limit at which jobs are asked to end, to go on in another run
        of the task; 0 for never.
    max_requeues
        How often a task goes on after its time limit.

    Raises
    ------
    ValueError
        If one of them is wrong.
    """

    account: str | None = None
    partition: str | None = None
    qos: str | None = None
    constraint: str | None = None
    time_in_mins: int | None = None
    nodes: int | None = None
    gpus: int | str | None = None
    cpus_per_task: int | None = None
    mem: str | None = None
    sbatch_args: Sequence[str] = ()
    jobs_per_task: int = 1
    n_jobs: int | None = None
    cpus_per_job: int | None = None
    gpus_per_job: int | None = None
    jobs_per_gpu: int = 1
    array_parallelism: int | None = None
    requeue: bool = True
    signal_s: int = 60
    max_requeues: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("account", "partition", "qos", "constraint"):
            _check_word(name, getattr(self, name))
        for name, least, optional in (
            ("time_in_mins", 1, True),
            ("nodes", 1, True),
            ("cpus_per_task", 1, True),
            ("jobs_per_task", 1, False),
            ("n_jobs", 1, True),
            ("cpus_per_job", 1, True),
            ("gpus_per_job", 0, True),
            ("jobs_per_gpu", 1, False),
            ("array_parallelism", 1, True),
            ("signal_s", 0, False),
            ("max_requeues", 0, False),
        ):
            check_whole(name, getattr(self, name), least, optional=optional)
        _check_gpus(self.gpus)
        if self.mem is not None and not MEMORY.fullmatch(str(self.mem)):
            raise ValueError(f"mem is {self.mem!r}; it must be like 8G or 500M")
        if not isinstance(self.requeue, bool):
            raise ValueError(f"requeue is {self.requeue!r}; it must be true or false")
        _check_arguments(self.sbatch_args)
        if self.jobs_per_task == 1:
            for name, neutral in (("n_jobs", None), ("gpus_per_job", None), ("jobs_per_gpu", 1)):
                if getattr(self, name) != neutral:
                    raise ValueError(
                        f"{name} is {getattr(self, name)!r} and jobs_per_task is 1; it says how "
                        "jobs share a task"
                    )

    @property
    def packs(self) -> bool:
        """Whether jobs share tasks."""
        return self.jobs_per_task > 1

    @property
    def image_name(self) -> str:
        """The image, where one is set."""
        assert self.image is not None
        return self.image

    @property
    def gives_gpus(self) -> bool:
        """Whether tasks have GPUs."""
        return self.gpu_count > 0

    @property
    def gpu_count(self) -> int:
        """How many GPUs a task has."""
        return int(str(self.gpus or 0).rpartition(":")[2])

    def check_job(self, job: Job) -> None:
        """Raise ValueError if a job needs more than its task has."""
        wanted = job.needs.gpus or 0
        if self.packs and wanted > self.gpu_count:
            raise ValueError(
                f"job {job.num} needs {wanted} GPUs, and it shares a task that has "
                f"{self.gpu_count}; set gpus to more, or jobs_per_task to 1"
            )

    def places(self) -> dict[str, Any]:
        """Return how the jobs of a task share it: settings of mode ``local``."""
        threads = {} if self.cpus_per_job is None else {"cpus_per_job": self.cpus_per_job}
        if not self.packs:
            return {"n_jobs": 1, **threads}
        if not self.gpu_count:
            cores = self.cpus_per_task or 1
            return {"n_jobs": self.n_jobs or max(1, cores // (self.cpus_per_job or 1)), **threads}
        shared = {"jobs_per_gpu": self.jobs_per_gpu, "gpus_per_job": self.gpus_per_job}
        return {"n_jobs": self.n_jobs, "gpus": "auto", **shared, **threads}

    def flags(self, needs: Needs) -> list[str]:
        """Return the flags of ``sbatch`` for tasks whose jobs need what is given."""
        pairs = {
            "account": self.account,
            "partition": self.partition,
            "qos": self.qos,
            "constraint": self.constraint,
            "time": self.time_in_mins,
            "nodes": self.nodes,
            "ntasks": 1 if self.nodes is None else None,
            "gres": self._gres(needs),
            "cpus-per-task": self._cores(needs),
            "mem": self.mem,
        }
        flags = [f"--{name}={value}" for name, value in pairs.items() if value is not None]
        flags.append("--requeue" if self.requeue else "--no-requeue")
        if self.lead_s:
            flags.append(f"--signal=B:USR1@{self.lead_s}")
        return [*flags, *self.sbatch_args]

    @property
    def lead_s(self) -> int:
        """Seconds before the time limit at which jobs are asked to end."""
        if self.time_in_mins is None:
            return self.signal_s
        # A short task would be asked as soon as it has begun.
        return min(self.signal_s, self.time_in_mins * 60 // 4)

    def _gres(self, needs: Needs) -> str | None:
        kind, _, count = str(self.gpus or 0).rpartition(":")
        wanted = int(count) if self.packs or needs.gpus is None else needs.gpus
        return "gpu:" + (f"{kind}:" if kind else "") + str(wanted) if wanted else None

    def _cores(self, needs: Needs) -> int | None:
        if not self.packs and needs.cpus is not None:
            return needs.cpus
        if self.cpus_per_task is not None or not (self.n_jobs or self.cpus_per_job):
            return self.cpus_per_task
        return (self.n_jobs or 1) * (self.cpus_per_job or 1)


def _check_word(name: str, value: Any) -> None:
    if value is None:
        return
    if not isinstance(value, str) or not value.isprintable() or not value.strip():
        raise ValueError(f"{name} is {value!r}; it must be a name, or null")


def _check_gpus(gpus: Any) -> None:
    if gpus is None:
        return
    counted = isinstance(gpus, int) and not isinstance(gpus, bool) and gpus >= 0
    kind = isinstance(gpus, str) and re.fullmatch(r"([\w.-]+:)?\d+", gpus)
    if not (counted or kind):
        raise ValueError(f"gpus is {gpus!r}; it must be a number, or like a100:2, or null")


def _check_arguments(arguments: Any) -> None:
    if isinstance(arguments, str) or not isinstance(arguments, Sequence):
        raise ValueError(f"sbatch_args is {arguments!r}; it must be a list")
    for argument in arguments:
        if not isinstance(argument, str) or not re.fullmatch(r"-[^\0]+", argument, re.DOTALL):
            raise ValueError(
                f"sbatch_args has {argument!r}; each must be one flag with its value, such as "
                "--exclude=node7"
            )
        flag = argument.partition("=")[0]
        flag = SHORT.get(flag[:2], flag) if not flag.startswith("--") else flag
        if flag in OWN_FLAGS:
            instead = OWN_FLAGS[flag]
            raise ValueError(
                f"sbatch_args has {argument!r}, which is launchkit's to give"
                + (f"; set {instead}" if instead else "")
            )
