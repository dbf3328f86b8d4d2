"""What is in the distributions, and what they say of themselves."""

from __future__ import annotations

import tarfile
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import PurePosixPath

import pytest
from installations import ROOT, Distributions

from launchkit import __version__

pytestmark = pytest.mark.packaging

PACKAGES = ("launchkit", "hydra_plugins/launchkit_launcher")


@pytest.fixture
def names(distributions: Distributions) -> list[str]:
    with zipfile.ZipFile(distributions.wheel) as wheel:
        return wheel.namelist()


@pytest.fixture
def metadata(distributions: Distributions) -> Message:
    with zipfile.ZipFile(distributions.wheel) as wheel:
        (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
        return Parser().parsestr(wheel.read(name).decode())


def test_the_wheel_has_every_module_and_nothing_else(names: list[str]) -> None:
    shipped = {name for name in names if ".dist-info/" not in name}
    expected = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
    }
    scripts = {
        f"launchkit/cloud/startup/{name}.sh" for name in ("ec2", "gcp", "gcp_stop", "machine")
    }
    assert shipped == expected | scripts | {"launchkit/py.typed"}


def test_the_plugins_namespace_stays_open_to_other_plugins(names: list[str]) -> None:
    assert "hydra_plugins/__init__.py" not in names


def test_the_wheel_says_what_it_is(metadata: Message) -> None:
    assert metadata["Name"] == "hydra-launchkit"
    assert metadata["Version"] == __version__
    assert metadata["Requires-Python"] == ">=3.10"
    assert "MIT" in (metadata["License"], metadata["License-Expression"])


def test_extras_and_requirements_are_declared(metadata: Message) -> None:
    extras = set(metadata.get_all("Provides-Extra", []))
    assert {"test", "dev", "examples", "bench", "ec2", "gcp"} <= extras
    plain = [line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line]
    required = {line.split(">")[0].strip() for line in plain}
    assert required == {"hydra-core", "omegaconf", "cloudpickle", "pandas", "six"}


def test_the_command_is_declared(distributions: Distributions) -> None:
    with zipfile.ZipFile(distributions.wheel) as wheel:
        (name,) = (name for name in wheel.namelist() if name.endswith("/entry_points.txt"))
        assert "launchkit = launchkit.cli:main" in wheel.read(name).decode()


def test_the_licence_travels(distributions: Distributions, names: list[str]) -> None:
    assert [name for name in names if PurePosixPath(name).name == "LICENSE"]
    with tarfile.open(distributions.sdist) as sdist:
        assert [name for name in sdist.getnames() if PurePosixPath(name).name == "LICENSE"]
