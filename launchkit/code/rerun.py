"""The command that runs one job of a sweep again."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from launchkit.code.code_snapshot import CodeSnapshot
from launchkit.code.program import Program
from launchkit.job import Job
from launchkit.masking import mask_override
from launchkit.sweep import Sweep

OPTIONS = {
    "-m": "--multirun",
    "-r": "--run",
    "-cn": "--config-name",
    "-cp": "--config-path",
    "-cd": "--config-dir",
}
"""Hydra's options by their short names."""
VALUED = ("--config-name", "--config-path", "--config-dir")
OF_THE_SWEEP = re.compile(r"[+~]*hydra[./](launcher|sweeper|sweep|mode)\b")
OF_HYDRA = re.compile(r"[+~]*hydra[./=]")


@dataclass(frozen=True)
class Command:
    """A command and where it runs.

    Parameters
    ----------
    cwd
        The directory, relative to the checkout; absolute without a repository.
    import_path
        What PYTHONPATH has to begin with, relative to `cwd`.
    arguments
        The program and its arguments, paths of the checkout relative to `cwd`.
    """

    cwd: str
    import_path: tuple[str, ...]
    arguments: tuple[str, ...]

    @property
    def line(self) -> str:
        """The command for a shell, to be run in `cwd`."""
        return self._line(self.arguments)

    @property
    def masked(self) -> str:
        """The same for people to see: without the secrets."""
        return self._line([mask_override(argument) for argument in self.arguments])

    def within(self, checkout: str) -> str:
        """Return the directory to run it in, for a shell."""
        return shlex.quote(os.path.normpath(os.path.join(checkout, self.cwd)))  # noqa: PTH118

    def _line(self, arguments: Sequence[str]) -> str:
        line = " ".join(map(shlex.quote, arguments))
        if not self.import_path:
            return line
        first = shlex.quote(os.pathsep.join(self.import_path))
        return f'PYTHONPATH={first}"${{PYTHONPATH:+:$PYTHONPATH}}" {line}'


def is_hydras(sweep: Sweep, job: Job) -> bool:
    """Tell whether a job is of a Hydra multirun, and not of `run_experiment`."""
    if (sweep.directory / "multirun.yaml").exists() or (job.directory / ".hydra").exists():
        return True
    # The runs of `run_experiment` lie beside the directory of their sweep.
    return job.directory.is_relative_to(sweep.directory)


def command(sweep: Sweep, job: Job, snapshot: CodeSnapshot) -> Command | None:
    """Return the command that runs a job again, or for `run_experiment` the whole sweep.

    None where the program is not known: an interactive session, say.
    """
    if is_hydras(sweep, job):
        return _single_run(sweep, job, snapshot)
    return _command(snapshot, sweep.command[1:])


def _single_run(sweep: Sweep, job: Job, snapshot: CodeSnapshot) -> Command | None:
    options, overrides = _parse(sweep.command[1:])
    own = [
        override
        for override in overrides
        if OF_HYDRA.match(override) and not OF_THE_SWEEP.match(override)
    ]
    single = ["hydra.mode=RUN"] if "--multirun" not in options else []
    # A config may make use of its job's number, which a single run has not.
    single += [f"hydra.job.num={job.num}", f"hydra.job.id={job.num}"]
    named = {override.partition("=")[0].lstrip("+") for override in own}
    single = [override for override in single if override.partition("=")[0] not in named]
    arguments = [
        *_relocated([option for option in options if option.startswith(VALUED)], snapshot),
        *job.overrides,
        *own,
        *single,
    ]
    return _command(snapshot, arguments)


def _command(snapshot: CodeSnapshot, arguments: Sequence[str]) -> Command | None:
    program = snapshot.program
    cwd = _cwd(snapshot)
    start = _start(program, cwd)
    if start is None:
        return None
    path = tuple(os.path.relpath(entry, cwd) for entry in program.import_path)
    return Command(cwd, path, (*start, *arguments))


def _cwd(snapshot: CodeSnapshot) -> str:
    """Return where to run; a directory outside the repository is replaced by its top."""
    cwd = snapshot.program.cwd
    return "." if snapshot.repositories and Path(cwd).is_absolute() else cwd


def _start(program: Program, cwd: str) -> tuple[str, ...] | None:
    if program.module is not None:
        return ("python", "-m", program.module)
    if program.command is not None:
        return (program.command,)
    if program.file is None:
        return None
    same_kind = Path(program.file).is_absolute() == Path(cwd).is_absolute()
    return ("python", os.path.relpath(program.file, cwd) if same_kind else program.file)


def _parse(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split a command line of Hydra into its options, by their long names, and its overrides."""
    options, overrides = [], []
    rest = iter(arguments)
    for argument in rest:
        name, equals, value = argument.partition("=")
        name = OPTIONS.get(name, name)
        if not argument.startswith("-"):
            overrides.append(argument)
        elif name in VALUED:
            options.append(f"{name}={value if equals else next(rest, '')}")
        else:
            options.append(name)
    return options, overrides


def _relocated(options: Sequence[str], snapshot: CodeSnapshot) -> Iterator[str]:
    """Yield options whose absolute paths within the repository are those of the checkout."""
    program, top = snapshot.program, snapshot.repositories[:1]
    # `--config-path` is relative to the program's file, `--config-dir` to where it runs.
    bases = {
        "--config-path": str(PurePosixPath(program.file or ".").parent),
        "--config-dir": _cwd(snapshot),
    }
    for option in options:
        name, _, value = option.partition("=")
        path = Path(value)
        if name in bases and path.is_absolute() and top and path.is_relative_to(top[0].directory):
            relative = os.path.relpath(path.relative_to(top[0].directory), bases[name])
            yield f"{name}={relative}"
        else:
            yield option
