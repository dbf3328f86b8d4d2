"""What this machine lacks to ask a cloud, found out at once and without the network."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest

from launchkit.cloud import logins
from launchkit.modes import registry

AWS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_EC2_METADATA_DISABLED")


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let there be no credentials, no cloud's machine, and no network."""
    for name in (*AWS, *logins.ASKED_FOR, "GOOGLE_APPLICATION_CREDENTIALS", "CLOUDSDK_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(logins, "VENDOR", tmp_path / "vendor")
    monkeypatch.setattr(socket.socket, "connect", _refuse)


def _refuse(*_: object) -> NoReturn:
    raise AssertionError("the network is asked")


def keys(tmp_path: Path) -> None:
    text = "[default]\naws_access_key_id = a\naws_secret_access_key = b\n"
    (tmp_path / "AWS_SHARED_CREDENTIALS_FILE").write_text(text)


def process(tmp_path: Path) -> None:
    text = "[default]\ncredential_process = /bin/false\n"
    (tmp_path / "AWS_CONFIG_FILE").write_text(text)


def damaged(tmp_path: Path) -> None:
    (tmp_path / "AWS_CONFIG_FILE").write_text("[default\n")


def amazons_own(tmp_path: Path) -> None:
    (tmp_path / "vendor").write_text("Amazon EC2\n")


def test_no_credentials_of_aws() -> None:
    assert logins.ec2_lacking() == ["credentials of AWS (aws configure, or AWS_ACCESS_KEY_ID)"]
    assert logins.ec2_lacking()[0] in registry.find("ec2").lacking()


@pytest.mark.parametrize("have", [keys, process, damaged, amazons_own])
def test_credentials_of_aws(have: Callable[[Path], None], tmp_path: Path) -> None:
    have(tmp_path)
    assert logins.ec2_lacking() == []


def test_credentials_of_aws_in_a_container(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(logins.ASKED_FOR[0], "/role")
    assert logins.ec2_lacking() == []


def test_no_credentials_of_google(tmp_path: Path) -> None:
    assert logins.gcp_lacking() == ["credentials (gcloud auth application-default login)"]
    assert logins.gcp_lacking()[0] in registry.find("gcp").lacking()
    amazons_own(tmp_path)
    assert logins.gcp_lacking() != []


def test_credentials_of_google(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / ".config" / "gcloud"
    folder.mkdir(parents=True)
    (folder / "application_default_credentials.json").write_text("{}")
    assert logins.gcp_lacking() == []
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    assert logins.gcp_lacking() != []
    (tmp_path / "vendor").write_text("Google\n")
    assert logins.gcp_lacking() == []


BARE = """
import sys

LIBRARIES = ("boto3", "botocore", "googleapiclient", "google_auth_httplib2")

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in LIBRARIES:
            raise ModuleNotFoundError(f"no {name}", name=name)

sys.meta_path.insert(0, Blocker())
from launchkit import doctor
print(doctor.modes_table())
"""


def test_the_libraries_are_not_needed_to_say_that_they_are_lacking() -> None:
    done = subprocess.run(
        [sys.executable, "-c", BARE], check=True, capture_output=True, text=True, timeout=60
    )
    rows: dict[str, Any] = {line.split()[0]: line for line in done.stdout.splitlines()}
    assert "boto3 (pip install 'hydra-launchkit[ec2]')" in rows["ec2"]
    assert "google-api-python-client" in rows["gcp"]
