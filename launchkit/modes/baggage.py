"""What a sweep takes along where its jobs leave this machine's Python: the archive."""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from launchkit.doodad import archive
from launchkit.modes.base import Plan
from launchkit.outside import code_dirs, imports, needs
from launchkit.outside.code_dirs import CodeDir
from launchkit.outside.containers import Mount
from launchkit.outside.scripts import UNPACKED
from launchkit.outside.settings import Outside
from launchkit.sweep import Sweep, SweepError

FILE = "archive.dar"


@dataclass(frozen=True)
class Baggage:
    """What goes along with a sweep.

    Parameters
    ----------
    code
        The directories of the user's code.
    notes
        What a person is to be told of them.
    """

    code: tuple[CodeDir, ...]
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, settings: Outside, outputs: Collection[Path]) -> Baggage:
        """Find what goes along with a sweep, whose outputs do not.

        Raises
        ------
        ValueError
            If a directory of code is not there, too large, or within another.
        """
        code, notes = code_dirs.find(
            settings.code_dirs,
            settings.code_exclude,
            outputs,
            warn_mb=settings.code_warn_mb,
            max_mb=settings.code_max_mb,
        )
        return cls(code, notes)

    def places(self) -> dict[str, str]:
        """Return where each directory of code is below the unpacked archive."""
        return {str(known.source): f"deps/local/code{i}" for i, known in enumerate(self.code)}

    def mounts(self) -> tuple[Mount, ...]:
        """Return what a container is to see at the paths that it has here."""
        return tuple(
            mount
            for known, place in zip(self.code, self.places().values(), strict=True)
            for mount in (
                # The rest of a home directory, say, is the container's own.
                [Mount(f"{place}/{name}", f"{known.source}/{name}") for name in known.entries]
                if known.partial
                else [Mount(place, str(known.source))]
            )
        )

    def workdir(self) -> str:
        """Return the working directory of the jobs, as a container sees it."""
        cwd = Path.cwd()
        below = any(cwd.is_relative_to(known.source) for known in self.code)
        return str(cwd) if below else "/tmp"  # noqa: S108 - of the container

    def describe(self) -> list[str]:
        """Return what goes along, in words, a line each."""
        lines = [
            f"code: {known.source} ({len(known.files)} files, {known.size / 1e6:.1f} MB)"
            for known in self.code
        ]
        return [*lines, *self.notes]

    def pack(
        self,
        plan: Plan,
        scripts: Mapping[str, str | Path],
        image: str | None,
        level: int = archive.QUICK,
    ) -> None:
        """Make the archive of a sweep, in the sweep's directory.

        Parameters
        ----------
        plan
            What is going to run.
        scripts
            The scripts in it, or where they are, by their names.
        image
            The image that they run in; None for the host's own Python.
        level
            How small it is to be: see `archive.build`.

        Raises
        ------
        SweepError
            If it cannot be made.
        """
        sweep, needed = plan.sweep, needs.needs()
        places = self.places()
        settings = {
            "python": platform.python_version(),
            "packages": imports.packages([known.source for known in self.code], plan.task),
            "paths": {source: source if image else there for source, there in places.items()},
            "sys_path": _below([os.path.abspath(entry) for entry in sys.path], places),  # noqa: PTH100 - '' is the cwd
            "image": image,
            "needs": [[need.dist, need.version] for need in needed],
        }
        try:
            archive.build(
                sweep.own / FILE,
                [
                    archive.Code(known.source, place.rpartition("/")[2], known.wants)
                    for known, place in zip(self.code, places.values(), strict=True)
                ],
                {
                    **scripts,
                    "outside.json": json.dumps(settings),
                    "bootstrap.py": Path(code_dirs.__file__).with_name("bootstrap.py"),
                    **needs.files(needed),
                },
                level,
            )
        except OSError as error:
            raise SweepError(f"cannot make {sweep.own / FILE}: {error}") from error


def see_packed(sweep: Sweep) -> None:
    """Raise SweepError if the archive of a sweep is not there."""
    if not (sweep.own / FILE).exists():
        raise SweepError(
            f"{sweep.own / FILE} is not there: the launcher was killed before it was made; run "
            f"the program itself again, with hydra.sweep.dir={sweep.directory} "
            "hydra.launcher.resume=true"
        )


def unpack(sweep: Sweep) -> Path:
    """Unpack the archive of a sweep below its directory, if it is not, and return where.

    Raises
    ------
    SweepError
        If that cannot be done.
    """
    target = sweep.own / UNPACKED
    see_packed(sweep)
    try:
        if not target.exists():
            archive.unpack(sweep.own / FILE, target)
    except OSError as error:
        raise SweepError(f"cannot unpack {sweep.own / FILE}: {error}") from error
    return target


def put_away(sweep: Sweep) -> None:
    """Remove what `unpack` made."""
    shutil.rmtree(sweep.own / UNPACKED, ignore_errors=True)


def _below(entries: Collection[str], places: Mapping[str, str]) -> list[str]:
    """Return the entries of an import path that are below directories of code."""
    return [
        entry for entry in entries if any(Path(entry).is_relative_to(source) for source in places)
    ]
