from __future__ import annotations

import argparse
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from launchkit.commands import reproduce as command

collect_ignore_glob = [] if shutil.which("git") else ["test_*.py"]


@pytest.fixture(autouse=True)
def _own_git_config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = tmp_path / "gitconfig"
    config.write_text("[user]\n name = A\n email = a@example.org\n[init]\n defaultBranch = trunk\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))


@pytest.fixture
def reproduce() -> Callable[..., int]:
    """Return the command `launchkit reproduce`, which returns its exit code."""
    parser = argparse.ArgumentParser()
    command.register(parser.add_subparsers())

    def run(*arguments: object) -> int:
        options = parser.parse_args(["reproduce", *map(str, arguments)])
        code: int = options.run(options)
        return code

    return run
