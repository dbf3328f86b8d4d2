"""Which doodad is used, how it is told from others of that name, and how it is loaded."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path

import pytest
from doodad_trees import FORK_MODE, OLD_MODE, Machine, git, launcher, namesake, old, write

from launchkit.doodad import engine
from launchkit.doodad.kinds import NEEDED, Kind, kind_of


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (launcher, Kind.LAUNCHER),
        (lambda folder: launcher(folder, FORK_MODE), Kind.FORK),
        (lambda folder: write(folder, {"mode.py": OLD_MODE}), Kind.OLD),
        (old, Kind.OLD),
        (namesake, Kind.NAMESAKE),
        (lambda folder: folder, Kind.NAMESAKE),
    ],
)
def test_kinds_are_told_apart(tmp_path: Path, make: Callable[[Path], Path], kind: Kind) -> None:
    assert kind_of(make(tmp_path / "doodad")) is kind


@pytest.mark.parametrize("name", NEEDED)
def test_a_launcher_without_a_file_is_no_launcher(tmp_path: Path, name: str) -> None:
    assert kind_of(launcher(tmp_path / "doodad", without=name)) is Kind.INCOMPLETE


def test_the_one_that_is_named_comes_first_then_the_installed_then_the_imported(
    machine: Machine,
) -> None:
    assert engine.find() is None
    launcher(machine.site / "doodad")
    assert engine.find() == machine.site
    launcher(machine.installed / "doodad")
    assert engine.find() == machine.installed
    named = launcher(machine.base / "named" / "doodad").parent
    machine.names(named)
    assert engine.find() == named


def test_a_named_one_may_be_relative_or_below_home(machine: Machine) -> None:
    launcher(machine.base / "named" / "doodad")
    machine.monkeypatch.setenv("HOME", str(machine.base))
    machine.names("~/named")
    assert engine.find() == machine.base / "named"
    machine.monkeypatch.chdir(machine.base)
    machine.names("named")
    assert engine.find() == machine.base / "named"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda folder: None, "there is no such directory"),
        (lambda folder: folder.mkdir(), "has no folder `doodad`"),
        (lambda folder: launcher(folder / "doodad", FORK_MODE), "the fork with Azure"),
        (lambda folder: namesake(folder / "doodad"), "another project"),
        (lambda folder: launcher(folder / "doodad", without="mount.py"), "files missing"),
    ],
)
def test_a_named_one_that_is_something_else_is_an_error(
    machine: Machine, make: Callable[[Path], object], said: str
) -> None:
    launcher(machine.installed / "doodad")
    named = machine.base / "named"
    make(named)
    machine.names(named)
    with pytest.raises(engine.DoodadMissing, match=said) as refusal:
        engine.check()
    assert f"LAUNCHKIT_DOODAD is '{named}'" in str(refusal.value)
    assert engine.lacking() == [engine.describe()] == [str(refusal.value)]


def test_where_there_is_none_the_message_has_the_one_command(machine: Machine) -> None:
    with pytest.raises(ValueError, match="`launchkit doodad install`") as refusal:
        engine.check()
    assert "\n" not in str(refusal.value)
    assert engine.lacking() == ["doodad (launchkit doodad install)"]
    assert engine.describe() == "not found: launchkit doodad install"


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (namesake, Kind.NAMESAKE),
        (old, Kind.OLD),
        (lambda folder: launcher(folder, FORK_MODE), Kind.FORK),
    ],
)
def test_another_of_that_name_is_not_used_and_is_mentioned(
    machine: Machine, make: Callable[[Path], Path], kind: Kind
) -> None:
    make(machine.site / "doodad")
    assert engine.find() is None
    with pytest.raises(engine.DoodadMissing) as refusal:
        engine.check()
    asked, there = str(refusal.value).splitlines()
    assert "`launchkit doodad install`" in asked
    assert there == f"(the doodad in {machine.site} is {kind.value})"
    assert kind.value in engine.describe()
    assert "doodad" not in sys.modules


def test_a_namesake_that_is_a_single_file_is_one_too(machine: Machine) -> None:
    write(machine.site, {"doodad.py": "x = 1\n"})
    assert engine.find() is None
    assert Kind.NAMESAKE.value in engine.describe()


def test_a_module_made_by_hand_is_no_obstacle(machine: Machine) -> None:
    machine.monkeypatch.setitem(sys.modules, "doodad", type(sys)("doodad"))
    assert engine.find() is None


def test_an_installed_one_that_is_damaged_is_said_to_be(machine: Machine) -> None:
    launcher(machine.installed / "doodad", without="darchive/makeself.sh")
    assert engine.find() is None
    assert f"what is in {machine.installed} is damaged" in engine.describe()


def test_a_package_that_doodad_imports_is_not_missed_silently(machine: Machine) -> None:
    machine.names(launcher(machine.base / "named" / "doodad").parent)
    machine.monkeypatch.setitem(sys.modules, "six", None)
    with pytest.raises(engine.DoodadMissing, match="pip install six"):
        engine.check()
    assert engine.lacking() == ["six (pip install six)"]
    assert "pip install six" in engine.describe()


@pytest.mark.parametrize("data", ["", "relative/data"])
def test_without_a_data_directory_of_their_own_it_is_below_home(
    machine: Machine, data: str
) -> None:
    machine.monkeypatch.setenv("XDG_DATA_HOME", data)
    machine.monkeypatch.setenv("HOME", "/home/me")
    assert engine.installed() == Path("/home/me/.local/share/launchkit/doodad")
    machine.monkeypatch.delenv("HOME")
    assert engine.installed() is not None


def test_a_user_without_a_home_lacks_doodad_and_no_more(machine: Machine) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    machine.monkeypatch.delenv("XDG_DATA_HOME")
    machine.monkeypatch.setattr(Path, "home", homeless)
    assert engine.installed() is None
    assert engine.lacking() == ["doodad (launchkit doodad install)"]


def test_a_copy_without_git_has_no_commit(machine: Machine) -> None:
    git(machine.base, "init", "--quiet")
    machine.names(launcher(machine.base / "named" / "doodad").parent)
    expected = f"{machine.base}/named, named by LAUNCHKIT_DOODAD, not a git checkout"
    assert engine.describe() == expected


@pytest.mark.doodad
def test_it_is_told_whether_it_is_the_pinned_one(machine: Machine, pinned_clone: Path) -> None:
    machine.names(pinned_clone)
    assert engine.describe().endswith(f"commit {engine.PINNED[:7]}, the pinned one")
    with (pinned_clone / "doodad" / "mount.py").open("a") as stream:
        stream.write("# mine\n")
    assert engine.describe().endswith("the pinned one, with changes")
    git(pinned_clone, "checkout", "--quiet", "--force", "HEAD~1")
    assert engine.describe().endswith(f", not the pinned {engine.PINNED[:7]}")


@pytest.fixture
def pinned_clone(checkout: Path, tmp_path: Path) -> Path:
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", str(checkout), str(clone))
    git(clone, "checkout", "--quiet", "--detach", engine.PINNED)
    return clone


@pytest.mark.doodad
def test_what_is_loaded_is_from_the_checkout(checkout: Path) -> None:
    doodad = engine.load()
    assert doodad.root == checkout
    for module in (doodad.mode, doodad.mount, doodad.archive_builder):
        assert Path(str(module.__file__)).is_relative_to(checkout)
    assert engine.load() is doodad


@pytest.mark.doodad
def test_loading_leaves_no_trace_and_no_warning(checkout: Path, tmp_path: Path) -> None:
    program = (
        "import sys\nbefore = list(sys.path)\n"
        "from launchkit.doodad import engine\n"
        "engine.load().mode.LocalMode\n"
        "assert sys.path == before\n"
        "assert not [name for name in sys.modules if name.split('.')[0] == 'doodad']\n"
    )
    # As if it had never been compiled: Python warns of code when it compiles it.
    clone = tmp_path / "clone"
    shutil.copytree(checkout, clone, ignore=shutil.ignore_patterns("__pycache__"))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-B", "-c", program],
        env={**os.environ, engine.VARIABLE: str(clone)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.doodad
def test_a_namesake_that_is_in_use_stays_so(machine: Machine, checkout_copy: Path) -> None:
    namesake(machine.site / "doodad")
    theirs = importlib.import_module("doodad")
    names = importlib.import_module("doodad.names")
    machine.names(checkout_copy)
    assert engine.load().mode.LocalMode is not None
    assert sys.modules["doodad"] is theirs
    assert sys.modules["doodad.names"] is names
    assert [name for name in sys.modules if name.startswith("doodad.")] == ["doodad.names"]
    assert importlib.import_module("doodad").doodad() == "a name"


@pytest.fixture
def checkout_copy(checkout: Path, tmp_path: Path) -> Path:
    """A copy, since what has been loaded from the checkout itself is kept."""
    return Path(shutil.copytree(checkout, tmp_path / "copy"))


def test_one_that_cannot_be_imported_is_an_error_and_changes_nothing(machine: Machine) -> None:
    namesake(machine.site / "doodad")
    theirs = importlib.import_module("doodad")
    broken = launcher(machine.base / "named" / "doodad")
    with (broken / "mount.py").open("a") as stream:
        stream.write("import no_such_module\n")
    machine.names(broken.parent)
    with pytest.raises(engine.DoodadMissing, match="no_such_module") as refusal:
        engine.load()
    assert str(broken.parent) in str(refusal.value)
    assert sys.modules["doodad"] is theirs
    assert "doodad.mode" not in sys.modules


def test_a_finder_that_gives_another_module_is_noticed(machine: Machine) -> None:
    elsewhere = write(machine.base / "other", {"mode.py": ""}) / "mode.py"

    class Finder:
        @staticmethod
        def find_spec(name: str, path: object, target: object = None) -> ModuleSpec | None:
            if name != "doodad.mode":
                return None
            return ModuleSpec(name, SourceFileLoader(name, str(elsewhere)), origin=str(elsewhere))

    machine.names(launcher(machine.base / "named" / "doodad").parent)
    machine.monkeypatch.setattr(sys, "meta_path", [Finder, *sys.meta_path])
    with pytest.raises(engine.DoodadMissing, match="cannot be imported"):
        engine.load()
