"""What the benchmarks in Docker share: the image, and whether there is all they need."""

from __future__ import annotations

import platform

from launchkit.modes.docker import DockerMode
from launchkit.outside import docker
from launchkit.outside.docker import DockerError

IMAGE = f"python:{'.'.join(platform.python_version_tuple()[:2])}-slim"
"""It has nothing but this Python."""

LOCAL_DOCKER = (
    "hydra/launcher=launchkit_local_docker",
    f"hydra.launcher.image={IMAGE}",
    "hydra.launcher.n_jobs=2",
)


def need_docker() -> None:
    """Stop with what to do where Docker, doodad or the image is missing."""
    lacking = DockerMode.lacking()
    if lacking:
        raise SystemExit(f"Docker cannot be measured here: {'; '.join(lacking)}")
    try:
        docker.find_image(IMAGE)
    except DockerError as error:
        raise SystemExit(f"Docker cannot be measured here: {error}") from None
