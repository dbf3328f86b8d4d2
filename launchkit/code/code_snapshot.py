"""What a sweep ran: the user's code with its uncommitted changes, and what it ran in.

It is taken once a sweep, into ``.launchkit/code`` of its directory, for the owner only.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from launchkit import files
from launchkit.code.environment import Environment
from launchkit.code.program import Program, program_directory
from launchkit.code.repository import WorkTree, work_trees
from launchkit.code.untracked import LeftOut, choose
from launchkit.code.untracked_archive import Packed, pack
from launchkit.sweep import Sweep, SweepError

UNTRACKED = "untracked.tar"
MOST_NAMED = 500
"""Of the files that are left out; of the others there is the number."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Repository:
    """A repository, as a snapshot has it; what is not said here is as in `WorkTree`.

    Parameters
    ----------
    diff
        The file with its diff; None where there is no difference.
    diff_bytes
        The size of that.
    """

    path: str
    directory: str
    git_directory: str | None
    commit: str | None
    branch: str | None
    remote: str | None
    dirty: bool | None
    diff: str | None
    diff_bytes: int
    problem: str | None


@dataclass(frozen=True)
class CodeSnapshot:
    """What a sweep ran.

    Parameters
    ----------
    folder
        The directory of the snapshot.
    program
        The program, and how it was started.
    repositories
        The repository that it lies in, then those in the working tree of that one; none
        where there is no repository.
    untracked
        The untracked files that are kept, relative to the first repository.
    untracked_bytes
        Their size.
    left_out
        The others.
    not_named
        How many more have been left out.
    problem
        Why there is no repository.
    environment
        What it ran in.
    """

    folder: Path
    program: Program
    repositories: tuple[Repository, ...]
    untracked: tuple[str, ...]
    untracked_bytes: int
    left_out: tuple[LeftOut, ...]
    not_named: int
    problem: str | None
    environment: Environment


def save(sweep: Sweep) -> None:
    """Write what the sweep is about to run below its directory, unless it is there.

    It never raises: what cannot be found out is recorded as such, and if nothing can be
    written there is a warning.
    """
    folder = sweep.own / "code"
    if (folder / "git.json").exists():
        return
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        _take(folder)
    except (OSError, ValueError) as error:
        log.warning("the code of this sweep is not recorded in %s: %s", folder, error)


def _take(folder: Path) -> None:
    place = program_directory()
    trees = work_trees(place)
    top = trees[0]
    environment = Environment.here()
    found = top.git_directory is not None
    program = Program.of_this_process(top.directory if found else None, environment)
    content: dict[str, Any] = {
        "problem": None if found else top.problem,
        "program": asdict(program),
        "repositories": [],
        "untracked": {"kept": [], "bytes": 0, "left_out": [], "not_named": 0},
    }
    if found:
        lost = [tree for tree in trees[1:] if tree.problem and not tree.submodule]
        kept = [tree for tree in trees if tree not in lost]
        saved = [_save_diff(folder, number, tree) for number, tree in enumerate(kept)]
        content["repositories"] = [asdict(repository) for repository in saved]
        content["untracked"] = _save_untracked(folder, kept, lost, place)
    files.write_json(folder / "environment.json", environment.to_json(), mode=0o600)
    # The last file: with it the snapshot is whole.
    files.write_json(folder / "git.json", content, mode=0o600)


def _save_diff(folder: Path, number: int, tree: WorkTree) -> Repository:
    name = f"diff.{number}.patch" if number else "diff.patch"
    if tree.diff:
        files.write_atomic(folder / name, tree.diff, mode=0o600)
    return Repository(
        path=tree.path,
        directory=str(tree.directory),
        git_directory=str(tree.git_directory) if tree.git_directory else None,
        commit=tree.commit,
        branch=tree.branch,
        remote=tree.remote,
        dirty=tree.dirty,
        diff=name if tree.diff else None,
        diff_bytes=len(tree.diff),
        problem=tree.problem,
    )


def _save_untracked(
    folder: Path, trees: Sequence[WorkTree], lost: Sequence[WorkTree], place: Path
) -> dict[str, Any]:
    top = trees[0].directory
    names = [
        name if tree.path == "." else f"{tree.path}/{name}"
        for tree in trees
        for name in tree.untracked
    ]
    left_out = [LeftOut(f"{tree.path}/", f"it is a repository: {tree.problem}") for tree in lost]
    packed = Packed([], 0, [])
    if names:
        names, refused = choose(top, names, (place, Path.cwd()))
        left_out += refused
    if names:
        with files.atomic_writer(folder / UNTRACKED, mode=0o600) as stream:
            packed = pack(top, names, stream)
    left_out += packed.left_out
    named = sorted(left_out, key=lambda one: one.path)[:MOST_NAMED]
    return {
        "kept": packed.names,
        "bytes": packed.bytes,
        "left_out": [asdict(one) for one in named],
        "not_named": sum(one.files for one in left_out) - sum(one.files for one in named),
    }


def load(sweep: Sweep) -> CodeSnapshot:
    """Read back what `save` has written.

    Raises
    ------
    SweepError
        If there is no snapshot, or it cannot be read.
    """
    folder = sweep.own / "code"
    try:
        return _from_json(
            folder,
            json.loads((folder / "git.json").read_bytes()),
            json.loads((folder / "environment.json").read_bytes()),
        )
    except FileNotFoundError:
        raise SweepError(f"{sweep.directory} has no record of its code ({folder})") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SweepError(f"the record of the code in {folder} is damaged: {error!r}") from error


def _from_json(folder: Path, content: Mapping[str, Any], ran_in: Mapping[str, Any]) -> CodeSnapshot:
    untracked = content["untracked"]
    return CodeSnapshot(
        folder=folder,
        program=Program.from_json(content["program"]),
        repositories=tuple(Repository(**values) for values in content["repositories"]),
        untracked=tuple(untracked["kept"]),
        untracked_bytes=untracked["bytes"],
        left_out=tuple(LeftOut(**values) for values in untracked["left_out"]),
        not_named=untracked["not_named"],
        problem=content["problem"],
        environment=Environment.from_json(ran_in),
    )
