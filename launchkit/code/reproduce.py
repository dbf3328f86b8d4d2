"""What a run ran, for people to read, and the sweep that a run is of."""

from __future__ import annotations

import json
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

from launchkit.code import rerun
from launchkit.code.checkout import BESIDE
from launchkit.code.code_snapshot import CodeSnapshot, Repository
from launchkit.code.environment import Environment
from launchkit.job import OWN_DIR, Job, read
from launchkit.logging.variant import read_variant
from launchkit.masking import mask_override, mask_values
from launchkit.sweep import Sweep, SweepError

WIDTH = 100
INDENT = 12
KIB = 1024


def find(directory: Path, num: int | None = None) -> tuple[Sweep, Job]:
    """Return the job that a directory belongs to, and its sweep.

    Parameters
    ----------
    directory
        A job's directory, or a sweep's.
    num
        The job's number, for a sweep's directory.

    Raises
    ------
    FileNotFoundError
        If there is no such directory.
    ValueError
        If it is a sweep's and `num` is not one of its jobs.
    SweepError
        If no sweep has it.
    """
    if not directory.is_dir():
        raise FileNotFoundError(f"{directory} is no directory")
    for sweep in _sweeps_around(directory):
        job = _job_in(sweep, directory)
        if job is not None and num in (None, job.num):
            return sweep, job
    if not (directory / OWN_DIR / "sweep.json").exists():
        raise SweepError(f"{directory} is not the directory of a job of a sweep")
    sweep = Sweep.open(directory)
    found = [job for job in sweep.jobs if num in (None, job.num)]
    if len(found) != 1:
        numbers = [job.num for job in sweep.jobs]
        span = f"{min(numbers)} to {max(numbers)}" if numbers else "there are none"
        asked = "a sweep of many jobs" if num is None else f"a sweep without a job {num}"
        raise ValueError(f"{directory} is {asked}: name one with --job ({span})")
    return sweep, found[0]


def _sweeps_around(directory: Path) -> Iterator[Sweep]:
    """Yield the sweeps above a directory, then those beside it."""
    directory = directory.resolve()
    for above in (directory, *directory.parents):
        if (above / OWN_DIR / "sweep.json").exists():
            yield Sweep.open(above)
    # Where `run_experiment` puts a sweep's own files.
    for marker in sorted(directory.parent.glob(f"*_sweep*/{OWN_DIR}/sweep.json")):
        yield Sweep.open(marker.parent.parent)


def _job_in(sweep: Sweep, directory: Path) -> Job | None:
    wanted = directory.resolve()
    # Resolving every name would read a directory a job.
    likely = (job for job in sweep.jobs if job.directory.name == wanted.name)
    return next((job for job in likely if job.directory.resolve() == wanted), None)


def report(sweep: Sweep, job: Job, snapshot: CodeSnapshot) -> str:
    """Return what a job ran, for people to read."""
    lines = [
        *_about_job(sweep, job),
        "",
        *_about_code(snapshot),
        "",
        *_about_environment(snapshot.environment, Environment.here()),
    ]
    return "\n".join(map(printable, lines))


def _about_job(sweep: Sweep, job: Job) -> Iterator[str]:
    attempt = read(job.directory)
    created = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(sweep.created))
    yield _row("sweep", f"{sweep.id}, started {created}, mode {sweep.mode}")
    yield _row("", str(sweep.directory))
    which = f", attempt {attempt.attempt}" if attempt.attempt > 1 else ""
    yield _row("job", f"{job.num} of {len(sweep.jobs)}, {attempt.state}{which}")
    yield _row("", str(job.directory))
    yield _row("overrides", " ".join(map(mask_override, job.overrides)) or "none")


def _about_code(snapshot: CodeSnapshot) -> Iterator[str]:
    if not snapshot.repositories:
        yield _row("code", f"not recorded: {snapshot.problem}")
    for repository in snapshot.repositories:
        yield from _about_repository(repository)
    count = len(snapshot.untracked)
    if count:
        yield _row("untracked", f"{_files(count)} kept ({_size(snapshot.untracked_bytes)})")
        yield from _wrapped(", ".join(map(printable, snapshot.untracked)))
    for one in snapshot.left_out:
        what = _size(one.bytes) if one.bytes is not None else _files(one.files)
        yield _row("left out", f"{printable(one.path)} ({what}): {one.reason}")
    if snapshot.not_named:
        yield _row("left out", f"and {_files(snapshot.not_named)} more")


