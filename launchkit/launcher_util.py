"""rlkit's way to start experiments: `run_experiment` and what goes with it.

The jobs go through the same runner and modes as those of a Hydra multirun.
"""

from __future__ import annotations

import datetime
import os
import random
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from launchkit import mode_parameters, runner
from launchkit.detach import detach, handed_over
from launchkit.display.progress import Progress
from launchkit.display.report import reason
from launchkit.experiment import (
    SEED_BELOW,
    Experiment,
    FunctionTask,
    LoggerSettings,
    create_exp_name,
    create_log_dir,
    planned_log_dir,
    set_seed,
)
from launchkit.handle import JobHandle
from launchkit.job import Job
from launchkit.logging import logger
from launchkit.modes import registry
from launchkit.modes.base import Mode
from launchkit.policy import Policy
from launchkit.runner import Work
from launchkit.single import reset_execution_environment, run_experiment_here, setup_logger
from launchkit.sweep import Sweep, SweepError
from launchkit.sweeper import grid_of

__all__ = [
    "ExperimentsFailed",
    "create_exp_name",
    "create_log_dir",
    "reset_execution_environment",
    "run_experiment",
    "run_experiment_here",
    "set_seed",
    "setup_logger",
]


class ExperimentsFailed(RuntimeError):
    """Experiments did not complete; the others did, and their results are kept.

    Parameters
    ----------
    outcomes
        How the jobs that did not complete ended.
    """

    def __init__(self, outcomes: list[runner.Outcome]) -> None:
        self.outcomes = tuple(outcomes)
        first = outcomes[0]
        super().__init__(
            f"{len(outcomes)} of the experiments did not complete; the first of them: "
            f"job {first.job.num} {first.attempt.state}: {reason(first.attempt)} "
            f"(log: {first.job.stderr})"
        )


def run_experiment(
    method_call: Callable[..., Any],
    mode: str = "here_no_doodad",
    exp_prefix: str = "default",
    seed: int | None = None,
    variant: Mapping[str, Any] | None = None,
    exp_id: int = 0,
    prepend_date_to_exp_prefix: bool = True,
    use_gpu: bool = False,
    snapshot_mode: str = "last",
    snapshot_gap: int = 1,
    base_log_dir: str | os.PathLike[str] | None = None,
    local_input_dir_to_mount_point_dict: Mapping[str, str] | None = None,
    unpack_variant: bool = False,
    skip_wait: bool = False,
    sync_interval: int = 180,
    region: str = "us-east-1",
    instance_type: str | None = None,
    spot_price: float | None = None,
    verbose: bool = False,
    num_exps_per_instance: int = 1,
    time_in_mins: int | None = None,
    ssh_host: str | None = None,
    gcp_kwargs: Mapping[str, Any] | None = None,
    mode_kwargs: Mapping[str, Any] | None = None,
) -> list[Any]:
    """Run a function once for each combination of the lists in a variant.

    Each list at the top level of `variant` is swept; all else is fixed, lists inside
    nested dictionaries included. A list as a value is written inside the list,
    ``[[256, 256]]``. Results are in
    ``<base_log_dir>/<MM-DD>-<exp_prefix>/<name>_<timestamp>_<exp_id>--s-<seed>``.

    Parameters
    ----------
    method_call
        Called with a dict: the combination, `exp_id` and `seed`.
    mode
        Where the experiments run: ``here_no_doodad`` (in this process), ``local`` (a process
        each, in parallel), ``local_docker``, ``local_singularity``, ``ssh``,
        ``slurm_singularity``, ``sss``, ``ec2`` or ``gcp``.
    exp_prefix
        What the names of the experiments begin with.
    seed
        For all random number generators; by default a random one for each job, or the
        ``seed`` of the variant.
    variant
        The hyperparameters; it is not changed.
    exp_id
        The number of the first job; the others count on from it.
    prepend_date_to_exp_prefix
        Whether month and day come before the prefix.
    use_gpu
        Without it, no GPU is visible to the function.
    snapshot_mode, snapshot_gap
        What `logger.save_itr_params` keeps: all, last, gap, gap_and_last or none; and
        with gap and gap_and_last, the iterations that it divides.
    base_log_dir
        The directory of all experiments; ``data`` below the current one by default.
    unpack_variant
        Whether the function takes the variant's entries as keywords.
    verbose
        Whether the plan of the mode is printed line by line, with each job's variant.
    skip_wait
        Whether to leave the jobs to a supervisor that outlives this program, and return at
        once.
    local_input_dir_to_mount_point_dict
        Directories that the function reads, and where the container sees each of them.
    time_in_mins
        Minutes that Slurm grants.
    ssh_host
        The host of mode ``ssh``.
    mode_kwargs
        Other settings of the mode, as those of ``hydra.launcher``: ``{"image": ...}``.
    sync_interval
        Seconds between two uploads of what a rented machine has written.
    region, spot_price
        Where machines of EC2 are rented, and the most that one may cost an hour, in USD; None to
        rent on demand.
    instance_type
        The type of rented machine; None for the mode's own.
    num_exps_per_instance
        How many jobs a rented machine gets.
    gcp_kwargs
        Settings of mode ``gcp``, as rlkit writes them: ``{"zone": ..., "gpu_kwargs": {...}}``.

    Returns
    -------
    list
        What the function returned, a value a job; with `skip_wait` a `JobHandle` a job,
        which knows its state and, later, its value.

    Raises
    ------
    ValueError
        If the mode is unknown, cannot honour a parameter, or a value is wrong; nothing
        has run then.
    SweepError
        If `base_log_dir` cannot be written; nothing has run then.
    ExperimentsFailed
        After all jobs have ended, if one did not complete.
    """
    mode_settings = mode_parameters.settings_of(mode, dict(locals()))
    driver = registry.create(mode, mode_settings)
    if skip_wait and driver.in_this_process:
        raise ValueError(f"mode {mode!r} cannot honour skip_wait=True: it runs in this process")
    _refuse_wrong_types(method_call, seed, variant)
    logger.check_snapshot_settings(snapshot_mode, snapshot_gap)
    settings = LoggerSettings(snapshot_mode=snapshot_mode, snapshot_gap=snapshot_gap)
    variants = grid_of(variant or {})
    prefix = exp_prefix
    if prepend_date_to_exp_prefix:
        prefix = f"{datetime.datetime.now():%m-%d}-{exp_prefix}"
    experiments = {
        num: Experiment(chosen, _seed(seed, chosen), exp_id + num)
        for num, chosen in enumerate(variants)
    }
    overrides = [_as_overrides(variant or {}, chosen) for chosen in variants]
    task = FunctionTask(
        method_call,
        experiments,
        settings,
        unpack_variant,
        use_gpu,
        script_name=sys.argv[0],
        exp_prefix=prefix,
        base_log_dir=None if base_log_dir is None else os.fspath(base_log_dir),
    )

    def make_jobs(directories: Iterable[Path]) -> list[Job]:
        return [
            Job(num, words, directory)
            for num, (words, directory) in enumerate(zip(overrides, directories, strict=True))
        ]

    planned = [
        planned_log_dir(prefix, experiment.exp_id, experiment.seed, base_log_dir)
        for experiment in experiments.values()
    ]
    _check(driver, make_jobs(planned), task)
    sweep_directory, directories = _make_directories(prefix, experiments.values(), base_log_dir)
    jobs = make_jobs(directories)
    sweep = Sweep.create(sweep_directory, mode=mode, settings=mode_settings, command=sys.argv)
    work, progress = Work(sweep, jobs, task), Progress(verbose=verbose)
    if driver.hands_over and not skip_wait:
        runner.hand_over(work, driver, Policy(), progress.say)
        return [JobHandle(sweep, job) for job in jobs]
    if skip_wait:
        progress.say(handed_over(sweep, len(jobs), detach(work, driver, Policy())))
        return [JobHandle(sweep, job) for job in jobs]
    outcomes = runner.run(work, driver, progress)
    failed = runner.bad(outcomes)
    if failed:
        raise ExperimentsFailed(failed)
    return [outcome.value for outcome in outcomes]


