"""Files that git does not track, and which of them a snapshot keeps."""

from __future__ import annotations

import fnmatch
import functools
import os
import re
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

MAX_FILE_BYTES = 2**20
MAX_TOTAL_BYTES = 20 * 2**20
MAX_FILES = 10_000

SECRET_NAMES = (
    *("*.pem", "*.key", "*.p12", "*.pfx", "*.jks", "*.keystore", "*.kdbx", "*.ppk", "*.token"),
    *("id_rsa", "id_dsa", "id_ecdsa", "id_ecdsa_sk", "id_ed25519", "id_ed25519_sk", "secring.*"),
    *(".env", ".env.*", "*.env", ".netrc", "_netrc", ".pgpass", ".pypirc", ".npmrc", ".htpasswd"),
    *(".git-credentials", "credentials", "credentials.*", "*_credentials.json", "kubeconfig"),
    *("client_secret*.json", "service[-_]account*.json", "secret.*", "secrets.*", ".vault*"),
)
NO_SECRET_NAMES = (".env.example", ".env.sample", ".env.template", ".env.dist", "*.py")
SECRET_DIRECTORIES = {".ssh", ".aws", ".gnupg", ".kube", ".docker", ".azure", ".secrets", "secrets"}

RUN_DIRECTORIES = (".hydra", ".launchkit")
MADE_DIRECTORIES = {"__pycache__", "node_modules", ".ipynb_checkpoints"}


@dataclass(frozen=True)
class LeftOut:
    """An untracked file, or a directory of them, whose content is not kept.

    Parameters
    ----------
    path
        Relative to the repository; of a directory with a slash at its end.
    reason
        Why.
    bytes
        The size of a file; None of a directory.
    files
        How many files it stands for.
    """

    path: str
    reason: str
    bytes: int | None = None
    files: int = 1


def choose(
    root: Path, names: Sequence[str], places: Iterable[Path]
) -> tuple[list[str], list[LeftOut]]:
    """Choose which untracked files to keep.

    Parameters
    ----------
    root
        The directory that `names` are relative to.
    names
        The untracked files.
    places
        Where the program lies and runs: no output of a run, whatever else is there.

    Returns
    -------
    tuple
        The names of those to keep, and those to leave out.
    """
    candidates, left_out = _without_directories(names, _above(root, places))
    sized = []
    for name in candidates:
        try:
            status = (root / name).lstat()
        except OSError as error:
            left_out.append(LeftOut(name, str(error.strerror)))
            continue
        reason = _refusal(name, status)
        if reason:
            left_out.append(LeftOut(name, reason, status.st_size))
        else:
            sized.append((status.st_size, name))
    kept: list[str] = []
    total = 0
    # The smallest first: code is small.
    for size, name in sorted(sized):
        total += size
        if total > MAX_TOTAL_BYTES or len(kept) == MAX_FILES:
            reason = f"the untracked files are more than {MAX_TOTAL_BYTES // 2**20} MiB"
            if len(kept) == MAX_FILES:
                reason = f"there are more than {MAX_FILES} untracked files"
            left_out.append(LeftOut(name, reason, size))
        else:
            kept.append(name)
    return sorted(kept), left_out


def _refusal(name: str, status: os.stat_result) -> str:
    path = PurePosixPath(name)
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode)):
        return "it is neither a file nor a link"
    if _has_secret_name(path):
        return "its name is that of a secret"
    if status.st_size > MAX_FILE_BYTES:
        return f"it is larger than {MAX_FILE_BYTES // 2**20} MiB"
    return ""


def _has_secret_name(path: PurePosixPath) -> bool:
    if _matches(NO_SECRET_NAMES, path.name):
        return False
    return not SECRET_DIRECTORIES.isdisjoint(path.parts[:-1]) or _matches(SECRET_NAMES, path.name)


def _matches(patterns: tuple[str, ...], name: str) -> bool:
    return _any_of(patterns).match(name) is not None


@functools.cache
def _any_of(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(map(fnmatch.translate, patterns)), re.IGNORECASE)


def _above(root: Path, places: Iterable[Path]) -> set[str]:
    """Return the directories below `root`, itself included, that hold one of `places`."""
    inside = [place.relative_to(root) for place in places if place.is_relative_to(root)]
    return {str(above) for place in inside for above in (place, *place.parents)} | {"."}


def _without_directories(
    names: Sequence[str], protected: set[str]
) -> tuple[list[str], list[LeftOut]]:
    """Take out the directories of earlier runs, and of what no person wrote."""
    reasons = dict(_not_to_keep(names, protected))
    if not reasons:
        return list(names), []
    kept: list[str] = []
    counts: Counter[str] = Counter()
    for name in names:
        top = next((above for above in _parents(name) if above in reasons), None)
        if top is None:
            kept.append(name)
        else:
            counts[top] += 1
    return kept, [LeftOut(f"{top}/", reasons[top], files=n) for top, n in counts.items()]


def _not_to_keep(names: Sequence[str], protected: set[str]) -> Iterator[tuple[str, str]]:
    all_names = set(names)
    for name in names:
        directory, _, file = name.rpartition("/")
        for parent in _parents(name):
            above, _, last = parent.rpartition("/")
            if last in RUN_DIRECTORIES:
                yield (above if (above or ".") not in protected else parent), "it is of a run"
            elif last in MADE_DIRECTORIES:
                yield parent, "it is made by a tool"
        of_a_run = file == "multirun.yaml" or (
            file == "progress.csv" and f"{directory}/variant.json" in all_names
        )
        if of_a_run and (directory or ".") not in protected:
            yield directory, "it is of a run"
        elif file == "pyvenv.cfg" and directory:
            yield directory, "it is a virtual environment"


def _parents(name: str) -> Iterator[str]:
    """Yield the directories that a file is in, the outermost first."""
    end = name.find("/")
    while end != -1:
        yield name[:end]
        end = name.find("/", end + 1)
