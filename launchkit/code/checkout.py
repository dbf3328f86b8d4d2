"""A directory with the code that a sweep ran, made without touching the user's own."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

from launchkit.code.code_snapshot import UNTRACKED, CodeSnapshot, Repository
from launchkit.code.git import GitError, tell
from launchkit.code.requirements import requirements
from launchkit.code.rerun import Command
from launchkit.code.untracked_archive import inside, unpack

BESIDE = ".launchkit-reproduce"


class CheckoutError(RuntimeError):
    """The code of a sweep cannot be brought back."""


def prepare(snapshot: CodeSnapshot, directory: Path, command: Command | None) -> None:
    """Make a directory with the code of a sweep.

    It gets its name when it is whole; until then it is a hidden one beside it, and
    nothing is left of that one if it cannot be made.

    Parameters
    ----------
    snapshot
        The code.
    directory
        The directory; it must be empty if it exists.
    command
        What is to be run there, for a script.

    Raises
    ------
    ValueError
        If there is something in `directory`.
    CheckoutError
        If the code is not recorded, or cannot be brought back.
    """
    directory = Path(os.path.abspath(directory))  # noqa: PTH100 - links are kept as given
    _refuse_used(directory)
    _refuse_incomplete(snapshot)
    with _taking_its_name_at_the_end(directory) as partial:
        root = partial.resolve()
        for repository in snapshot.repositories:
            where = root if repository.path == "." else inside(root, repository.path)
            _clone(repository, where)
            _apply(snapshot, repository, where)
        _unpack(snapshot, root)
        _write_beside(snapshot, root, directory, command)


def _refuse_used(directory: Path) -> None:
    if directory.is_dir() and not any(directory.iterdir()):
        return
    if directory.exists() or directory.is_symlink():
        raise ValueError(f"{directory} is there already; name a directory that is new, or empty")


def _refuse_incomplete(snapshot: CodeSnapshot) -> None:
    if not snapshot.repositories:
        raise CheckoutError(
            f"the sweep's program lies in no git repository ({snapshot.problem}): "
            "there is a record of its environment, but not of its code"
        )
    for repository in snapshot.repositories:
        if repository.problem:
            raise CheckoutError(
                f"not all of the code of {repository.directory} is recorded: {repository.problem}"
            )


@contextlib.contextmanager
def _taking_its_name_at_the_end(directory: Path) -> Iterator[Path]:
    partial = directory.with_name(f".{directory.name}.{os.urandom(4).hex()}.partial")
    try:
        partial.mkdir(parents=True)
        yield partial
        # An empty directory gives way to it.
        partial.rename(directory)
    except BaseException as error:
        shutil.rmtree(partial, ignore_errors=True)
        if isinstance(error, OSError | ValueError | GitError):
            raise CheckoutError(f"cannot make {directory}: {error}") from error
        raise


def _clone(repository: Repository, where: Path) -> None:
    """Clone a repository at its commit: from where it was if that is there, else from afar."""
    if repository.commit is None:
        tell(where.parent, "init", "--quiet", str(where))
        return
    here = [source for source in (repository.git_directory,) if source and Path(source).is_dir()]
    afar = [source for source in (repository.remote,) if source]
    refusals = []
    for source in (*here, *afar):
        try:
            _clone_from(source, repository.commit, where)
        except GitError as error:
            refusals.append(f"{source}: {error}")
            shutil.rmtree(where, ignore_errors=True)
        else:
            _point_afar(repository, where)
            return
    if not here:
        refusals.insert(0, f"{repository.git_directory} is not there")
    if not afar:
        refusals.append("no remote is recorded")
    raise CheckoutError(
        f"commit {repository.commit} of {repository.directory} cannot be found: "
        + "; ".join(refusals)
    )


def _clone_from(source: str, commit: str, where: Path) -> None:
    how = ("--quiet", "--no-checkout", "--origin", "origin")
    where.parent.mkdir(parents=True, exist_ok=True)
    tell(where.parent, "clone", *how, "--", source, str(where))
    try:
        tell(where, "cat-file", "-e", f"{commit}^{{commit}}")
    except GitError:
        # No branch has it any more, which need not mean that it is gone.
        tell(where, "fetch", "--quiet", "origin", commit)
    tell(where, "checkout", "--quiet", "--detach", commit)


def _point_afar(repository: Repository, where: Path) -> None:
    """See to it that no push or fetch in the checkout goes to the user's repository."""
    if repository.remote:
        tell(where, "remote", "set-url", "origin", repository.remote)
    else:
        tell(where, "remote", "remove", "origin")


def _apply(snapshot: CodeSnapshot, repository: Repository, where: Path) -> None:
    if repository.diff is None:
        return
    patch = snapshot.folder / Path(repository.diff).name
    try:
        if patch.stat().st_size != repository.diff_bytes:
            raise CheckoutError(f"{patch} is damaged: it had {repository.diff_bytes} bytes")
        tell(where, "apply", "--binary", "--whitespace=nowarn", str(patch.resolve()))
    except GitError as error:
        raise CheckoutError(
            f"the uncommitted changes of {repository.directory} do not apply to "
            f"{repository.commit}: {error} ({patch})"
        ) from error


def _unpack(snapshot: CodeSnapshot, root: Path) -> None:
    if not snapshot.untracked:
        return
    archive = snapshot.folder / UNTRACKED
    with archive.open("rb") as stream:
        names = unpack(stream, root)
    missing = {*snapshot.untracked}.difference(names)
    if missing:
        raise CheckoutError(f"{archive} is damaged: {len(missing)} of its files are missing")


def _write_beside(
    snapshot: CodeSnapshot, root: Path, directory: Path, command: Command | None
) -> None:
    """Write the packages, and the command with its secrets, for the owner only."""
    folder = root / BESIDE
    folder.mkdir(mode=0o700)
    top = Path(snapshot.repositories[0].directory)
    text = requirements(snapshot.environment, top, directory)
    (folder / "requirements.txt").write_text(text, encoding="utf-8", errors="surrogateescape")
    if command is not None:
        script = folder / "run.sh"
        script.write_text(_script(command), encoding="utf-8", errors="surrogateescape")
        script.chmod(0o700)
    exclude = Path(tell(root, "rev-parse", "--git-path", "info/exclude").removesuffix("\n"))
    (root / exclude).parent.mkdir(exist_ok=True)
    with (root / exclude).open("a", encoding="utf-8") as lines:
        lines.write(f"/{BESIDE}/\n")


def _script(command: Command) -> str:
    return "\n".join(
        (
            "#!/bin/sh",
            f'cd "$(dirname "$0")"/../{shlex.quote(command.cwd)} || exit',
            f'{command.line} "$@"',
            "",
        )
    )
