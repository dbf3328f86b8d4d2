from __future__ import annotations

import sys
from pathlib import Path

import pytest
from bare_python import make_python

# What the tests of the host share with those of the engine and the modes.
sys.path += [str(Path(__file__).parents[1] / folder) for folder in ("engine", "modes")]


@pytest.fixture(autouse=True)
def _own_git_config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = tmp_path / "gitconfig"
    config.write_text("[user]\n name = A\n email = a@example.org\n[init]\n defaultBranch = trunk\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))


@pytest.fixture(scope="session")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python of this version that has no package at all."""
    return make_python(tmp_path_factory.mktemp("bare") / "an environment")
