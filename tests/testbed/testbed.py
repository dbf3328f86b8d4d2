"""What ``tests/testbed/up`` has started: is it there, and what is it called.

Tests ask it before they use a real component; a missing one is a reason to skip, with the
command that starts it.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

COMPONENTS = ("docker", "ssh", "slurm", "apptainer", "aws", "gcp")

PYTHON_IMAGE = "python:3.11-slim"
"""A stock image: Debian and Python 3.11, nothing else."""
NO_PYTHON_IMAGE = "launchkit-test/no-python:latest"
OTHER_PYTHON_IMAGES = "launchkit-test/python"
"""The repository of the images of other Pythons; a tag is a version, such as ``3.13``."""

TEST_USER = "launchkit-test"
"""The unprivileged account, also to be used with ``runuser -u``."""

SSH_HOST = "launchkit-testbed"
"""The account ``TEST_USER``; the other hosts of the configuration are the same server."""
SSH_ROOT_HOST = "launchkit-testbed-root"
SSH_JUMP_HOST = "launchkit-testbed-jump"
SSH_UNKNOWN_HOST = "launchkit-testbed-unknown"
"""A host whose key is not known."""
SSH_DENIED_HOST = "launchkit-testbed-denied"
"""A host that does not let the account in."""
SSH_CLOSED_HOST = "launchkit-testbed-closed"
"""A host where nothing listens."""

SLURM_PARTITION = "debug"
SLURM_HIGH_PARTITION = "high"
"""Its jobs preempt, and so requeue, those of the other one."""

AWS_ENDPOINT = "http://10.213.0.1:24570"
"""The simulated AWS, for this machine and for the machines that are rented there."""
AWS_REGION = "us-east-1"
AWS_PROFILE = "launchkit"
"""The instance profile that is there from the start, and its role."""

GCP_ENDPOINT = "http://10.213.0.1:24571"
"""The simulated Google Cloud; its machines find it under Google's own names as well."""
GCP_PROJECT = "launchkit-test"
GCP_ACCOUNT = f"launchkit-machine@{GCP_PROJECT}.iam.gserviceaccount.com"
"""A service account that is there from the start, and may do everything."""

_SCRIPTS = Path(__file__).parent
_PATIENCE = 60.0
"""Seconds; each step of a check has a shorter limit of its own."""


def state_directory() -> Path:
    """Where ``up`` keeps what it makes: the rule of ``common.sh``."""
    if named := os.environ.get("LAUNCHKIT_TESTBED"):
        return Path(named).resolve()
    if os.getuid() == 0:
        return Path("/var/cache/launchkit-testbed")
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "launchkit-testbed"


STATE = state_directory()
SSH_CONFIG = STATE / "ssh" / "ssh_config"
PYTHON_SIF = STATE / "images" / "python-3.11.sif"
PYTHON_SANDBOX = STATE / "images" / "python-3.11"
"""The folder that ``PYTHON_SIF`` was made of, which is an image as well."""
NO_PYTHON_SIF = STATE / "images" / "no-python.sif"
GCP_CREDENTIALS = STATE / "clouds" / "gcp" / "credentials.json"
"""The key of an account that may do everything in ``GCP_PROJECT``."""


@functools.cache
def available(component: str) -> str | None:
    """Ask a component whether it can be used.

    Parameters
    ----------
    component
        One of ``COMPONENTS``.

    Returns
    -------
    str or None
        None if it can; otherwise why not, with the command that starts it.
    """
    if component not in COMPONENTS:
        raise ValueError(f"there is no component {component!r}; there are {', '.join(COMPONENTS)}")
    done = _run(["bash", str(_SCRIPTS / f"{component}.sh"), "check"])
    if done.returncode == 0:
        return None
    reason = (done.stderr.strip().splitlines() or ["its check failed"])[-1]
    return f"{component}: {reason}; start it with: tests/testbed/up {component}"


