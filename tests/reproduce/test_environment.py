"""The record of what a program ran in, and the packages as pip installs them."""

from __future__ import annotations

import json
import re
import sys
from importlib import metadata
from pathlib import Path

import pytest

from launchkit.code.environment import Environment, Source
from launchkit.code.requirements import requirements


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_packages_are_those_that_their_metadata_names() -> None:
    expected: dict[str, str] = {}
    for distribution in metadata.distributions():
        expected.setdefault(normal(distribution.metadata["Name"]), distribution.version)
    assert len(expected) > 10
    assert Environment.here().packages == expected


def test_python_and_platform_are_named() -> None:
    here = Environment.here()
    assert sys.version.startswith(here.python)
    assert here.platform.startswith("Linux ")
    assert here.implementation == sys.implementation.name


def install(site: Path, name: str, direct_url: object = None, pkg_info: str | None = None) -> None:
    (site / name).mkdir(parents=True)
    if direct_url is not None:
        (site / name / "direct_url.json").write_text(json.dumps(direct_url))
    if pkg_info is not None:
        (site / name / "PKG-INFO").write_text(pkg_info)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    site = tmp_path / "site-packages"
    later = tmp_path / "later"
    install(site, "Plain_Name.x-1.0+cu118.dist-info")
    install(site, "old-2.0-py3.11.egg-info")
    install(site, "developed.egg-info", pkg_info="Metadata-Version: 2.1\nVersion: 3.0\n")
    install(site, "nameless.egg-info")
    install(site, "~lain-0.9.dist-info")
    install(site, "twice-2.dist-info")
    install(later, "twice-1.dist-info")
    monkeypatch.setattr(sys, "path", [str(site), str(tmp_path / "missing"), str(later)])
    return site


def test_every_kind_of_installation_is_read(site: Path) -> None:
    assert Environment.here().packages == {
        "plain-name-x": "1.0+cu118",
        "old": "2.0",
        "developed": "3.0",
        "twice": "2",
    }


def test_the_lock_has_what_pip_needs_and_paths_of_the_checkout(site: Path, tmp_path: Path) -> None:
    top, checkout = tmp_path / "my code", tmp_path / "again"
    vcs = {"vcs": "git", "commit_id": "abc", "requested_revision": "main"}
    git = {"url": "https://me:token@example.org/a.git", "vcs_info": vcs, "subdirectory": "py"}
    install(site, "fromgit-1.dist-info", git)
    install(site, "mine-1.dist-info", {"url": top.as_uri(), "dir_info": {"editable": True}})
    install(site, "part-1.dist-info", {"url": (top / "part").as_uri(), "dir_info": {}})
    install(site, "else-1.dist-info", {"url": "file:///else/where", "dir_info": {"editable": True}})
    install(site, "wheel-1.dist-info", {"url": "https://example.org/w.whl", "archive_info": {}})
    install(site, "damaged-1.dist-info", [])
    here = Environment.here()
    assert Environment.from_json(json.loads(json.dumps(here.to_json()))) == here
    assert here.sources["mine"] == Source(top.as_uri(), editable=True)
    text = requirements(here, top, checkout)
    assert text.splitlines()[1:] == [
        "damaged==1",
        "developed==3.0",
        "-e file:///else/where  # else 1",
        "fromgit @ git+https://example.org/a.git@abc#subdirectory=py",
        f"-e {checkout.as_uri()}  # mine 1",
        "old==2.0",
        f"part @ {(checkout / 'part').as_uri()}",
        "plain-name-x==1.0+cu118",
        "twice==2",
        "wheel @ https://example.org/w.whl",
    ]
    assert "token" not in json.dumps(here.to_json())
