"""A Hydra callback that gives every job a logger and a ``variant.json``."""

from __future__ import annotations

import secrets
import time
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from launchkit.job import read
from launchkit.job_record import JobRecord
from launchkit.logging import logger
from launchkit.logging.variant import encode, read_variant, write_variant
from launchkit.masking import mask_values


class LaunchkitCallback(Callback):
    """Opens the logger for each job, writes ``variant.json``, and closes the logger.

    Select it with ``hydra/callbacks=launchkit``, under any launcher.

    Parameters
    ----------
    snapshot_mode
        What `logger.save_itr_params` keeps: all, last, gap, gap_and_last or none.
    snapshot_gap
        With gap and gap_and_last: the iterations it divides are kept.
    print_table
        Whether each dumped row is printed as a table as well.
    log_tabular_only
        Whether the terminal shows dumped rows only; ``debug.log`` gets all the same.

    Raises
    ------
    ValueError
        If there is no such snapshot mode, or the gap is less than 1.
    """

    def __init__(
        self,
        snapshot_mode: str = "last",
        snapshot_gap: int = 1,
        print_table: bool = True,
        log_tabular_only: bool = False,
    ) -> None:
        logger.check_snapshot_settings(snapshot_mode, snapshot_gap)
        self._settings = {
            "snapshot_mode": snapshot_mode,
            "snapshot_gap": snapshot_gap,
            "print_table": print_table,
            "log_tabular_only": log_tabular_only,
        }
        self._record: JobRecord | None = None

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Open the logger in the job's directory and write what the job is."""
        del kwargs
        directory = Path(config.hydra.runtime.output_dir)
        self._record = JobRecord.begin(config.hydra, directory)
        task_config = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
        open_job(config.hydra, task_config, directory, **self._settings)

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """Close the logger."""
        del config, kwargs
        logger.close()
        if self._record is not None:
            self._record.finish(job_return)
            self._record = None


def ensure_open(hydra_config: Any, task_config: DictConfig, directory: Path) -> None:
    """Open the logger for a job if no callback has done so.

    Hydra turns the exceptions of a callback into warnings, so a job looks for itself.
    """
    if logger.directory != directory or not (directory / "variant.json").exists():
        open_job(hydra_config, task_config, directory)


def open_job(hydra_config: Any, task_config: DictConfig, directory: Path, **settings: Any) -> None:
    """Write a job's ``variant.json``, secrets masked, and open the logger in its directory.

    Parameters
    ----------
    hydra_config
        Hydra's own config of the job.
    task_config
        The user's config.
    directory
        The job's output directory.
    **settings
        Settings of `Logger.open`.
    """
    variant = encode(task_config)
    known = read_variant(directory / "variant.json") or {}
    name = variant.get("exp_name") or known.get("exp_name") or _exp_name(hydra_config)
    write_variant(directory / "variant.json", {**mask_values(variant), "exp_name": name})
    resumed = read(directory).attempt > 1
    logger.open(directory, exp_name=str(name), resume=resumed, **settings)


def _exp_name(hydra_config: Any) -> str:
    """Return a name that no other run has: viskit would average runs that share one."""
    stamp = time.strftime("%Y_%m_%d_%H_%M_%S")
    num = OmegaConf.select(hydra_config, "job.num", throw_on_missing=False)
    number = "" if num is None else f"_{num:04d}"
    return f"{hydra_config.job.name}_{stamp}{number}_{secrets.token_hex(3)}"
