"""What is asked of Slurm: of ``sbatch``, ``squeue``, ``scontrol`` and ``scancel``."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from launchkit.outside import programs

ANSWER_S = 60.0
PROGRAMS = ("sbatch", "squeue", "scontrol", "scancel")
MAX_ARRAY_SIZE = 1001
"""What Slurm has where its configuration does not say."""

UNANSWERED = re.compile(
    r"unable to contact|connect failure|connection (refused|timed out)|timed out|zero bytes were"
    r"|unexpected message|communication|network is unreachable|controller.*not respond"
    r"|in standby mode|temporarily unable|try again",
    re.IGNORECASE,
)
FULL = re.compile(r"submit ?(job )?limit|MaxSubmit|maxjobcount|too many jobs", re.IGNORECASE)

GONE_STATES = frozenset(
    {
        "BOOT_FAIL",
        "CANCELLED",
        "COMPLETED",
        "DEADLINE",
        "FAILED",
        "LAUNCH_FAILED",
        "NODE_FAIL",
        "OUT_OF_MEMORY",
        "PREEMPTED",
        "REVOKED",
        "TIMEOUT",
    }
)
"""Slurm's states of a task that does not come back."""


class SlurmError(ValueError):
    """Slurm is not here, or does not take what is wanted."""


class SlurmFull(SlurmError):
    """Slurm takes no more jobs of this user for now."""


class SlurmSilent(Exception):
    """Slurm's controller does not answer; the jobs go on without it."""


@dataclass(frozen=True)
class Seen:
    """A task of an array, as Slurm knows it.

    Parameters
    ----------
    array
        The array's id.
    index
        Its index in the array; None for all tasks of it that were cancelled while they waited.
    state
        Slurm's word for its state.
    node
        Where it runs, or ran.
    """

    array: str
    index: int | None
    state: str
    node: str = ""

    @property
    def gone(self) -> bool:
        """Whether it has ended for good."""
        return self.state in GONE_STATES


def lacking() -> list[str]:
    """Return what Slurm lacks on this machine, a phrase each."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        return [f"Slurm (no {', '.join(missing)} on PATH)"]
    try:
        settings()
    except (SlurmError, SlurmSilent) as error:
        return [f"Slurm ({error})"]
    return []


def check() -> None:
    """See to it that Slurm can be asked at all.

    Raises
    ------
    SlurmError
        If its programs are not here.
    """
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        raise SlurmError(
            f"there is no program {missing[0]!r} on PATH; start the sweep on a machine that can "
            "submit to Slurm (a login node), or carry it there with mode sss"
        )


def settings() -> dict[str, str]:
    """Return Slurm's configuration."""
    text = _run("scontrol", "show", "config")
    pairs = (line.partition("=") for line in text.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs if value}


def max_array_size(known: Mapping[str, str]) -> int:
    """Return how many tasks an array may have, by Slurm's configuration."""
    value = known.get("MaxArraySize", "")
    return max(1, int(value)) if value.isdigit() else MAX_ARRAY_SIZE


def try_out(flags: Sequence[str], script: str) -> None:
    """Ask whether a script would be taken; nothing is submitted.

    Raises
    ------
    SlurmError
        If it would not.
    """
    _run("sbatch", "--test-only", *flags, stdin=script)


def submit(arguments: Sequence[str]) -> str:
    """Run ``sbatch`` and return the id of the array.

    Raises
    ------
    SlurmError
        If it is not taken.
    SlurmSilent
        If there is no answer; it may have been taken.
    """
    said = _run("sbatch", *arguments).strip().splitlines()
    found = re.match(r"\d+", said[-1]) if said else None
    if found is None:
        raise SlurmError(f"sbatch has said {said!r} and no job's number")
    return found[0]


def tasks(arrays: Iterable[str]) -> list[Seen]:
    """Return what Slurm knows of the tasks of arrays; those it has forgotten are left out.

    One question for all of them, of this user's jobs only.
    """
    wanted = set(arrays)
    text = _run("squeue", "--all", *_MINE, "--states=all", "--array", "--format=%F|%K|%T|%N")
    lines = (line.strip().split("|", 3) for line in text.splitlines() if line.count("|") >= 3)
    return [
        Seen(array, int(index) if index.isdigit() else None, state, node)
        for array, index, state, node in lines
        if array in wanted
    ]


def find(name: str, comment: str) -> list[tuple[str, str]]:
    """Return the arrays of a name, and a comment that begins so, and the whole comments."""
    text = _run("squeue", "--all", *_MINE, f"--name={name}", "--format=%F|%k")
    found = (line.strip().partition("|") for line in text.splitlines())
    return sorted({(array, text) for array, _, text in found if text.startswith(comment)})


def cancel(tasks: Sequence[str], *, waiting_only: bool = False) -> None:
    """End tasks; those that have ended are left out.

    Parameters
    ----------
    tasks
        What ``scancel`` calls them: ``12_[3-5,7]``, or ``12`` for all of an array.
    waiting_only
        Whether to leave alone those that have started. Only of whole arrays: of some tasks that
        wait, Slurm 22 then cancels all.
    """
    if not tasks:
        return
    try:
        _run("scancel", "--quiet", *(["--state=PENDING"] if waiting_only else []), *tasks)
    except SlurmError as error:
        if "invalid job id" not in str(error).lower():
            raise


def names(tasks: Iterable[tuple[str, int]]) -> list[str]:
    """Return what Slurm's commands call tasks, given by array and index: one name an array."""
    by_array: dict[str, list[int]] = {}
    for array, index in tasks:
        by_array.setdefault(array, []).append(index)
    return [f"{array}_[{ranges(indices)}]" for array, indices in by_array.items()]


def ranges(indices: Iterable[int]) -> str:
    """Return numbers as Slurm writes them: ``0-3,5``."""
    parts: list[list[int]] = []
    for index in sorted(indices):
        if parts and index == parts[-1][1] + 1:
            parts[-1][1] = index
        else:
            parts.append([index, index])
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in parts)


_MINE = ("--noheader", f"--user={os.getuid()}")


def _run(program: str, *arguments: str, stdin: str = "") -> str:
    """Return what a program of Slurm's prints."""
    try:
        done = programs.call([program, *arguments], ANSWER_S, _environment(), stdin)
    except subprocess.TimeoutExpired:
        raise SlurmSilent(f"{program} has not answered in {ANSWER_S:g} s") from None
    except OSError as error:
        raise SlurmError(f"cannot run {program!r}: {error.strerror}") from error
    if done.returncode == 0:
        return done.stdout
    said = _said(done)
    if FULL.search(said):
        raise SlurmFull(said)
    if UNANSWERED.search(said):
        raise SlurmSilent(said)
    raise SlurmError(said)


def _environment() -> dict[str, str]:
    """Return the environment without what belongs to another Slurm job, or alters the answers."""
    return {
        key: value
        for key, value in os.environ.items()
        if key == "SLURM_CONF" or not key.startswith(("SLURM_", "SQUEUE_", "SCANCEL_"))
    }


def _said(done: subprocess.CompletedProcess[str]) -> str:
    """Return why Slurm did not, on a line, without saying twice who says it."""
    lines = [
        re.sub(r"^(sbatch|squeue|scancel|scontrol): (error: )?", "", line.strip())
        for line in done.stderr.splitlines()
        if line.strip() and not line.startswith("Try ")
    ]
    return "; ".join(dict.fromkeys(lines)) or f"exit code {done.returncode}"
