"""The packages of an environment, as pip installs them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from launchkit.code.environment import Environment, Source


def requirements(environment: Environment, top: Path | None, checkout: Path) -> str:
    """Return the content of a ``requirements.txt``.

    Parameters
    ----------
    environment
        What is to be installed.
    top
        The repository in which the environment found some of its packages.
    checkout
        The directory that takes its place.
    """
    return "\n".join([*_header(environment), *_lines(environment, top, checkout), ""])


def _header(environment: Environment) -> Iterator[str]:
    yield f"# {environment.implementation} {environment.python} on {environment.platform}"


def _lines(environment: Environment, top: Path | None, checkout: Path) -> Iterator[str]:
    for name, version in environment.packages.items():
        source = environment.sources.get(name)
        if source is None:
            yield f"{name}=={version}"
        elif source.vcs and source.commit:
            where = f"#subdirectory={source.subdirectory}" if source.subdirectory else ""
            yield f"{name} @ {source.vcs}+{source.url}@{source.commit}{where}"
        else:
            url = _relocated(source, top, checkout)
            yield f"-e {url}  # {name} {version}" if source.editable else f"{name} @ {url}"


def _relocated(source: Source, top: Path | None, checkout: Path) -> str:
    """Return where a package comes from, in the checkout if it was in the repository."""
    address = urlsplit(source.url)
    path = Path(unquote(address.path))
    if address.scheme != "file" or top is None or not path.is_relative_to(top):
        return source.url
    return (checkout / path.relative_to(top)).as_uri()
