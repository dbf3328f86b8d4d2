"""The sweep directory of a multirun: a new sweep in it, or one that is taken up."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from hydra_plugins.launchkit_launcher._options import Options
from hydra_plugins.launchkit_launcher._task import HydraTask
from launchkit import runner
from launchkit.driver import refuse_driven
from launchkit.job import Job
from launchkit.modes.base import Mode
from launchkit.runner import Work
from launchkit.sweep import Sweep, SweepError, make_way


class SweepDirectory:
    """Where a multirun's sweep is, or is going to be.

    Parameters
    ----------
    path
        The directory.
    options
        How the multirun is launched.
    mode
        Where its jobs run.

    Attributes
    ----------
    aside
        Where a sweep that was in the directory has been moved, or would be.

    Raises
    ------
    SweepError
        If there is a sweep that is in the way, or none where one is to be resumed.
    """

    def __init__(self, path: Path, options: Options, mode: Mode) -> None:
        self._path = path = Path(os.path.abspath(path))  # noqa: PTH100 - links are kept as given
        self._options = options
        self._mode = mode
        self._sweep: Sweep | None = None
        self._begun: Sweep | None = None
        self.aside: Path | None = None
        if options.resume:
            self._begun = _open(path)
        else:
            self.aside = make_way(path, options.existing, dry_run=options.dry_run)

    @property
    def sweep(self) -> Sweep:
        """The sweep, or what it would be."""
        return self._sweep or self._begun or self._unwritten()

    def work(self, jobs: Sequence[Job], task: HydraTask, size: int | None) -> Work:
        """Make or take up the sweep, and return what is to be run of it.

        Parameters
        ----------
        jobs
            The jobs of a batch.
        task
            What they run.
        size
            How many jobs there are in all batches; None where the sweeper knows only at its end.

        Raises
        ------
        SweepError
            If the sweep cannot be made, is being driven, or is one of other jobs.
        ValueError
            If the mode cannot run a job.
        """
        if self._begun is not None:
            return self._taken_up(self._sweep or self._begun, jobs, task, size)
        if self._sweep is not None:
            return Work(self._sweep, jobs, task)
        work = Work(self._unwritten(), jobs, task)
        if not self._options.dry_run:
            # What is refused leaves nothing in the way of the next launch.
            runner.check(work, self._mode, self._options.policy)
            work.sweep.check(jobs)
            self._sweep = self._made(size)
            work = replace(work, sweep=self._sweep)
        return work

    def withdraw(self, jobs: Sequence[Job]) -> None:
        """Remove what was written of a sweep whose only jobs are those that were refused."""
        if self._begun is None and self._sweep is not None and len(self._sweep.jobs) <= len(jobs):
            shutil.rmtree(self._sweep.own, ignore_errors=True)
            self._sweep = None

    def _taken_up(
        self, sweep: Sweep, jobs: Sequence[Job], task: HydraTask, size: int | None
    ) -> Work:
        # Most sweeps are new, and their first jobs start the earlier.
        from hydra_plugins.launchkit_launcher._resume import take_up  # noqa: PLC0415

        refuse_driven(sweep)
        taken = take_up(sweep, jobs, task, size, force=self._options.force)
        work = Work(sweep, taken.jobs, task, resumed=True, changed=taken.changed)
        if self._sweep is None and not self._options.dry_run:
            runner.check(work, self._mode, self._options.policy)
            sweep = sweep.reconfigured(
                mode=self._mode.name,
                settings=self._options.mode_settings,
                policy=asdict(self._options.policy),
                size=size,
            )
        self._sweep = sweep
        return replace(work, sweep=sweep)

    def _made(self, size: int | None) -> Sweep:
        return Sweep.create(
            self._path,
            mode=self._mode.name,
            settings=self._options.mode_settings,
            command=sys.argv,
            policy=asdict(self._options.policy),
            size=size,
        )

    def _unwritten(self) -> Sweep:
        return Sweep(
            directory=self._path,
            id="(not written)",
            mode=self._mode.name,
            settings={},
            command=tuple(sys.argv),
            created=time.time(),
        )


def _open(path: Path) -> Sweep:
    try:
        return Sweep.open(path)
    except SweepError as error:
        raise SweepError(
            f"{error}; hydra.launcher.resume=true wants the directory of the sweep to resume in "
            "hydra.sweep.dir"
        ) from error
