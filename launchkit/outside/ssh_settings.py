"""The settings of mode ``ssh``."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from launchkit.machine.slots import Slots
from launchkit.outside.settings import Outside
from launchkit.outside.ssh_route import Route

CONTAINERS = ("docker", "singularity")


@dataclass(frozen=True, kw_only=True)
class SshSettings(Outside, Slots):
    """The settings of ``ssh``; slots, GPUs and cores are those of the host.

    Parameters
    ----------
    host
        The host, or its alias in the ssh config, with ``user@`` in front of it or not.
    ssh_config
        The file of settings for ssh; None for the user's own.
    ssh_args
        More arguments of ssh.
    remote_dir
        Where sweeps are on the host while they run; if not absolute, below the home directory.
    container
        What runs `image`, where one is set: ``docker`` or ``singularity``.
    fetch_interval_s
        The longest time between two looks at what there is to bring home, in seconds.
    keep_remote
        Whether what is on the host stays there when the sweep has ended.

    Raises
    ------
    ValueError
        If one of them is wrong.
    """

    host: str = ""
    ssh_config: str | None = None
    ssh_args: Sequence[str] = ()
    remote_dir: str = ".cache/launchkit"
    container: str = "docker"
    fetch_interval_s: float = 5.0
    keep_remote: bool = False

    def __post_init__(self) -> None:
        Outside.__post_init__(self)
        Slots.__post_init__(self)
        _check_host(self.host)
        _check_arguments(self.ssh_args)
        _check_directory(self.remote_dir)
        if self.ssh_config is not None and not Path(self.ssh_config).expanduser().is_file():
            raise ValueError(f"ssh_config is {self.ssh_config!r}; there is no such file")
        if self.container not in CONTAINERS:
            raise ValueError(
                f"container is {self.container!r}; it must be one of {', '.join(CONTAINERS)}"
            )
        interval: Any = self.fetch_interval_s
        if isinstance(interval, bool) or not isinstance(interval, int | float) or not interval > 0:
            raise ValueError(
                f"fetch_interval_s is {interval!r}; it must be a number of seconds above 0"
            )
        if self.inputs:
            raise ValueError(
                "inputs is set, and directories of this machine are not on another; have them "
                "there, and mount them with container_args"
            )

    @property
    def route(self) -> Route:
        """How the host is reached, from wherever the launcher runs."""
        config = self.ssh_config
        if config is not None:
            config = os.path.abspath(os.path.expanduser(config))  # noqa: PTH100, PTH111 - text
        return Route(self.host, config, tuple(self.ssh_args))

    @property
    def directory(self) -> str:
        """Where sweeps are on the host; if not absolute, below the home directory."""
        directory = self.remote_dir.removeprefix("~/").rstrip("/")
        return directory if directory.startswith("/") else f"./{directory}"

    @property
    def uses_docker(self) -> bool:
        """Whether the jobs run in a container of Docker."""
        return self.image is not None and self.container == "docker"

    def pack_places(self) -> dict[str, Any]:
        """Return how jobs share the host, for a pack."""
        gpus = self.gpus
        return {
            "n_jobs": self.n_jobs,
            "gpus": gpus if gpus is None or isinstance(gpus, str) else list(gpus),
            "jobs_per_gpu": self.jobs_per_gpu,
            "gpus_per_job": self.gpus_per_job,
            "cpus_per_job": self.cpus_per_job,
        }

    def describe(self) -> str:
        """Return where jobs run, and how many at a time, in words."""
        if self.n_jobs is not None:
            many = f"{self.n_jobs} at a time"
        else:
            many = f"as many at a time as its {'GPUs' if self.gives_gpus else 'cores'} allow"
        within = f", in {self.container} {self.image}" if self.image else ""
        return f"{many} on {self.host}, a process each{within}; there in {self.remote_dir}"


def _check_host(host: Any) -> None:
    if not isinstance(host, str):
        raise ValueError(f"host is {host!r}; it must be the name of a host")
    if not host:
        raise ValueError(
            "host is not set; name a host, or its alias in your ssh config, such as host=gpu-box"
        )
    if host[0] == "-" or not re.fullmatch(r"[^\s\0'\"\\;$`|&<>()]+", host):
        raise ValueError(f"host is {host!r}; that is no name of a host")


def _check_arguments(arguments: Any) -> None:
    if isinstance(arguments, str) or not isinstance(arguments, Sequence):
        raise ValueError(f"ssh_args is {arguments!r}; it must be a list")
    for argument in arguments:
        if not isinstance(argument, str) or "\0" in argument:
            raise ValueError(f"ssh_args has {argument!r}; it must be a string")


def _check_directory(directory: Any) -> None:
    wrong = not isinstance(directory, str) or any(sign in directory for sign in "\0\n")
    path = PurePosixPath() if wrong else PurePosixPath(directory.removeprefix("~/"))
    if wrong or ".." in path.parts or path in (PurePosixPath(), PurePosixPath("/")):
        raise ValueError(
            f"remote_dir is {directory!r}; it must be a path on the host, such as .cache/launchkit"
        )
    if path.parts[0].startswith("~"):
        raise ValueError(f"remote_dir is {directory!r}; name another user's directory in full")
