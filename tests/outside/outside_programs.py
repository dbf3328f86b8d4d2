"""Directories of code, repositories, and programs that are asked what would go along of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]

REPORT = """
def report():
    import json
    from launchkit.outside import code_dirs, imports
    code, notes = code_dirs.find(None, [], [])
    print(json.dumps({
        "code": {str(known.source): sorted(known.files) for known in code},
        "partial": [str(known.source) for known in code if known.partial],
        "notes": notes,
        "packages": imports.packages([known.source for known in code]),
    }))
"""


def write(top: Path, *names: str, **texts: str) -> Path:
    """Make files: empty ones by their paths, modules by their names and texts."""
    top.mkdir(parents=True, exist_ok=True)
    for name in names:
        path = Path(os.path.join(top, name))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for name, text in texts.items():
        (top / f"{name}.py").write_text(text)
    return top


def git(directory: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", "-c", "protocol.file.allow=always", "-C", directory, *arguments],
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def repository(top: Path, *names: str, **texts: str) -> Path:
    """Make a repository with a commit."""
    write(top, *names, **texts)
    git(top, "init", "--quiet")
    git(top, "add", "--all")
    git(top, "commit", "--quiet", "--allow-empty", "--message", "a commit")
    return top


def ask(
    *arguments: Path | str, cwd: Path, path: tuple[Path, ...] = (), home: Path | None = None
) -> Any:
    """Run Python and a program that prints JSON, as `report()` does; return what it says."""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (*path, ROOT)))}
    if home is not None:
        environ["HOME"] = str(home)
    done = subprocess.run(
        [sys.executable, *map(str, arguments)], cwd=cwd, env=environ, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
