"""The state files and captured output of a Hydra job that no launchkit launcher runs.

A single run, or a job of another launcher with our callback, gets them too.
"""

from __future__ import annotations

import atexit
import contextlib
import os
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from omegaconf import OmegaConf

from launchkit import capture
from launchkit.ending import complete, fail
from launchkit.job import Job, JobError, JobState, end, read, start


class JobRecord:
    """The record of a job that runs in this process, from its start to its end.

    Parameters
    ----------
    job
        The job.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._open = contextlib.ExitStack()
        job.own.mkdir(parents=True, exist_ok=True)
        start(job)
        self._open.enter_context(capture.tee(job))
        # Hydra 1.3 calls no `on_job_end` for a job that calls sys.exit().
        atexit.register(self._abandon)

    @classmethod
    def begin(cls, hydra_config: Any, directory: Path) -> JobRecord | None:
        """Start the record of a job, or return None if its worker keeps one."""
        attempt = read(directory)
        if attempt.state is JobState.RUNNING and attempt.pid == os.getpid():
            return None
        num = OmegaConf.select(hydra_config, "job.num", throw_on_missing=False)
        return cls(Job(num or 0, tuple(hydra_config.overrides.task), directory))

    def finish(self, job_return: JobReturn) -> None:
        """Write how the job ended."""
        atexit.unregister(self._abandon)
        result = job_return._return_value
        if job_return.status is JobStatus.COMPLETED:
            complete(self._job, result)
        elif isinstance(result, SystemExit) and not result.code:
            complete(self._job, None)
        else:
            with contextlib.redirect_stderr(self._log()):
                fail(self._job, result)
        self._open.close()

    def _log(self) -> Any:
        """Open the job's log alone: Hydra shows the traceback on the terminal itself."""
        return self._open.enter_context(self._job.stderr.open("a", encoding="utf-8"))

    def _abandon(self) -> None:
        error = JobError("ProcessEnded", "the program exited before the job returned")
        end(self._job, JobState.FAILED, error=error)
        self._open.close()
