"""A sweep is a directory: all that is known of it is in files below it."""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from launchkit import files, job
from launchkit._version import __version__
from launchkit.job import OWN_DIR, Attempt, Job, JobState, Needs

EXISTING = ("refuse", "set_aside")
TAG = "LAUNCHKIT_TAG"
"""The environment variable that the processes of a sweep's jobs are known by."""


class SweepError(RuntimeError):
    """A sweep directory cannot be made, or is not one."""


@dataclass(frozen=True)
class Sweep:
    """A sweep's directory.

    Parameters
    ----------
    directory
        The sweep's directory, absolute.
    id
        Unique among all sweeps.
    mode
        The mode its jobs run in.
    settings
        The mode's settings.
    policy
        What is done about jobs that end badly: the fields of `policy.Policy`.
    size
        How many jobs it is to have, all its batches together; None where nobody knew.
    command
        The command line that started it.
    created
        Seconds since the epoch.
    earlier
        The modes that it was run in before it was resumed in another, and their settings.
    """

    directory: Path
    id: str
    mode: str
    settings: Mapping[str, Any]
    command: tuple[str, ...]
    created: float
    policy: Mapping[str, Any] = field(default_factory=dict)
    size: int | None = None
    earlier: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    _jobs: list[Job] = field(default_factory=list, repr=False, compare=False)

    @property
    def own(self) -> Path:
        """The directory of launchkit's files about this sweep."""
        return self.directory / OWN_DIR

    @classmethod
    def create(
        cls,
        directory: Path,
        *,
        mode: str,
        settings: Mapping[str, Any],
        command: Iterable[str],
        policy: Mapping[str, Any] | None = None,
        size: int | None = None,
    ) -> Sweep:
        """Make a sweep in `directory`.

        Raises
        ------
        SweepError
            If a sweep is there already, or the directory cannot be written.
        """
        directory = Path(os.path.abspath(directory))  # noqa: PTH100 - links are kept as given
        make_way(directory, "refuse")
        created = time.time()
        stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(created))
        sweep = cls(
            directory=directory,
            id=f"{stamp}-{secrets.token_hex(3)}",
            mode=mode,
            settings=dict(settings),
            command=tuple(command),
            created=created,
            policy=dict(policy or {}),
            size=size,
        )
        try:
            sweep.own.mkdir(parents=True, exist_ok=True, mode=0o700)
            new = files.write_new(sweep.own / "sweep.json", sweep._text(), mode=0o600)
        except OSError as error:
            raise SweepError(
                f"cannot write the sweep directory {directory}: {error.strerror}; "
                "set hydra.sweep.dir (or base_log_dir) to a place with room that you may write to"
            ) from error
        if not new:
            raise _already_there(directory)
        return sweep

    @classmethod
    def open(cls, directory: Path | str) -> Sweep:
        """Open the sweep in `directory`.

        Raises
        ------
        SweepError
            If there is none, or its files cannot be read.
        """
        directory = Path(os.path.abspath(directory))  # noqa: PTH100
        try:
            content = json.loads((directory / OWN_DIR / "sweep.json").read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            raise SweepError(
                f"{directory} is not a sweep directory (no {OWN_DIR}/sweep.json in it)"
            ) from None
        except ValueError as error:
            raise _damaged(directory, error) from error
        try:
            sweep = cls(
                directory=directory,
                id=content["id"],
                mode=content["mode"],
                settings=content["settings"],
                command=tuple(content["command"]),
                created=content["created"],
                policy=content.get("policy", {}),
                size=content.get("size"),
                earlier=tuple((mode, settings) for mode, settings in content.get("earlier", ())),
            )
        except (KeyError, TypeError) as error:
            raise _damaged(directory, error) from error
        # Of a job that was changed when the sweep was resumed, the last line counts.
        found: dict[int, Job] = {}
        for line in files.read_json_lines(sweep.own / "jobs.jsonl"):
            where = sweep._absolute(line["directory"])
            needs = Needs(**line.get("needs", {}))
            found[line["num"]] = Job(line["num"], tuple(line["overrides"]), where, needs)
        sweep._jobs.extend(found.values())
        return sweep

    def reconfigured(
        self,
        *,
        mode: str,
        settings: Mapping[str, Any],
        policy: Mapping[str, Any],
        size: int | None = None,
    ) -> Sweep:
        """Return the sweep with another mode and other settings, which its file then has."""
        earlier = self.earlier
        if (mode, dict(settings)) != (self.mode, dict(self.settings)):
            earlier = (*earlier, (self.mode, self.settings))
        sweep = replace(
            self,
            mode=mode,
            settings=dict(settings),
            policy=dict(policy),
            size=size or self.size,
            earlier=earlier,
        )
        files.write_atomic(sweep.own / "sweep.json", sweep._text(), mode=0o600)
        return sweep

    @property
    def tag(self) -> str:
        """What the processes of its jobs are known by: a copy of the directory has another."""
        try:
            status = self.own.stat()
        except FileNotFoundError:  # it is only planned
            return self.id
        return f"{self.id}.{status.st_dev:x}.{status.st_ino:x}"

    @property
    def jobs(self) -> tuple[Job, ...]:
        """All jobs, by number."""
        return tuple(self._jobs)

    def check(self, jobs: Iterable[Job], *, vacated: bool = False) -> None:
        """See to it that jobs can be added to the sweep.

        Parameters
        ----------
        jobs
            The jobs.
        vacated
            Whether all that is in the sweep's directory now will have been moved away.

        Raises
        ------
        SweepError
            If two jobs share a directory, or one's directory already holds a run.
        """
        taken = {known.directory: known for known in self._jobs}
        for new in jobs:
            if new.directory in taken:
                raise SweepError(
                    f"jobs {taken[new.directory].num} and {new.num} would both write to "
                    f"{new.directory}; add ${{hydra.job.num}} to hydra.sweep.subdir"
                )
            taken[new.directory] = new
            if not (vacated and new.directory.is_relative_to(self.directory)):
                _refuse_used(new)

    def add(self, jobs: Iterable[Job]) -> None:
        """Add jobs to the sweep; raises what `check` raises."""
        jobs = tuple(jobs)
        self.check(jobs)
        self._write(jobs)
        self._jobs.extend(jobs)

    def put(self, jobs: Iterable[Job]) -> None:
        """Add jobs, or change those of the same numbers, in a sweep that is resumed."""
        known = {job.num: job for job in self._jobs}
        changed = [job for job in jobs if known.get(job.num) != job]
        self._write(changed)
        known.update((job.num, job) for job in changed)
        self._jobs[:] = sorted(known.values(), key=lambda job: job.num)

    def attempts(self) -> dict[int, Attempt]:
        """Return where each job stands, by its number."""
        return {known.num: job.read(known.directory) for known in self._jobs}

    def select(self, *states: JobState) -> tuple[Job, ...]:
        """Return the jobs that are in one of `states`."""
        attempts = self.attempts()
        return tuple(known for known in self._jobs if attempts[known.num].state in states)

    def _text(self) -> str:
        content = {
            "id": self.id,
            "launchkit_version": __version__,
            "mode": self.mode,
            "settings": self.settings,
            "policy": self.policy,
            "size": self.size,
            "command": list(self.command),
            "created": self.created,
            **({"earlier": self.earlier} if self.earlier else {}),
        }
        return json.dumps(content, default=str) + "\n"

    def _write(self, jobs: Iterable[Job]) -> None:
        lines = "\n".join(
            json.dumps(
                {
                    "num": new.num,
                    "overrides": list(new.overrides),
                    "directory": self._relative(new.directory),
                    **_needs(new),
                },
                ensure_ascii=False,
            )
            for new in jobs
        )
        if lines:
            files.append_line(self.own / "jobs.jsonl", lines, mode=0o600)

    def _relative(self, directory: Path) -> str:
        relative = os.path.relpath(directory, self.directory)
        beside = Path(relative).parts.count("..") <= 1
        return relative if beside else str(directory)

    def _absolute(self, directory: str) -> Path:
        return Path(os.path.normpath(self.directory / directory))


def _needs(new: Job) -> dict[str, Any]:
    """Return what a job needs as an entry of its line; most need nothing special."""
    found = {key: value for key, value in vars(new.needs).items() if value is not None}
    return {"needs": found} if found else {}


def make_way(directory: Path, existing: str, *, dry_run: bool = False) -> Path | None:
    """See to it that a sweep can be made in `directory`.

    Returns the new name of one that is set aside, or would be.

    Parameters
    ----------
    directory
        The directory of the new sweep.
    existing
        What to do with a sweep that is there: ``refuse`` to go on, or ``set_aside``: add a
        number to the name of its directory.
    dry_run
        Whether only to see whether it can be made.

    Raises
    ------
    SweepError
        If there is one and it is to stay, or cannot be renamed.
    ValueError
        If `existing` is neither.
    """
    if existing not in EXISTING:
        raise ValueError(f"existing is {existing!r}; it must be one of {', '.join(EXISTING)}")
    if not (directory / OWN_DIR / "sweep.json").exists():
        return None
    if existing == "refuse":
        raise _already_there(directory)
    number = 1
    while (aside := directory.with_name(f"{directory.name}.{number}")).exists():
        number += 1
    try:
        if not dry_run:
            directory.rename(aside)
    except OSError as error:
        raise SweepError(f"cannot set aside {directory} as {aside}: {error.strerror}") from error
    return aside


def _damaged(directory: Path, error: Exception) -> SweepError:
    return SweepError(f"{directory / OWN_DIR / 'sweep.json'} is damaged: {error!r}")


def _already_there(directory: Path) -> SweepError:
    return SweepError(
        f"{directory} already holds a sweep; choose another hydra.sweep.dir, "
        "or set hydra.launcher.existing=set_aside to rename the old one"
    )


def _refuse_used(new: Job) -> None:
    for name in ("progress.csv", "variant.json", f"{OWN_DIR}/state.json"):
        if (new.directory / name).exists():
            raise SweepError(
                f"{new.directory} already holds a run ({name}); job {new.num} would mix with it. "
                "Choose another hydra.sweep.dir, or move the old run away"
            )
