"""How a job's own process writes that the job has ended."""

from __future__ import annotations

import traceback
from types import TracebackType
from typing import Any

from launchkit import value
from launchkit.job import Attempt, Job, JobError, JobState, end

OUTER_MODULES = ("launchkit", "hydra_plugins.launchkit_launcher", "hydra")


def complete(job: Job, result: Any) -> Attempt:
    """Keep what a job returned, and mark it as completed."""
    warning = value.save(job, result)
    return end(job, JobState.COMPLETED, exit_code=0, warning=warning)


def fail(job: Job, error: BaseException, code: int = 1) -> Attempt:
    """Print the traceback of a job's error, and mark the job as failed."""
    traceback.print_exception(type(error), error, _users_part(error.__traceback__))
    reason = JobError(type(error).__name__, _message(error))
    return end(job, JobState.FAILED, exit_code=code, error=reason)


def _users_part(trace: TracebackType | None) -> TracebackType | None:
    """Return a traceback from where the user's code is called; whole where it is not."""
    inner = trace
    while inner is not None and _is_outer(_module(inner.tb_frame.f_globals)):
        inner = inner.tb_next
    return inner or trace


def _module(names: dict[str, Any]) -> str:
    """Return the name of a frame's module; run by ``python -m`` it is called __main__."""
    spec = names.get("__spec__")
    return str(getattr(spec, "name", None) or names.get("__name__", ""))


def _is_outer(module: str) -> bool:
    return any(module == outer or module.startswith(f"{outer}.") for outer in OUTER_MODULES)


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as second:  # an exception's own __str__ may raise anything
        return f"(its message raises {type(second).__name__})"