def _refuse_wrong_types(method_call: Any, seed: int | None, variant: Any) -> None:
    if not callable(method_call):
        raise ValueError(f"method_call is {method_call!r}; it must be a function")
    if variant is not None and not isinstance(variant, Mapping):
        raise ValueError(f"variant is {variant!r}; it must be a dict of hyperparameters")
    if seed is not None and isinstance((variant or {}).get("seed"), list):
        raise ValueError(f"seed={seed!r} would take the place of the seeds that variant sweeps")


def _check(mode: Mode, jobs: Sequence[Job], task: FunctionTask) -> None:
    """See to it that a mode can run jobs, before their directories are made."""
    sweep = Sweep(
        directory=jobs[0].directory.with_name(f"{jobs[0].directory.name}_sweep"),
        id="(not written)",
        mode=mode.name,
        settings={},
        command=tuple(sys.argv),
        created=time.time(),
    )
    runner.check(Work(sweep, jobs, task), mode, Policy())


def _make_directories(
    prefix: str, experiments: Iterable[Experiment], base_log_dir: str | os.PathLike[str] | None
) -> tuple[Path, list[Path]]:
    """Make a directory for the sweep and for each experiment, or none if that cannot be done."""
    made: list[Path] = []
    try:
        for experiment in experiments:
            where = create_log_dir(prefix, experiment.exp_id, experiment.seed, base_log_dir)
            made.append(Path(where))
        return _make_sweep_directory(made[0].parent, Path(prefix).name), made
    except OSError as error:
        for directory in made:
            directory.rmdir()
        raise SweepError(
            f"cannot make {error.filename}: {error.strerror}; "
            "set base_log_dir to a place with room that you may write to"
        ) from error


def _seed(seed: int | None, variant: Mapping[str, Any]) -> int:
    if seed is None:
        seed = variant.get("seed")
    return random.randrange(SEED_BELOW) if seed is None else int(seed)


def _as_overrides(variant: Mapping[str, Any], chosen: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what was chosen for the swept names, in the words of a sweep's tables."""
    swept = (name for name, values in variant.items() if isinstance(values, list))
    return tuple(f"{name}={chosen[name]}" for name in swept if name in chosen)


def _make_sweep_directory(parent: Path, prefix: str) -> Path:
    """Make a directory for the sweep's own files, beside its runs, that is nobody else's."""
    stamp = f"{datetime.datetime.now():%Y_%m_%d_%H_%M_%S}"
    number = 1
    while True:
        directory = parent / (f"{prefix}_{stamp}_sweep" + ("" if number == 1 else f"-{number}"))
        try:
            directory.mkdir()
        except FileExistsError:
            number += 1
        else:
            return directory
