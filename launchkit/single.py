"""One experiment in this process, as rlkit's `run_experiment_here` and `setup_logger` do it."""

from __future__ import annotations

import os
import random
import secrets
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from launchkit.code.git_files import GitInfo, write_git_infos
from launchkit.experiment import (
    SEED_BELOW,
    LoggerSettings,
    create_log_dir,
    gpu_visible,
    open_logger,
    save_call,
    set_seed,
)
from launchkit.logging import logger


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
    save_call(
        variant=seen,
        exp_id=exp_id,
        seed=seed,
        use_gpu=use_gpu,
        exp_prefix=exp_prefix,
        snapshot_mode=snapshot_mode,
        snapshot_gap=snapshot_gap,
        git_infos=git_infos,
        script_name=script_name,
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

    A given `log_dir` that holds a run is continued: its ``progress.csv`` goes on, and the
    variant file stays as it is, with a warning where the variant is another one now.

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
    exp_name = None
    if log_dir is None:
        log_dir = create_log_dir(exp_prefix, **create_log_dir_kwargs)
        exp_name = Path(log_dir).name
    directory = Path(log_dir).absolute()
    directory.mkdir(parents=True, exist_ok=True)
    settings = LoggerSettings(
        snapshot_mode=snapshot_mode,
        snapshot_gap=snapshot_gap,
        log_tabular_only=log_tabular_only,
        text_file=text_log_file,
        tabular_file=tabular_log_file,
    )
    exp_name = exp_name or _unique_name(directory)
    open_logger(directory, exp_name, variant, settings, script_name or "", variant_log_file)
    write_git_infos(directory, git_infos)
    return str(log_dir)


def _unique_name(directory: Path) -> str:
    """Return a name that no other run has: viskit would average runs that share one."""
    return f"{directory.name}_{time.strftime('%Y_%m_%d_%H_%M_%S')}_{secrets.token_hex(3)}"


def reset_execution_environment() -> None:
    """Forget the experiment before: close the logger's files and its settings."""
    logger.reset()
