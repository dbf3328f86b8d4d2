"""What launchkit itself needs where an image has it not: pure Python, so it can travel."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import metadata, util
from pathlib import Path, PurePosixPath

from launchkit._version import __version__

FOLDER = "needs"

OWN = "hydra-launchkit"
OWN_MODULES = ("launchkit", "hydra_plugins.launchkit_launcher")

DIRECT = ("hydra-core", "omegaconf", "cloudpickle")
"""Requirements of launchkit that a job has; what they require themselves follows."""

MODULES = {"hydra-core": "hydra", "antlr4-python3-runtime": "antlr4", "pyyaml": "yaml"}
"""Modules that have another name than their distribution."""

KNOWN = frozenset(
    ("launchkit", "hydra", "omegaconf", "cloudpickle", "antlr4", "packaging", "yaml", "_yaml")
)
"""What the needs bring to import, of whatever versions they are."""

MADE = {"__pycache__", "tests"}
NATIVE = (".so", ".pyd", ".pyc", ".pyo")


@dataclass(frozen=True)
class Need:
    """A distribution that goes along.

    Parameters
    ----------
    dist
        Its name.
    version
        Its version.
    modules
        What it brings to import.
    files
        Where its files are, by their names relative to a directory of the import path.
    """

    dist: str
    version: str
    modules: tuple[str, ...]
    files: Mapping[str, Path] = field(repr=False)


def needs() -> tuple[Need, ...]:
    """Return what launchkit needs to run jobs of this process: itself first.

    Raises
    ------
    ValueError
        If one of them cannot be found in files.
    """
    found = {OWN: _own()}
    waiting = list(DIRECT)
    while waiting:
        name = _normal(waiting.pop(0))
        if name not in found:
            dist = _distribution(name)
            found[name] = _need(dist)
            waiting += _requirements(dist)
    return tuple(found.values())


def files(needs: Iterable[Need]) -> dict[str, Path | str]:
    """Return the files of needs in an archive: by their names in it, where they are, or the text.

    Each need has a directory of its own there that can be imported from.
    """
    found: dict[str, Path | str] = {}
    for need in needs:
        top = f"{FOLDER}/{need.dist}-{need.version}"
        found.update((f"{top}/{name}", source) for name, source in need.files.items())
        name, text = _metadata(need)
        found[f"{top}/{name}"] = text
    return found


def _metadata(need: Need) -> tuple[str, str]:
    """Return the name of the file that tells Python the version, and its text."""
    name = re.sub(r"[-_.]+", "_", need.dist).lower()
    return (
        f"{name}-{need.version}.dist-info/METADATA",
        f"Metadata-Version: 2.1\nName: {need.dist}\nVersion: {need.version}\n",
    )


def _own() -> Need:
    """Return launchkit itself, which may run from a checkout that nobody has installed."""
    files: dict[str, Path] = {}
    for module in OWN_MODULES:
        files.update(_below(module))
    return Need(OWN, __version__, OWN_MODULES, files)


def _distribution(name: str) -> metadata.Distribution:
    try:
        return metadata.distribution(name)
    except metadata.PackageNotFoundError:
        raise ValueError(
            f"{name}, which launchkit needs, is not installed; `pip install {name}`, so that it "
            "can be taken along"
        ) from None


def _requirements(dist: metadata.Distribution) -> list[str]:
    """Return what a distribution requires, but for what only some Pythons or extras do."""
    required = [line for line in dist.requires or () if ";" not in line]
    return [found[0] for line in required if (found := re.match(r"[\w.-]+", line))]


def _need(dist: metadata.Distribution) -> Need:
    name = dist.metadata["Name"]
    files = {
        path.as_posix(): Path(str(path.locate()))
        for path in dist.files or ()
        if _travels(path) and ".." not in path.parts
    }
    tops = {PurePosixPath(path).parts[0].removesuffix(".py") for path in files}
    module = MODULES.get(_normal(name), _normal(name).replace("-", "_"))
    if module not in tops:
        # It runs from where it is developed, or whoever installed it has kept no list.
        files, tops = _below(module), {module}
    return Need(name, dist.version, tuple(sorted(tops)), files)


def _below(module: str) -> dict[str, Path]:
    """Return the files of a package, or the one of a module, where it is imported from."""
    spec = util.find_spec(module)
    if spec is None or not (spec.submodule_search_locations or spec.origin):
        raise ValueError(f"{module}, which launchkit needs, cannot be found to be taken along")
    base = PurePosixPath(module.replace(".", "/"))
    if not spec.submodule_search_locations:
        return {f"{base}.py": Path(str(spec.origin))}
    return {
        str(base / name): folder / name
        for folder in map(Path, spec.submodule_search_locations)
        for name in _names(folder)
    }


def _names(folder: Path) -> Iterator[PurePosixPath]:
    for path in sorted(folder.rglob("*")):
        name = PurePosixPath(path.relative_to(folder).as_posix())
        if path.is_file() and _travels(name):
            yield name


def _travels(path: PurePosixPath) -> bool:
    in_metadata = any(part.endswith((".dist-info", ".egg-info")) for part in path.parts)
    return not (in_metadata or path.suffix in NATIVE or MADE.intersection(path.parts))


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
