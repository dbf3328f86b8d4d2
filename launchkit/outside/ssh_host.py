"""What a host that is reached by ssh must have for a sweep, found out and leaving nothing there."""

from __future__ import annotations

import secrets
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from launchkit.job import Job
from launchkit.outside import probe, remote
from launchkit.outside.containers import Container, docker_trial
from launchkit.outside.probe import Found
from launchkit.outside.scripts import candidates
from launchkit.outside.singularity_script import singularity_trial
from launchkit.outside.ssh import CommandFailed, Connection
from launchkit.outside.ssh_route import ConnectionLost, explain
from launchkit.outside.ssh_settings import SshSettings

NEEDED = {
    "gzip": "gzip",
    "setsid": "setsid (of util-linux)",
    "stat": "stat (of coreutils)",
    "find-printf": "GNU find (findutils)",
    "tar-null": "GNU tar",
}
PROGRAMS = ("gzip", "setsid", "stat", "rsync", "docker", "apptainer", "singularity")
PULL_S = 3600.0
SPARE_KB = 10_000
UNPACKED_TIMES = 3
"""The archive, what is in it, and what jobs write at first."""
NOT_FOUND_CODE = 127


@dataclass(frozen=True)
class There:
    """What there is on a host.

    Parameters
    ----------
    unwritable
        The directory that sweeps cannot be made in, if they cannot.
    room_kb
        Room for them; None if that cannot be told.
    programs
        Programs.
    gpus
        GPUs.
    python_code, python
        How the search for a Python ended, and the last line of what it printed.
    """

    unwritable: str
    room_kb: int | None
    programs: frozenset[str]
    gpus: tuple[str, ...]
    python_code: int
    python: str

    @classmethod
    def parse(cls, text: str) -> There:
        """Read what the script has printed."""
        lines = [line.partition(" ")[::2] for line in text.splitlines()]
        values = dict(lines)
        code, _, python = values.get("python", "").partition(" ")
        room = values.get("room", "")
        return cls(
            unwritable="" if values.get("write") == "yes" else values.get("write", ""),
            room_kb=int(room) if room.isdigit() else None,
            programs=frozenset(value for key, value in lines if key == "has"),
            gpus=tuple(value.strip() for key, value in lines if key == "gpu"),
            python_code=int(code or NOT_FOUND_CODE),
            python=python,
        )


def look_around(connection: Connection, settings: SshSettings) -> There:
    """Return what there is on a host.

    Raises
    ------
    ValueError
        If it cannot be reached, or has no shell that will do.
    """
    script = remote.probe(settings.directory, _python(settings), PROGRAMS)
    try:
        connection.open()
        said = connection.run(script, timeout=PULL_S)
    except ConnectionLost as error:
        raise ValueError(explain(connection.route, error)) from error
    except CommandFailed as error:
        raise ValueError(
            f"host is {settings.host!r}, and cannot run a script of sh: {error}"
        ) from error
    return There.parse(said.decode(errors="replace"))


def check(there: There, settings: SshSettings, jobs: Sequence[Job], size: int) -> None:
    """See to it that a host has what jobs need.

    Parameters
    ----------
    there
        What it has.
    settings
        The settings.
    jobs
        The jobs.
    size
        Bytes of code that go along.

    Raises
    ------
    ValueError
        If it lacks something.
    """
    where = settings.host
    missing = [name for key, name in NEEDED.items() if key not in there.programs]
    if missing:
        raise ValueError(f"host is {where!r}, and it lacks {', '.join(missing)}")
    if there.unwritable:
        raise ValueError(
            f"remote_dir is {settings.remote_dir!r}, and on {where} this user may not write to "
            f"{there.unwritable}; set it to a directory that can be made there"
        )
    wanted = SPARE_KB + UNPACKED_TIMES * size // 1000
    if there.room_kb is not None and there.room_kb < wanted:
        raise ValueError(
            f"remote_dir is {settings.remote_dir!r}, and on {where} it has room for "
            f"{there.room_kb // 1000} MB; the sweep needs {wanted // 1000} MB; name a larger disk"
        )
    _check_gpus(there, settings, jobs)
    _check_container(there, settings)
    _check_python(there, settings)


def container(settings: SshSettings) -> Container:
    """Return what a container on the host is like, but for what goes along."""
    assert settings.image is not None
    gpus = settings.gpus
    named = gpus if gpus is not None and not isinstance(gpus, str) else ()
    devices = ",".join(map(str, named))
    arguments = []
    if settings.gives_gpus:
        docker = ["--gpus", f'"device={devices}"' if devices else "all"]
        arguments = docker if settings.uses_docker else ["--nv"]
    return Container(
        image=settings.image,
        mounts=(),
        workdir="/tmp",  # noqa: S108 - of the container
        env=tuple(name for name, value in settings.env.items() if value is None),
        args=(*arguments, *settings.container_args),
    )


def _python(settings: SshSettings) -> str:
    """Return the script that looks for a Python, in the image where there is one."""
    script = probe.shell(settings.python, settings.setup_commands, settings.env)
    if settings.image is None:
        return script
    image = shlex.quote(settings.image)
    if settings.uses_docker:
        name = f"launchkit-trial-{secrets.token_hex(6)}"
        trial = docker_trial(container(settings), name, script)
        return (
            "docker version >/dev/null || exit\n"
            f"docker image inspect {image} >/dev/null 2>&1 || docker pull --quiet {image} "
            f">/dev/null || exit\n{trial}"
        )
    return singularity_trial(container(settings), script)


def _check_gpus(there: There, settings: SshSettings, jobs: Sequence[Job]) -> None:
    most = max((job.needs.gpus or 0 for job in jobs), default=0)
    wanted = max(most, settings.gpus_per_job or 0, int(settings.gpus is not None))
    if not wanted:
        return
    if not there.gpus:
        raise ValueError(
            f"gpus is {settings.gpus!r} and gpus_per_job {settings.gpus_per_job!r}, and "
            f"{settings.host} has no NVIDIA GPU"
        )
    named = settings.gpus
    given = there.gpus if named is None or isinstance(named, str) else tuple(map(str, named))
    unknown = [gpu for gpu in given if gpu.isdigit() and gpu not in there.gpus]
    if unknown:
        raise ValueError(
            f"gpus is {settings.gpus!r}, and {settings.host} has no GPU {unknown[0]}; it has "
            f"{', '.join(there.gpus)}"
        )
    if wanted > len(given):
        raise ValueError(
            f"a job wants {wanted} GPUs, and on {settings.host} there are {len(given)} to give"
        )


def _check_container(there: There, settings: SshSettings) -> None:
    if settings.image is None:
        return
    program = {"apptainer", "singularity"} if settings.container != "docker" else {"docker"}
    if not program & there.programs:
        raise ValueError(
            f"image is {settings.image!r} and container {settings.container!r}, and "
            f"{settings.host} has no program {' or '.join(sorted(program))} on PATH"
        )


def _check_python(there: There, settings: SshSettings) -> None:
    where = settings.host if settings.image is None else f"image {settings.image!r}"
    if there.python_code == NOT_FOUND_CODE:
        names = " or ".join(candidates(settings.python))
        raise ValueError(
            f"{where} has no {names}; set python to one, or setup_commands to what makes it "
            "known there (a `module load`, or activating an environment)"
        )
    try:
        found = Found.parse(there.python)
    except (ValueError, KeyError, TypeError):
        raise ValueError(
            f"{where} has no Python that runs (exit code {there.python_code}): {there.python}"
        ) from None
    probe.check_python(found, where)
