"""The image of a machine's container, and the registries of the clouds."""
# Python 3.6 is to run this: no `from __future__ import annotations`; what it lacks is in quotes.

import logging
import re
import threading
from pathlib import Path

from launchkit.cloud.agent_metadata import token
from launchkit.cloud.agent_programs import call, docker
from launchkit.cloud.agent_sync import last_line

LOG = logging.getLogger("launchkit.agent")

PULL_S = 3600.0
PAUSES_S = (5.0, 10.0, 20.0, 0.0)
"""How long to wait after each time that a registry has not answered."""
ECR = re.compile(r"\d+\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com(\.cn)?")
GOOGLE = re.compile(r"([a-z0-9-]+\.)?gcr\.io|[a-z0-9-]+-docker\.pkg\.dev")
NO_IMAGE = re.compile(
    "not found|manifest unknown|denied|unauthorized|no basic auth|invalid reference"
)


class NoImage(Exception):
    """There is no such image to be had; the message says why."""


def get_image(image: str, folder: Path, stopping: threading.Event) -> None:
    """Have Docker get an image, if it is not here; or come back soon, once it is to stop.

    Parameters
    ----------
    image
        Its name.
    folder
        A directory for what a log-in leaves.
    stopping
        What says that it is to stop.

    Raises
    ------
    NoImage
        If it cannot be had.
    """
    if docker("image", "inspect", image)[0] == 0:
        return
    LOG.info("the image %s is fetched", image)
    command = ["docker", *_log_in(image.partition("/")[0], folder), "pull", "--quiet", image]
    for pause in PAUSES_S:
        code, said = call(command, PULL_S, stopping)
        if not code:
            LOG.info("the image is here")
            return
        if NO_IMAGE.search(said.lower()) or stopping.wait(pause):
            break
    raise NoImage(f"image is {image!r}, and Docker cannot get it: {last_line(said)}")


def _log_in(host: str, folder: Path) -> "list[str]":
    """Log in to a registry of the cloud's own; return options of docker that make use of it."""
    ecr = ECR.fullmatch(host)
    if ecr:
        command = ["aws", "ecr", "get-login-password", "--region", ecr.group(1)]
        code, password = call(command, quiet=True)
        user, problem = "AWS", "aws ecr get-login-password has not worked" if code else ""
    elif GOOGLE.fullmatch(host):
        password = token()
        user, problem = "oauth2accesstoken", "" if password else "the machine has no token"
    else:
        return []
    options = ["--config", str(folder / "docker")]
    if not problem:
        login = ["docker", *options, "login", "--username", user, "--password-stdin", host]
        code, said = call(login, given=password.strip().encode())
        problem = last_line(said) if code else ""
    if problem:
        LOG.warning("no log-in to %s: %s", host, problem)
    return [] if problem else options