def _about_repository(repository: Repository) -> Iterator[str]:
    head = "code" if repository.path == "." else "and"
    branch = f"branch {repository.branch}" if repository.branch else "no branch"
    commit = repository.commit or "before the first commit"
    yield _row(head, repository.directory)
    yield _row("commit", f"{commit} ({branch}), {_cleanness(repository)}")
    if repository.remote:
        yield _row("from", repository.remote)
    if repository.problem:
        yield _row("problem", repository.problem)


def _cleanness(repository: Repository) -> str:
    if repository.dirty is None:
        return "uncommitted changes not recorded"
    if not repository.dirty:
        return "clean"
    return f"dirty: a diff of {_size(repository.diff_bytes)}"


def _about_environment(ran_in: Environment, here: Environment) -> Iterator[str]:
    yield _row("python", _beside(ran_in.python, here.python) + f", {ran_in.implementation}")
    yield _row("platform", _beside(ran_in.platform, here.platform))
    other = [name for name in ran_in.packages if _package(ran_in, name) != _package(here, name)]
    others = f"{len(other)} of them other than here (*)" if other else "all as here"
    yield _row("packages", f"{len(ran_in.packages)}, {others}")
    for name in other:
        present = _package(here, name) if name in here.packages else "not here"
        yield _row("  *", f"{name} {_beside(_package(ran_in, name), present)}")
    same = [f"{name} {_package(ran_in, name)}" for name in ran_in.packages if name not in other]
    yield from _wrapped(", ".join(same))


def _package(environment: Environment, name: str) -> str:
    """Return the version of a package, and where it comes from if not from an index."""
    version = environment.packages.get(name, "")
    source = environment.sources.get(name)
    if source is None:
        return version
    at = f" at {source.commit}" if source.commit else ""
    return f"{version} ({'editable, ' if source.editable else ''}{source.url}{at})"


def _beside(then: str, now: str) -> str:
    if then == now:
        return then
    return f"{then} (not here)" if now == "not here" else f"{then} (here: {now})"


def instructions(sweep: Sweep, job: Job, snapshot: CodeSnapshot, checkout: Path | None) -> str:
    """Return how to run a job again.

    Parameters
    ----------
    checkout
        The directory that has been prepared; None where there is none.
    """
    command = rerun.command(sweep, job, snapshot)
    if rerun.is_hydras(sweep, job):
        text = "To run this job again, by itself:"
    else:
        text = (
            "A job of run_experiment has no command of its own: the program starts all of them.\n"
            f"This one had the variant\n\n{_variant(job)}\n\nand the program's command was:"
        )
    if command is None:
        return f"{text}\n\n    (not known: the sweep was not started by a program)"
    lines = [text, "", *(f"    {line}" for line in _shell(snapshot, command, checkout))]
    if checkout is not None:
        lines += [
            "",
            f"{BESIDE}/run.sh there does that; requirements.txt beside it has the versions.",
        ]
    elif snapshot.repositories:
        lines += ["", "--checkout DIR makes a directory with that code, to run it in."]
    if command.masked != command.line:
        lines += ["", "What looks like a secret is shown as ***."]
    return "\n".join(lines)


def _shell(snapshot: CodeSnapshot, command: rerun.Command, checkout: Path | None) -> Iterator[str]:
    if checkout is not None:
        yield printable(f"cd {command.within(str(checkout))}")
    elif command.cwd != ".":
        yield printable(f"cd {command.within('')}")
    yield printable(command.masked)


def _variant(job: Job) -> str:
    variant = read_variant(job.directory / "variant.json")
    if variant is None:
        return "    (none has been written: the job did not start)"
    text = json.dumps(mask_values(variant), indent=2, sort_keys=True, ensure_ascii=False)
    return textwrap.indent(text, "    ")


def _row(name: str, text: str) -> str:
    return f"{name:{INDENT}}{text}".rstrip()


def _wrapped(text: str) -> Iterator[str]:
    margin = " " * INDENT
    yield from textwrap.wrap(
        text, WIDTH, initial_indent=margin, subsequent_indent=margin, break_on_hyphens=False
    )


def _files(count: int) -> str:
    return f"{count} file" if count == 1 else f"{count} files"


def _size(count: int) -> str:
    if count < KIB:
        return f"{count} bytes"
    return f"{count / KIB:.1f} KiB" if count < KIB**2 else f"{count / KIB**2:.1f} MiB"


def printable(text: str) -> str:
    r"""Return `text` with escapes for what a terminal cannot show, ``\udcff`` for one."""
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )
