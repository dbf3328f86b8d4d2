"""Trees that look like doodad, and like others of that name; and a user who has them."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from launchkit.doodad import engine
from launchkit.doodad.kinds import NEEDED

LAUNCHER_MODE = """
class LaunchMode(object):
    def run_script(self, script):
        pass

class LocalMode(LaunchMode):
    shell_interpreter = "sh"

class SlurmScriptMode(LaunchMode):
    pass
"""
FORK_MODE = f"{LAUNCHER_MODE}\nclass AzureMode(LaunchMode):\n    pass\n"
OLD_MODE = "class LaunchMode(object):\n    def launch_command(self, cmd):\n        pass\n"
OLD_TOOLS = "def launch_python(target, mode):\n    pass\n"
MOVED_TOOLS = 'raise NotImplementedError("launch_python has moved")\n'


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def launcher(folder: Path, mode: str = LAUNCHER_MODE, *, without: str | None = None) -> Path:
    """Make a package that looks like the launcher's."""
    files = {name: "" for name in NEEDED if name != without}
    files["darchive/__init__.py"] = ""
    files["launch_tools.py"] = MOVED_TOOLS
    return write(folder, {**files, **({"mode.py": mode} if without != "mode.py" else {})})


def old(folder: Path) -> Path:
    """Make a package that looks like the launcher's before it had archives."""
    init = "from .launch_tools import *\n"
    return write(folder, {"__init__.py": init, "launch_tools.py": OLD_TOOLS})


def namesake(folder: Path) -> Path:
    """Make a package that looks like the one that pip gets."""
    init = "from .names import doodad\n__version__ = '0.1'\n"
    return write(folder, {"__init__.py": init, "names.py": "def doodad(): return 'a name'\n"})


def git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=me", "-c", "user.email=me@example.org", "-c", "commit.gpgsign=false")
    command = ["git", *who, "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@dataclass
class Machine:
    """A user with a data directory of their own, and nothing that Python could import."""

    base: Path
    monkeypatch: pytest.MonkeyPatch

    def __post_init__(self) -> None:
        for name in [name for name in sys.modules if name.partition(".")[0] == "doodad"]:
            self.monkeypatch.delitem(sys.modules, name)
        self.monkeypatch.delenv(engine.VARIABLE, raising=False)
        self.monkeypatch.setenv("XDG_DATA_HOME", str(self.data))
        self.monkeypatch.setattr(
            sys, "path", [entry for entry in sys.path if not Path(entry or ".", "doodad").exists()]
        )

    @property
    def data(self) -> Path:
        return self.base / "data"

    @property
    def installed(self) -> Path:
        return self.data / "launchkit" / "doodad"

    @property
    def site(self) -> Path:
        """A directory that is on `sys.path` once it has been asked for."""
        site = self.base / "site"
        if str(site) not in sys.path:
            site.mkdir()
            self.monkeypatch.syspath_prepend(str(site))
        return site

    def names(self, value: Path | str) -> None:
        self.monkeypatch.setenv(engine.VARIABLE, str(value))
