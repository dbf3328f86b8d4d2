"""Whether this machine can ask a cloud at all: its library, and somebody's credentials.

What is lacking is found out without the network: whether credentials are any good, the cloud
says.
"""

from __future__ import annotations

import os
from importlib import util
from pathlib import Path

VENDOR = Path("/sys/class/dmi/id/sys_vendor")
"""Who has made this machine, as it says itself."""
NETWORKED = ("container-role", "iam-role", "custom-process")
"""boto3's sources of credentials that have to be asked, each of which has another sign."""
ASKED_FOR = ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI")


def ec2_lacking() -> list[str]:
    """Return what this machine lacks to ask AWS, a phrase each."""
    if not _is_there("boto3"):
        return ["boto3 (pip install 'hydra-launchkit[ec2]')"]
    return [] if _has_aws() else ["credentials of AWS (aws configure, or AWS_ACCESS_KEY_ID)"]


def gcp_lacking() -> list[str]:
    """Return what this machine lacks to ask Google Cloud, a phrase each."""
    libraries = {
        "googleapiclient": "google-api-python-client",
        "google_auth_httplib2": "google-auth-httplib2",
        "google.cloud.storage": "google-cloud-storage",
    }
    missing = [name for module, name in libraries.items() if not _is_there(module)]
    if missing:
        return [f"{', '.join(missing)} (pip install 'hydra-launchkit[gcp]')"]
    return [] if _has_google() else ["credentials (gcloud auth application-default login)"]


def project() -> str | None:
    """Return the project of Google Cloud that this machine's settings name; None if none do."""
    import google.auth  # noqa: PLC0415 - of an extra
    import google.auth.exceptions  # noqa: PLC0415

    try:
        found = google.auth.default()[1]
    except google.auth.exceptions.GoogleAuthError:
        return os.environ.get("GOOGLE_CLOUD_PROJECT")
    return str(found) if found else None


def _has_aws() -> bool:
    import botocore.exceptions  # noqa: PLC0415 - of an extra
    import botocore.session  # noqa: PLC0415

    if any(os.environ.get(name) for name in ASKED_FOR):
        return True
    session = botocore.session.Session()
    try:
        sources = session.get_component("credential_provider")
        for name in NETWORKED:
            sources.remove(name)
        found = session.get_credentials() is not None
        found = found or "credential_process" in session.get_scoped_config()
    except botocore.exceptions.BotoCoreError:
        # They are there, and something is wrong with them: the mode says what.
        return True
    return found or _is_made_by("Amazon")


def _has_google() -> bool:
    if os.environ.get("GOOGLE_APPLICATION_CREDENTIALS"):
        return True
    folder = os.environ.get("CLOUDSDK_CONFIG") or Path.home() / ".config" / "gcloud"
    return Path(folder, "application_default_credentials.json").is_file() or _is_made_by("Google")


def _is_made_by(vendor: str) -> bool:
    """Tell whether this machine is itself one of a cloud's, and may have a role there."""
    try:
        return VENDOR.read_text(encoding="utf-8").startswith(vendor)
    except OSError:
        return False


def _is_there(module: str) -> bool:
    try:
        return util.find_spec(module) is not None
    except ModuleNotFoundError:  # of the package around it
        return False
