"""The settings of every mode that runs jobs outside of the launcher's own Python."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from launchkit import masking

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, kw_only=True)
class Outside:
    """What a sweep takes along, and what it finds there.

    Parameters
    ----------
    image
        The container image; None for the host's own Python, where the mode can do that.
    python
        The Python to run there; None for the first of the launcher's version that is found.
    code_dirs
        The directories of the user's code that go along; None for the program's repository,
        or its directory.
    code_exclude
        What is left out of them beside what git ignores: patterns of names or paths.
    code_warn_mb, code_max_mb
        Megabytes of code from which on this is said, and from which on it is refused.
    inputs
        Directories that jobs read, and where they find them.
    env
        Environment variables of the jobs; None as a value takes the launcher's own.
    setup_commands
        Lines of shell that are run before Python is.
    container_args
        More arguments of the program that starts the container.

    Raises
    ------
    ValueError
        If one of them is wrong.
    """

    image: str | None = None
    python: str | None = None
    code_dirs: Sequence[str] | None = None
    code_exclude: Sequence[str] = ()
    code_warn_mb: float = 100.0
    code_max_mb: float = 1000.0
    inputs: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str | None] = field(default_factory=dict)
    setup_commands: Sequence[str] = ()
    container_args: Sequence[str] = ()

    def __post_init__(self) -> None:
        for name in ("image", "python"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, str) or not value or value[0] == "-"):
                raise ValueError(f"{name} is {value!r}; it must be a name or a path, or null")
        for name in ("code_dirs", "code_exclude", "setup_commands", "container_args"):
            value = getattr(self, name)
            if name == "code_dirs" and value is None:
                continue
            _check_strings(name, value)
        for name in ("code_warn_mb", "code_max_mb"):
            _check_megabytes(name, getattr(self, name))
        _check_env(self.env)
        _check_inputs(self.inputs)
        if self.image is None:
            for name in ("inputs", "container_args"):
                if getattr(self, name):
                    raise ValueError(f"{name} is set and image is not; there is no container")


def _check_strings(name: str, value: Any) -> None:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise ValueError(f"{name} is {value!r}; it must be a list")
    for item in value:
        if not isinstance(item, str) or "\0" in item:
            raise ValueError(f"{name} has {item!r}; it must be a string")


def _check_megabytes(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise ValueError(f"{name} is {value!r}; it must be a number of megabytes above 0")


def _check_env(env: Any) -> None:
    if not isinstance(env, Mapping):
        raise ValueError(f"env is {env!r}; it must have a value for each variable's name")
    for name, value in env.items():
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise ValueError(f"env has {name!r}; that is no name of an environment variable")
        if value is not None and (not isinstance(value, str) or "\0" in value):
            raise ValueError(f"env.{name} is {value!r}; it must be a string, or null")
        if value is not None and masking.looks_secret(name):
            raise ValueError(
                f"env.{name} looks like a secret, and would be written down with the sweep; set "
                f"{name} in the launcher's own environment, and env.{name} to null"
            )


def _check_inputs(inputs: Any) -> None:
    if not isinstance(inputs, Mapping):
        raise ValueError(f"inputs is {inputs!r}; it must have a mount point for each directory")
    points: dict[PurePosixPath, str] = {}
    for directory, point in inputs.items():
        if not isinstance(point, str) or not PurePosixPath(point).is_absolute():
            raise ValueError(
                f"inputs: the mount point of {directory} is {point!r}; it must be an absolute path"
            )
        where = PurePosixPath(point)
        if ".." in where.parts or where == PurePosixPath("/"):
            raise ValueError(f"inputs: {directory} cannot be mounted at {point!r}")
        for other, known in points.items():
            if where.is_relative_to(other) or other.is_relative_to(where):
                raise ValueError(
                    f"inputs: the mount points of {known} and {directory} overlap: {other}, {where}"
                )
        points[where] = directory
