"""Imports run downward only, from floor to floor of the table in CONTRIBUTING.md."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from launchkit.modes.registry import MODES

ROOT = Path(__file__).parents[2]
PACKAGES = ("launchkit", "hydra_plugins")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def floors() -> dict[str, int]:
    """Return the floor of each room: a module, or a package with a slash at its end."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| `(.+?)` \|", text, re.MULTILINE)
    return {room: int(floor) for floor, room in rows}


FLOORS = floors()


def room_of(path: Path) -> str:
    name = path.relative_to(ROOT).as_posix()
    packages = [room for room in FLOORS if room.endswith("/") and name.startswith(room)]
    return packages[0] if packages else name


def imported(path: Path, source: str | None = None) -> Iterator[Path]:
    """Yield the modules of ours that a module imports, wherever in it."""
    for node in ast.walk(ast.parse(source or path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            # A name may be that of a module itself: `from launchkit import files`.
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            assert not node.level, f"{path} has a relative import"
        else:
            continue
        for name in names:
            if name.partition(".")[0] in PACKAGES:
                yield module(name)


def module(name: str) -> Path:
    """Return the file of a module, or of the module that a name is in."""
    path = ROOT.joinpath(*name.split("."))
    if path.with_suffix(".py").exists():
        return path.with_suffix(".py")
    if (path / "__init__.py").exists():
        return path / "__init__.py"
    return module(name.rpartition(".")[0])


def climbs(path: Path, source: str | None = None) -> list[str]:
    """Return the rooms that a module imports although they are not on a lower floor."""
    own = room_of(path)
    others = {room_of(target) for target in imported(path, source)} - {own}
    return sorted(room for room in others if FLOORS[room] >= FLOORS[own])


def test_every_module_has_one_room_and_every_room_is_there() -> None:
    assert {room_of(path) for path in MODULES} == set(FLOORS)
    assert all((ROOT / room).exists() for room in FLOORS)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_imports_run_downward(path: Path) -> None:
    assert climbs(path) == []


def test_an_import_that_climbs_is_seen() -> None:
    source = "def f():\n    from launchkit import files, runner\n    import launchkit.cli\n"
    rooms = climbs(ROOT / "launchkit" / "job.py", source)
    assert rooms == ["launchkit/cli.py", "launchkit/runner.py"]


def test_the_logger_stands_on_two_rooms() -> None:
    rooms = {
        room_of(target)
        for path in (ROOT / "launchkit" / "logging").rglob("*.py")
        for target in imported(path)
    }
    assert rooms == {"launchkit/logging/", "launchkit/files.py", "launchkit/stopping.py"}


def test_modes_do_not_import_each_other() -> None:
    modes = {ROOT / f"{place.partition(':')[0].replace('.', '/')}.py" for place in MODES.values()}
    for path in modes:
        assert modes.intersection(imported(path)) <= {path}


def test_only_the_modes_import_doodads_room_and_only_that_imports_doodad() -> None:
    room = "launchkit/doodad/"
    users = {room_of(path) for path in MODULES if room in {room_of(to) for to in imported(path)}}
    assert users <= {room, "launchkit/outside/", "launchkit/modes/", "launchkit/commands/"} | {
        "launchkit/doctor.py"
    }
    importers = {
        path
        for path in MODULES
        if re.search(r"^\s*(import|from) doodad\b", path.read_text(encoding="utf-8"), re.M)
    }
    assert {room_of(path) for path in importers} <= {room}


def test_only_results_imports_pandas() -> None:
    users = {
        room_of(path)
        for path in MODULES
        if re.search(r"^\s*(import|from) (pandas|numpy)\b", path.read_text(encoding="utf-8"), re.M)
    }
    assert users == {"launchkit/results/"}
