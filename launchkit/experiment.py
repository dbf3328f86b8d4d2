"""One experiment in rlkit's sense: a function called with a variant, in its own directory."""

from __future__ import annotations

import contextlib
import copy
import datetime
import logging
import os
import pickle
import random
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launchkit import files
from launchkit.job import Job, read
from launchkit.logging import logger
from launchkit.logging.variant import encode, read_variant, write_variant
from launchkit.masking import mask_values

SEED_BELOW = 100_000

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoggerSettings:
    """How an experiment's logger is set up; the fields are those of `Logger.open`."""

    snapshot_mode: str = "last"
    snapshot_gap: int = 1
    log_tabular_only: bool = False
    text_file: str = "debug.log"
    tabular_file: str = "progress.csv"


@dataclass(frozen=True)
class Experiment:
    """One call of the user's function.

    Parameters
    ----------
    variant
        The hyperparameters; `run` gives the function a copy.
    seed
        For all random number generators.
    exp_id
        The experiment's number.
    """

    variant: Mapping[str, Any]
    seed: int
    exp_id: int


@dataclass(frozen=True)
class FunctionTask:
    """The jobs of a sweep over a function's variants.

    Parameters
    ----------
    function
        Called with a variant, or with its entries as keywords if `unpack_variant`.
    experiments
        What each job calls it with, by the job's number.
    settings
        For the logger.
    unpack_variant
        Whether the function takes the variant's entries as keywords.
    use_gpu
        Without it, no GPU is visible to the function.
    script_name
        The program that started it.
    exp_prefix, base_log_dir
        What the directories are named after, for ``experiment.pkl``.
    """

    function: Callable[..., Any]
    experiments: Mapping[int, Experiment]
    settings: LoggerSettings
    unpack_variant: bool
    use_gpu: bool
    script_name: str
    exp_prefix: str
    base_log_dir: str | None

    def run(self, job: Job) -> Any:
        """Set up logger, seed and GPU, and call the function."""
        experiment = self.experiments[job.num]
        variant = copy.deepcopy(dict(experiment.variant))
        variant["exp_id"] = experiment.exp_id
        variant["seed"] = experiment.seed
        open_logger(job.directory, job.directory.name, variant, self.settings, self.script_name)
        try:
            save_call(
                variant=variant,
                exp_id=experiment.exp_id,
                seed=experiment.seed,
                use_gpu=self.use_gpu,
                exp_prefix=self.exp_prefix,
                snapshot_mode=self.settings.snapshot_mode,
                snapshot_gap=self.settings.snapshot_gap,
                git_infos=None,
                script_name=self.script_name,
                base_log_dir=self.base_log_dir,
            )
            set_seed(experiment.seed)
            if self.unpack_variant:
                del variant["exp_id"]
                if "seed" not in experiment.variant:
                    del variant["seed"]
            with gpu_visible(self.use_gpu):
                return self.function(**variant) if self.unpack_variant else self.function(variant)
        finally:
            logger.close()


def open_logger(
    directory: Path,
    exp_name: str,
    variant: Mapping[str, Any] | None,
    settings: LoggerSettings,
    script_name: str,
    variant_file: str = "variant.json",
) -> None:
    """Write what an experiment is, secrets masked, into its directory; open the logger there.

    The variant of a run that is there already is kept: its rows were made with it.
    """
    path = directory / variant_file
    known = read_variant(path)
    now = {"exp_name": exp_name, **mask_values(variant or {}), **_only_name(known)}
    logger.open(
        directory,
        exp_name=str(now["exp_name"]),
        snapshot_mode=settings.snapshot_mode,
        snapshot_gap=settings.snapshot_gap,
        log_tabular_only=settings.log_tabular_only,
        text_file=settings.text_file,
        tabular_file=settings.tabular_file,
        resume=read(directory).attempt > 1,
    )
    if known is not None:
        _warn_of_changes(path, known, now)
    elif variant is not None:
        write_variant(path, now)
    if script_name:
        files.write_atomic(directory / "script_name.txt", script_name)


def _only_name(known: Mapping[str, Any] | None) -> dict[str, Any]:
    return {"exp_name": known["exp_name"]} if known and known.get("exp_name") else {}


def _warn_of_changes(path: Path, known: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    encoded = encode(now)
    changed = sorted(key for key in known if key in encoded and encoded[key] != known[key])
    if changed:
        log.warning("%s keeps the variant of the first start; now different: %s", path, changed)


def save_call(**kwargs: Any) -> None:
    """Write what was called to ``experiment.pkl``, under rlkit's name for it.

    Parameters
    ----------
    **kwargs
        The arguments of `run_experiment_here`. Where they cannot be pickled there is a
        warning and no file: the run does not depend on it.
    """
    try:
        logger.save_extra_data({"run_experiment_here_kwargs": kwargs}, "experiment.pkl")
    except (pickle.PicklingError, ImportError) as error:
        log.warning("what was called is not kept: %s", error)


def set_seed(seed: int) -> None:
    """Seed ``random``, and numpy and torch where they are imported already."""
    random.seed(seed)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(seed % 2**32)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed)


@contextlib.contextmanager
def gpu_visible(use_gpu: bool) -> Iterator[None]:
    """Hide the GPUs from what runs in the block, unless it is to use them."""
    before = os.environ.get("CUDA_VISIBLE_DEVICES")
    if not use_gpu:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    try:
        yield
    finally:
        if before is None:
            os.environ.pop("CUDA_VISIBLE_DEVICES", None)
        else:
            os.environ["CUDA_VISIBLE_DEVICES"] = before


def create_exp_name(exp_prefix: str, exp_id: int = 0, seed: int = 0) -> str:
    """Return ``<exp_prefix>_<timestamp>_<exp_id>--s-<seed>``."""
    stamp = datetime.datetime.now().strftime("%Y_%m_%d_%H_%M_%S")
    return f"{exp_prefix}_{stamp}_{exp_id:04d}--s-{seed}"


def planned_log_dir(
    exp_prefix: str,
    exp_id: int,
    seed: int,
    base_log_dir: str | os.PathLike[str] | None,
    include_exp_prefix_sub_dir: bool = True,
) -> Path:
    """Return the directory that `create_log_dir` would make, were it alone."""
    parent = Path(base_log_dir if base_log_dir is not None else "data").absolute()
    if include_exp_prefix_sub_dir:
        parent /= exp_prefix.replace("_", "-")
    # A prefix may hold slashes.
    return parent / create_exp_name(exp_prefix, exp_id=exp_id, seed=seed)


def create_log_dir(
    exp_prefix: str,
    exp_id: int = 0,
    seed: int = 0,
    base_log_dir: str | os.PathLike[str] | None = None,
    include_exp_prefix_sub_dir: bool = True,
) -> str:
    """Make a directory for one experiment, and return it.

    It is new, also where another process makes one of the same name at the same moment:
    a number is then added to the name.

    Parameters
    ----------
    exp_prefix
        What the experiment's name begins with.
    exp_id
        The experiment's number.
    seed
        Its seed.
    base_log_dir
        The directory of all experiments; ``data`` below the current one by default.
    include_exp_prefix_sub_dir
        Whether experiments of one prefix share a directory of their own.
    """
    wanted = planned_log_dir(exp_prefix, exp_id, seed, base_log_dir, include_exp_prefix_sub_dir)
    wanted.parent.mkdir(parents=True, exist_ok=True)
    attempt = 1
    while True:
        directory = wanted if attempt == 1 else wanted.with_name(f"{wanted.name}-{attempt}")
        try:
            directory.mkdir()
        except FileExistsError:
            attempt += 1
        else:
            return str(directory)
