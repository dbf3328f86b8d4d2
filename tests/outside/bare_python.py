"""Pythons that have nothing installed, and unpacked archives for them."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from launchkit.outside import bootstrap, needs
from launchkit.outside.needs import Need

BARE = ("-s", "-B")
"""Options of a Python that looks for no packages of the user's, and writes no caches."""


def make_python(directory: Path) -> Path:
    """Make an environment without any package, and return its Python."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", directory], check=True)
    return directory / "bin" / "python"


def bare_environ(**more: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": "/nonexistent", **more}


def copy_needs(found: Iterable[Need], target: Path) -> None:
    """Copy the files of needs to where they would be if `target` were the unpacked archive."""
    for name, content in needs.files(found).items():
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            path.write_text(content, encoding="utf-8")
        else:
            shutil.copyfile(content, path)


def unpacked(directory: Path, *, own: bool = True, **facts: Any) -> Path:
    """Make what an unpacked archive looks like, of a launcher with these facts."""
    directory.mkdir(parents=True)
    shutil.copyfile(bootstrap.__file__, directory / "bootstrap.py")
    found = needs.needs() if own else ()
    copy_needs(found, directory)
    settings = {
        "python": platform.python_version(),
        "packages": {},
        "paths": {},
        "sys_path": [],
        "image": None,
        "needs": [[need.dist, need.version] for need in found],
        **facts,
    }
    (directory / "outside.json").write_text(json.dumps(settings))
    return directory


def run_bootstrap(
    python: str | Path, here: Path, *arguments: str | Path, **environ: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [python, *BARE, here / "bootstrap.py", *arguments],
        cwd=here.parent,
        env=bare_environ(**environ),
        capture_output=True,
        text=True,
    )
