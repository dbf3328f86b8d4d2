"""rlkit's way to start experiments: `run_experiment` and what goes with it.

The jobs go through the same runner and modes as those of a Hydra multirun.
"""

from __future__ import annotations

import datetime
import os
import random
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from launchkit import runner
from launchkit.experiment import (
    SEED_BELOW,
    Experiment,
    FunctionTask,
    LoggerSettings,
    create_exp_name,
    create_log_dir,
    gpu_visible,
    open_logger,
    set_seed,
)
from launchkit.git_files import GitInfo, write_git_infos
from launchkit.job import Job
from launchkit.logging import logger
from launchkit.modes import registry
from launchkit.progress import Progress
from launchkit.sweep import Sweep
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

LATER_MODES: dict[str, tuple[Any, tuple[str, ...]]] = {
    "local_input_dir_to_mount_point_dict": (None, ("local_docker", "ssh", "ec2", "gcp")),
    "skip_wait": (False, ()),
    "sync_interval": (180, ("ec2", "gcp")),
    "region": ("us-east-1", ("ec2",)),
    "instance_type": (None, ("ec2", "gcp")),
    "spot_price": (None, ("ec2",)),
    "num_exps_per_instance": (1, ("ec2", "gcp")),
    "time_in_mins": (None, ("slurm_singularity", "sss")),
    "ssh_host": (None, ("ssh",)),
    "gcp_kwargs": (None, ("gcp",)),
}
"""Parameters that say nothing to the modes here: their default, and who they are for."""


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
        reason = first.attempt.error.last_line if first.attempt.error else "no reason given"
        super().__init__(
            f"{len(outcomes)} of the experiments did not complete; the first of them: "
            f"job {first.job.num} {first.attempt.state}: {reason} (log: {first.job.stderr})"
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
        ``here_no_doodad`` (in this process) or ``local`` (a process each, in parallel).
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
    local_input_dir_to_mount_point_dict, skip_wait, sync_interval, region, instance_type, \
spot_price, num_exps_per_instance, time_in_mins, ssh_host, gcp_kwargs
        For modes that leave this machine.

    Returns
    -------
    list
        What the function returned, a value a job.

    Raises
    ------
    ValueError
        If the mode is unknown, cannot honour a parameter, or a value is wrong; nothing
        has run then.
    ExperimentsFailed
        After all jobs have ended, if one did not complete.
    """
    _refuse_what_the_mode_cannot_do(mode, locals())
    driver = registry.create(mode, {})
    settings = LoggerSettings(snapshot_mode=snapshot_mode, snapshot_gap=snapshot_gap)
    logger.check_snapshot_settings(snapshot_mode, snapshot_gap)
    variants = grid_of(variant or {})
    prefix = exp_prefix
    if prepend_date_to_exp_prefix:
        prefix = f"{datetime.datetime.now():%m-%d}-{exp_prefix}"
    experiments = {
        num: Experiment(chosen, _seed(seed, chosen), exp_id + num)
        for num, chosen in enumerate(variants)
    }
    jobs = [
        Job(
            num,
            _as_overrides(experiment.variant),
            Path(create_log_dir(prefix, experiment.exp_id, experiment.seed, base_log_dir)),
        )
        for num, experiment in experiments.items()
    ]
    task = FunctionTask(method_call, experiments, settings, unpack_variant, use_gpu, sys.argv[0])
    sweep = Sweep.create(
        _sweep_directory(jobs[0].directory.parent, prefix),
        mode=mode,
        settings={},
        command=sys.argv,
    )
    outcomes = runner.run(sweep, jobs, task, driver, Progress(verbose=verbose))
    failed = runner.bad(outcomes)
    if failed:
        raise ExperimentsFailed(failed)
    return [outcome.value for outcome in outcomes]


def _refuse_what_the_mode_cannot_do(mode: str, given: Mapping[str, Any]) -> None:
    for name, (default, modes) in LATER_MODES.items():
        if given[name] != default:
            where = f"; it is for {', '.join(modes)}" if modes else ""
            raise ValueError(f"mode {mode!r} cannot honour {name}={given[name]!r}{where}")


def _seed(seed: int | None, variant: Mapping[str, Any]) -> int:
    if seed is None:
        seed = variant.get("seed")
    return random.randrange(SEED_BELOW) if seed is None else int(seed)


def _as_overrides(variant: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a variant in the words of a sweep's tables."""
    return tuple(f"{name}={value}" for name, value in variant.items())


def _sweep_directory(parent: Path, prefix: str) -> Path:
    """Return a name for the sweep's own files, beside its runs, that none has yet."""
    stamp = f"{datetime.datetime.now():%Y_%m_%d_%H_%M_%S}"
    number = 1
    while True:
        name = f"{prefix}_{stamp}_sweep" + ("" if number == 1 else f"-{number}")
        if not (parent / name).exists():
            return parent / name
        number += 1


def run_experiment_here(
    experiment_function: Callable[..., Any],
    variant: Mapping[str, Any] | None = None,
    exp_id: int = 0,
    seed: int | None = None,
    use_gpu: bool = True,
    exp_prefix: str = "default",
    snapshot_mode: str = "last",
    snapshot_gap: int = 1,
    git_infos: list[GitInfo] | None = None,
    script_name: str | None = None,
    base_log_dir: str | os.PathLike[str] | None = None,
    force_randomize_seed: bool = False,
    log_dir: str | os.PathLike[str] | None = None,
    unpack_variant: bool = False,
    **setup_logger_kwargs: Any,
) -> Any:
    """Run one experiment in this process, and return what the function returns.

    Nothing is swept: a list in the variant is a value. The parameters are those of
    `run_experiment` and `setup_logger`.

    Parameters
    ----------
    force_randomize_seed
        Whether a random seed is taken even where one is given.
    """
    variant = dict(variant or {})
    if force_randomize_seed or seed is None:
        seed = random.randrange(SEED_BELOW)
    seen = {**variant, "exp_id": exp_id, "seed": seed}
    reset_execution_environment()
    setup_logger(
        exp_prefix=exp_prefix,
        variant=seen,
        snapshot_mode=snapshot_mode,
        snapshot_gap=snapshot_gap,
        log_dir=log_dir,
        git_infos=git_infos,
        script_name=script_name,
        exp_id=exp_id,
        seed=seed,
        base_log_dir=base_log_dir,
        **setup_logger_kwargs,
    )
    set_seed(seed)
    with gpu_visible(use_gpu):
        return experiment_function(**variant) if unpack_variant else experiment_function(seen)


def setup_logger(
    exp_prefix: str = "default",
    variant: Mapping[str, Any] | None = None,
    text_log_file: str = "debug.log",
    variant_log_file: str = "variant.json",
    tabular_log_file: str = "progress.csv",
    snapshot_mode: str = "last",
    snapshot_gap: int = 1,
    log_tabular_only: bool = False,
    log_dir: str | os.PathLike[str] | None = None,
    git_infos: list[GitInfo] | None = None,
    script_name: str | None = None,
    **create_log_dir_kwargs: Any,
) -> str:
    """Open the logger in a directory of one experiment, and return the directory.

    A given `log_dir` that holds a run is continued: its ``progress.csv`` goes on.

    Parameters
    ----------
    exp_prefix
        What the directory's name begins with.
    variant
        What is written to `variant_log_file`, with a unique ``exp_name`` where it has none.
    text_log_file, variant_log_file, tabular_log_file
        The names of the files.
    snapshot_mode, snapshot_gap, log_tabular_only
        The logger's settings.
    log_dir
        The directory; by default one that `create_log_dir` makes.
    git_infos
        Repositories to record; by default that of the user's program.
    script_name
        The program that started it, for ``script_name.txt``.
    **create_log_dir_kwargs
        `exp_id`, `seed`, `base_log_dir`, `include_exp_prefix_sub_dir`.
    """
    if log_dir is None:
        log_dir = create_log_dir(exp_prefix, **create_log_dir_kwargs)
    directory = Path(log_dir).absolute()
    directory.mkdir(parents=True, exist_ok=True)
    settings = LoggerSettings(
        snapshot_mode=snapshot_mode,
        snapshot_gap=snapshot_gap,
        log_tabular_only=log_tabular_only,
        text_file=text_log_file,
        tabular_file=tabular_log_file,
    )
    open_logger(directory, variant, settings, script_name or "", variant_log_file)
    write_git_infos(directory, git_infos)
    return str(log_dir)


def reset_execution_environment() -> None:
    """Forget the experiment before: close the logger's files and its settings."""
    logger.reset()
