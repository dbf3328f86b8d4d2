"""rlkit's record of the code in an experiment's directory: ``git_infos.txt`` and patches."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from launchkit import files
from launchkit.code.program import program_directory
from launchkit.code.repository import work_trees


class GitInfo(NamedTuple):
    """The state of a repository, under rlkit's names."""

    directory: str
    code_diff: str
    code_diff_staged: str
    commit_hash: str | None
    branch_name: str | None


def git_infos_of_program() -> list[GitInfo]:
    """Return the state of the repository of the user's program, and of its submodules."""
    return [
        GitInfo(
            directory=str(tree.directory),
            code_diff=tree.diff.decode(errors="surrogateescape"),
            code_diff_staged="",
            commit_hash=tree.commit,
            branch_name=tree.branch or "[DETACHED]",
        )
        for tree in work_trees(program_directory())
        if tree.git_directory is not None
    ]


def write_git_infos(directory: Path, git_infos: Sequence[GitInfo] | None = None) -> None:
    """Write ``git_infos.txt``, and a patch for each repository that has a diff.

    Parameters
    ----------
    directory
        The experiment's directory.
    git_infos
        The repositories; by default that of the user's program.
    """
    infos = git_infos_of_program() if git_infos is None else git_infos
    lines = []
    for info in infos:
        name = info.directory.strip("/").replace("/", "-")
        for diff, ending in ((info.code_diff, ""), (info.code_diff_staged, "_staged")):
            if diff:
                patch = diff.encode(errors="surrogateescape")
                files.write_atomic(directory / f"{name}{ending}.patch", patch)
        lines += [
            f"directory: {info.directory}",
            f"git hash: {info.commit_hash}",
            f"git branch name: {info.branch_name}",
            "",
        ]
    if lines:
        files.write_atomic(directory / "git_infos.txt", "\n".join(lines) + "\n")
