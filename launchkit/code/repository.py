"""The state of a git repository and of those in its working tree, submodules or not."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from launchkit.code.git import Answer, Question, ask, public_url

MOST_REPOSITORIES = 64

WHERE = ("rev-parse", "--show-toplevel", "--git-common-dir", "HEAD")
STATUS = (
    *("-c", "status.renames=false", "status", "--porcelain=v2", "--branch", "--no-ahead-behind"),
    *("-z", "--untracked-files=all", "--ignore-submodules=dirty"),
)
REMOTES = ("config", "--null", "--get-regexp", r"^(remote\..*\.url|branch\..*\.remote)$")
DIFF = (
    *("diff", "--binary", "-U3", "--no-color", "--no-ext-diff", "--no-textconv"),
    *("--src-prefix=a/", "--dst-prefix=b/", "--submodule=short", "--ignore-submodules=dirty"),
)
"""A diff that `git apply` takes, whatever the user has configured for reading diffs."""
NO_TREE = ("hash-object", "-t", "tree", os.devnull)
TRACKED = ("ls-files", "--stage", "-z")


@dataclass(frozen=True)
class WorkTree:
    """A git repository and what its working tree has beyond the commit.

    Parameters
    ----------
    path
        Where it lies in the repository around it all, ``.`` for that one itself.
    directory
        Its top directory.
    git_directory
        Where its commits are; worktrees share one.
    commit
        The hash of the commit that is checked out; None before the first one.
    branch
        The branch; None where the head is detached.
    remote
        The URL it comes from, without credentials.
    dirty
        Whether tracked files differ from the commit; None where git could not tell.
    diff
        The binary diff of the tracked files; before the first commit, from nothing.
    untracked
        Files that git neither tracks nor ignores. Bytes of a name that are not UTF-8 are
        lone surrogates in it.
    submodule
        Whether the repository around it knows of it.
    problem
        What could not be found out about it, and why.
    """

    path: str
    directory: Path
    git_directory: Path | None = None
    commit: str | None = None
    branch: str | None = None
    remote: str | None = None
    dirty: bool | None = None
    diff: bytes = b""
    untracked: tuple[str, ...] = ()
    submodule: bool = False
    problem: str | None = None
    children: tuple[_Child, ...] = ()


@dataclass(frozen=True)
class _Child:
    """A repository in the working tree of another."""

    path: str
    submodule: bool


def work_trees(directory: Path) -> tuple[WorkTree, ...]:
    """Return the state of the repository that holds `directory`, then of those inside it.

    It never raises: what went wrong is in `problem`. Where there is no repository, or no
    git, that is one of a working tree without `git_directory`.
    """
    found = [*_look([WorkTree(".", directory)])]
    level = found
    while children := [_inside(tree, child) for tree in level for child in tree.children]:
        room = max(0, MOST_REPOSITORIES - len(found))
        level = [*_look(children[:room]), *(_one_too_many(child) for child in children[room:])]
        found += level
    return tuple(found)


def _inside(tree: WorkTree, child: _Child) -> WorkTree:
    path = str(PurePosixPath(tree.path, child.path))
    return WorkTree(path, tree.directory / child.path, submodule=child.submodule)


def _one_too_many(tree: WorkTree) -> WorkTree:
    return replace(tree, problem=f"there are more than {MOST_REPOSITORIES} repositories")


def _look(trees: Sequence[WorkTree]) -> list[WorkTree]:
    """Find out about repositories, all at the same time."""
    first = ask(
        Question(tree.directory, arguments)
        for tree in trees
        for arguments in (WHERE, STATUS, REMOTES)
    )
    known = [_state(tree, *first[3 * i : 3 * i + 3]) for i, tree in enumerate(trees)]
    asked = [(i, tree) for i, tree in enumerate(known) if tree.problem is None]
    dirty = [(i, tree) for i, tree in asked if tree.dirty]
    linked = [(i, tree) for i, tree in asked if (tree.directory / ".gitmodules").exists()]
    bases = _bases([tree for _, tree in dirty])
    second = ask(
        [
            *(
                Question(tree.directory, (*DIFF, base))
                for (_, tree), base in zip(dirty, bases, strict=True)
            ),
            *(Question(tree.directory, TRACKED) for _, tree in linked),
        ]
    )
    for (i, tree), answer in zip(dirty, second, strict=False):
        known[i] = replace(tree, diff=answer.out, problem=_trouble("diff", answer))
    for (i, _), answer in zip(linked, second[len(dirty) :], strict=True):
        known[i] = _with_submodules(known[i], answer)
    return known


def _trouble(what: str, answer: Answer) -> str | None:
    return f"git {what}: {answer.error}" if answer.error else None


def _bases(trees: Sequence[WorkTree]) -> list[str]:
    """Return what to compare each with: before the first commit, nothing at all."""
    unborn = [tree for tree in trees if tree.commit is None]
    nothing = iter(ask(Question(tree.directory, NO_TREE) for tree in unborn))
    return [tree.commit or next(nothing).text.strip() for tree in trees]


def _state(tree: WorkTree, where: Answer, status: Answer, remotes: Answer) -> WorkTree:
    # Before the first commit there is no HEAD, which is an error, but the rest is told.
    *places, head = where.text.removesuffix("\n").split("\n")
    if len(places) < 2:
        return replace(tree, problem=where.error)
    top = Path("\n".join(places[:-1]))
    if tree.path != "." and top != tree.directory.resolve():
        return replace(tree, problem="it is no working repository")
    tree = replace(
        tree,
        directory=top,
        git_directory=Path(os.path.abspath(tree.directory / places[-1])),  # noqa: PTH100 - `..` in it
        commit=head if not where.error else None,
    )
    if status.error:
        return replace(tree, problem=_trouble("status", status))
    tree = _with_status(tree, status.text.split("\0")[:-1])
    return replace(tree, remote=_remote(tree, remotes.text))


def _with_status(tree: WorkTree, entries: Sequence[str]) -> WorkTree:
    head = next((e for e in entries if e.startswith("# branch.head ")), "").split(" ", 2)[-1]
    untracked = [entry[2:] for entry in entries if entry.startswith("? ")]
    changed = [entry for entry in entries if entry[:2] in ("1 ", "u ")]
    # Those that a `git add` of a clone has made, without a `.gitmodules`, are seen here only.
    linked = [entry.split(" ", 8)[8] for entry in changed if entry[:2] == "1 " and entry[5] == "S"]
    own = [name.removesuffix("/") for name in untracked if name.endswith("/")]
    return replace(
        tree,
        branch=None if head in ("", "(detached)") else head,
        dirty=bool(changed),
        untracked=tuple(name for name in untracked if not name.endswith("/")),
        children=(
            *(_Child(name, True) for name in linked if _is_repository(tree, name)),
            *(_Child(name, False) for name in own),
        ),
    )


def _with_submodules(tree: WorkTree, tracked: Answer) -> WorkTree:
    if tracked.error:
        return replace(tree, problem=tree.problem or _trouble("ls-files", tracked))
    known = {child.path for child in tree.children}
    names = re.findall(r"(?:\A|\0)160000 [^\t]*\t([^\0]+)", tracked.text)
    # One that was not checked out has an empty directory, which a clone has as well.
    new = [name for name in names if name not in known and _is_repository(tree, name)]
    return replace(tree, children=(*tree.children, *(_Child(name, True) for name in new)))


def _is_repository(tree: WorkTree, name: str) -> bool:
    return (tree.directory / name / ".git").exists()


def _remote(tree: WorkTree, config: str) -> str | None:
    """Return where the branch comes from, else the remote `origin`, else any other."""
    values: dict[str, str] = {}
    for entry in config.split("\0"):
        key, _, value = entry.partition("\n")
        values.setdefault(key, value)
    name = values.get(f"branch.{tree.branch}.remote", "origin")
    urls = [value for key, value in values.items() if key.endswith(".url")]
    wanted = [values.get(f"remote.{name}.url"), values.get("remote.origin.url"), *urls]
    url = next(filter(None, wanted), None)
    if url is None:
        return None
    beside = tree.directory / url
    return str(beside.resolve()) if "://" not in url and beside.exists() else public_url(url)
