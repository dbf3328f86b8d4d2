"""What a program runs in: Python, the platform, the installed packages."""

from __future__ import annotations

import json
import os
import platform
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from launchkit.code.git import public_url

DISTRIBUTION = re.compile(
    r"(?P<name>\w.*?)(?:-(?P<version>[^-]+)(?:-py[\d.]+)?)?\.(?:dist|egg)-info", re.IGNORECASE
)


@dataclass(frozen=True)
class Source:
    """Where a package was installed from, if not from an index.

    Parameters
    ----------
    url
        The address, without credentials.
    editable
        Whether the code runs from where it is.
    vcs, commit
        The version control system and the commit that was installed.
    subdirectory
        Where the package lies in its repository.
    """

    url: str
    editable: bool = False
    vcs: str | None = None
    commit: str | None = None
    subdirectory: str | None = None


@dataclass(frozen=True)
class Environment:
    """What a program runs in.

    Parameters
    ----------
    python
        The version.
    implementation
        CPython or another.
    platform
        The system, with its version.
    packages
        Versions by normalised name.
    sources
        Where packages that are not of an index come from.
    """

    python: str
    implementation: str
    platform: str
    packages: Mapping[str, str] = field(default_factory=dict)
    sources: Mapping[str, Source] = field(default_factory=dict)

    @classmethod
    def here(cls) -> Environment:
        """Return what this process runs in."""
        system = os.uname()
        packages: dict[str, str] = {}
        sources: dict[str, Source] = {}
        for name, version, source in _installed(sys.path):
            # The first on the path is the one that is imported.
            if name not in packages:
                packages[name] = version
                if source is not None:
                    sources[name] = source
        return cls(
            python=platform.python_version(),
            implementation=sys.implementation.name,
            # Not `platform.platform()`, which reads the interpreter for the last of these.
            platform=" ".join((system.sysname, system.release, system.machine, *_libc())),
            packages=dict(sorted(packages.items())),
            sources=sources,
        )

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Environment:
        """Read back what `to_json` returned."""
        sources = {name: Source(**source) for name, source in values["sources"].items()}
        return cls(**{**values, "sources": sources})


def _libc() -> tuple[str, ...]:
    try:
        return (os.confstr("CS_GNU_LIBC_VERSION") or "",)
    except (ValueError, OSError):
        return ()


def _installed(path: Iterable[str]) -> Iterator[tuple[str, str, Source | None]]:
    """Yield the packages below the directories of an import path: name, version, source.

    The names of their directories say it all; reading the metadata would take a hundred
    times as long.
    """
    for directory in dict.fromkeys(path):
        try:
            entries = sorted(os.listdir(directory or "."))  # noqa: PTH208 - there may be thousands
        except OSError:
            continue
        for entry in entries:
            found = DISTRIBUTION.fullmatch(entry)
            if found:
                where = os.path.join(directory, entry)  # noqa: PTH118
                version = found["version"] or _version_within(where)
                name = re.sub(r"[-_.]+", "-", found["name"]).lower()
                if version:
                    yield name, version, _source(where)


def _version_within(where: str) -> str:
    """Return the version of a package whose directory does not say it: one being developed."""
    try:
        with Path(where, "PKG-INFO").open(encoding="utf-8", errors="replace") as lines:
            return next((line[9:].strip() for line in lines if line.startswith("Version: ")), "")
    except OSError:
        return ""


def _source(where: str) -> Source | None:
    try:
        with open(os.path.join(where, "direct_url.json"), "rb") as file:  # noqa: PTH118, PTH123
            content = json.load(file)
        vcs = content.get("vcs_info", {})
        return Source(
            url=public_url(content["url"]),
            editable=bool(content.get("dir_info", {}).get("editable")),
            vcs=vcs.get("vcs"),
            commit=vcs.get("commit_id"),
            subdirectory=content.get("subdirectory"),
        )
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        # Almost always there is none.
        return None
