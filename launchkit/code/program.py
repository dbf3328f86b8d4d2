"""The user's program: where it lies, and how it was started."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from launchkit.code.environment import Environment

INSTALLED = {"site-packages", "dist-packages"}


@dataclass(frozen=True)
class Program:
    """The user's program. Paths below the repository's top directory are relative to it.

    Parameters
    ----------
    file
        The program's file; None where there is none, or it is an installed one.
    module
        The name that ``python -m`` was given, instead.
    command
        The installed command, instead.
    cwd
        The directory it was started in.
    import_path
        Directories of the repository that were on the import path: without them an
        editable install, or PYTHONPATH, would bring the code of another checkout.
    """

    file: str | None = None
    module: str | None = None
    command: str | None = None
    cwd: str = "."
    import_path: tuple[str, ...] = ()

    @classmethod
    def of_this_process(cls, top: Path | None, environment: Environment) -> Program:
        """Return the program that this process runs.

        Parameters
        ----------
        top
            The top directory of its repository.
        environment
            What it runs in.
        """
        cwd = Path.cwd()
        file, module = _main_file(), _main_module()
        installed = file is not None and _is_installed(file)
        implied = cwd if module else file and file.parent
        return cls(
            file=_relative(file, top) if file and not module and not installed else None,
            module=module,
            command=file.name if file and not module and installed else None,
            cwd=_relative(cwd, top),
            import_path=tuple(
                _relative(entry, top) for entry in _import_path(top, environment, implied)
            ),
        )

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Program:
        """Read back what was written as JSON."""
        return cls(**{**values, "import_path": tuple(values["import_path"])})


def program_directory() -> Path:
    """Return the directory of the user's program.

    For a program that pip installed, and where there is none, it is the current directory.
    """
    file = _main_file()
    return Path.cwd() if file is None or _is_installed(file) else file.parent


def _main_file() -> Path | None:
    file = getattr(sys.modules.get("__main__"), "__file__", None)
    return Path(file).resolve() if file else None


def _main_module() -> str | None:
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    return spec.name.removesuffix(".__main__") if spec is not None else None


def _is_installed(file: Path) -> bool:
    scripts = Path(sys.prefix, "bin").resolve()
    return file.is_relative_to(scripts) or not INSTALLED.isdisjoint(file.parts)


def _relative(path: Path, top: Path | None) -> str:
    inside = top is not None and path.is_relative_to(top)
    return str(path.relative_to(top)) if top is not None and inside else str(path)


def _import_path(
    top: Path | None, environment: Environment, implied: Path | None
) -> Iterator[Path]:
    """Yield the directories of the repository that code is imported from, each once."""
    if top is None:
        return
    prefix = Path(sys.prefix).resolve()
    seen = {implied}
    for entry in (*map(Path, filter(None, sys.path)), *_editable(environment)):
        directory = entry.resolve()
        of_python = not INSTALLED.isdisjoint(directory.parts) or (
            prefix.is_relative_to(top) and directory.is_relative_to(prefix)
        )
        if directory.is_relative_to(top) and not of_python and directory.is_dir():
            if directory not in seen:
                yield directory
            seen.add(directory)


def _editable(environment: Environment) -> Iterator[Path]:
    for source in environment.sources.values():
        if source.editable and source.url.startswith("file://"):
            directory = unquote(urlsplit(source.url).path)
            inner = os.path.join(directory, "src")  # noqa: PTH118
            yield Path(inner if os.path.isdir(inner) else directory)  # noqa: PTH112
