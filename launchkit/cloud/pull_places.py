"""Where what is in a bucket goes here, and what may go nowhere.

Whoever may write to the bucket must not be able to write anywhere else on this machine.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from launchkit.job import OWN_DIR
from launchkit.outside.shared_files import SHARED

KEPT = re.compile(rf"{SHARED.pattern}|pulled\.json|driver-\d+\.json|machines\.jsonl|coming")
"""What of a sweep's own files no machine writes."""


class Unfit(ValueError):
    """There is no place here for what is so called; the message says why."""


class Places:
    """The places of a sweep's files.

    Parameters
    ----------
    name
        What the sweep's directory is called in the bucket.
    directory
        The sweep's directory here, absolute.
    beside
        Sees to it that there may be a directory beside it, or raises.
    """

    def __init__(self, name: str, directory: Path, beside: Callable[[str], None]) -> None:
        self._name = name
        self._directory = directory
        self._beside = beside

    def path(self, name: str, *, home: bool = False) -> Path:
        """Return the place of a file.

        Parameters
        ----------
        name
            Its name, relative to the parent directory of the sweep's.
        home
            Whether the sweep's launcher has written it, and not a machine.

        Raises
        ------
        Unfit
            If there is none.
        """
        if not is_fit(name):
            raise Unfit(f"{name!r} is no name of a file in a sweep")
        top, *rest = name.split("/")
        if top != self._name:
            self._beside(top)
        elif not home and rest[0] == OWN_DIR and (len(rest) == 1 or KEPT.fullmatch(rest[1])):
            raise Unfit(f"{name!r} is not for machines to write")
        root = self._directory if top == self._name else self._directory.parent / top
        for count in range(1, len(rest)):
            if root.joinpath(*rest[:count]).is_symlink():
                raise Unfit(f"{name!r} is behind a link")
        return root.joinpath(*rest)


def check_link(name: str, target: str) -> None:
    """See to it that a link stays within the sweep, whatever other links there are.

    Raises
    ------
    Unfit
        If it does not, or might not.
    """
    steps = [step for step in target.split("/") if step not in ("", ".")]
    up = next((num for num, step in enumerate(steps) if step != ".."), len(steps))
    depth = name.count("/") - 1
    # Behind another link, `..` is anywhere.
    if not target or target.startswith("/") or up > depth or ".." in steps[up:]:
        raise Unfit(f"the link {name!r} leads elsewhere, to {target!r}")


def is_fit(name: str) -> bool:
    """Tell whether a name, relative to the parent of a sweep's directory, is one of a file there.

    Such a file is in a directory, which is not hidden: no settings of a user's.
    """
    top, *rest = parts = name.split("/")
    plain = all(part not in ("", ".", "..") and "\0" not in part for part in parts)
    return plain and bool(rest) and not top.startswith(".")