def other_python_image(version: tuple[int, int] = sys.version_info[:2]) -> str:
    """Name an image whose Python is not of this version (major, minor).

    Raises
    ------
    LookupError
        There is none.
    """
    mine = "{}.{}".format(*version)
    if not PYTHON_IMAGE.startswith(f"python:{mine}-"):
        return PYTHON_IMAGE
    for tag in sorted(_other_python_tags(), reverse=True):
        if tag != mine:
            return f"{OTHER_PYTHON_IMAGES}:{tag}"
    raise LookupError(f"no image of {OTHER_PYTHON_IMAGES} has another Python than {mine}")


def python_image(version: tuple[int, int] = sys.version_info[:2]) -> str | None:
    """Name the image whose Python is of this version (major, minor), if there is one."""
    mine = "{}.{}".format(*version)
    if PYTHON_IMAGE.startswith(f"python:{mine}-"):
        return PYTHON_IMAGE
    return f"{OTHER_PYTHON_IMAGES}:{mine}" if mine in _other_python_tags() else None


def apptainer_command() -> list[str]:
    """Start the words that run a program in an image: ``[*apptainer_command(), image, ...]``.

    As root, Apptainer hands all privileges on, which fails where the machine itself lacks one.
    """
    program = shutil.which("apptainer") or shutil.which("singularity") or "apptainer"
    return [program, "--quiet", "exec", *(["--no-privs"] if os.getuid() == 0 else [])]


def aws_environment() -> dict[str, str]:
    """Return the environment variables with which AWS is the simulated one."""
    return {
        "AWS_ENDPOINT_URL": AWS_ENDPOINT,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_SESSION_TOKEN": "testing",
        "AWS_DEFAULT_REGION": AWS_REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        # Nobody's own settings count.
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


def gcp_environment() -> dict[str, str]:
    """Return the environment variables with which Google Cloud is the simulated one."""
    override = "CLOUDSDK_API_ENDPOINT_OVERRIDES"
    return {
        "STORAGE_EMULATOR_HOST": GCP_ENDPOINT,
        "GOOGLE_APPLICATION_CREDENTIALS": str(GCP_CREDENTIALS),
        "GOOGLE_CLOUD_PROJECT": GCP_PROJECT,
        f"{override}_COMPUTE": f"{GCP_ENDPOINT}/compute/v1/",
        f"{override}_STORAGE": f"{GCP_ENDPOINT}/storage/v1/",
        f"{override}_IAM": f"{GCP_ENDPOINT}/",
        f"{override}_CLOUDRESOURCEMANAGER": f"{GCP_ENDPOINT}/",
        f"{override}_SERVICEUSAGE": f"{GCP_ENDPOINT}/",
        # This machine may itself be one of Google's: its own account is not meant.
        "NO_GCE_CHECK": "true",
    }


def aws_control(method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
    """Ask something of the simulated AWS that AWS does not know; README.md has what there is.

    Parameters
    ----------
    method
        ``GET``, ``POST`` or ``DELETE``.
    path
        ``faults``, say.
    body
        What is asked.

    Raises
    ------
    ValueError
        If it does not understand that; the message says why.
    """
    return _control(AWS_ENDPOINT, method, path, body)


def gcp_control(method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
    """Ask something of the simulated Google Cloud; as `aws_control` does, of its own list."""
    return _control(GCP_ENDPOINT, method, path, body)


def _control(endpoint: str, method: str, path: str, body: Mapping[str, Any] | None) -> Any:
    request = urllib.request.Request(
        f"{endpoint}/_testbed/{path}", method=method, data=json.dumps(body or {}).encode()
    )
    # A proxy of the environment is not for addresses of this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=_PATIENCE) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            raise ValueError(error.read().decode()) from None


def _other_python_tags() -> list[str]:
    listing = _run(["docker", "image", "ls", "--format", "{{.Tag}}", OTHER_PYTHON_IMAGES])
    return listing.stdout.split()


def _run(words: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=_PATIENCE,
    )
