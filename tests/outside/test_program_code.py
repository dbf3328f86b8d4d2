"""Which code goes along when none is named: that of the program."""

from __future__ import annotations

from pathlib import Path

import pytest
from outside_programs import REPORT, ask, repository, write

PROGRAM = f"{REPORT}\nif __name__ == '__main__':\n    report()\n"


def test_the_repository_of_the_program_goes_along(tmp_path: Path) -> None:
    top = repository(tmp_path / "code", "data/table.csv", "conf/config.yaml", lib="")
    write(top / "scripts", train=f"import lib\n{PROGRAM}")
    found = ask("scripts/train.py", cwd=top, path=(top,))
    assert found["code"] == {
        str(top): ["conf/config.yaml", "data/table.csv", "lib.py", "scripts/train.py"]
    }
    assert (found["partial"], found["notes"]) == ([], [])


def test_without_a_repository_its_directory_does(tmp_path: Path) -> None:
    top = write(tmp_path / "code", "conf/config.yaml", helper="", train=f"import helper\n{PROGRAM}")
    write(tmp_path, other="")
    found = ask(top / "train.py", cwd=tmp_path)
    assert found["code"] == {str(top): ["conf/config.yaml", "helper.py", "train.py"]}


def test_of_a_program_that_is_a_module_the_directory_that_it_is_imported_from(
    tmp_path: Path,
) -> None:
    top = write(tmp_path / "code", "mine/__init__.py", "mine/deep/__init__.py")
    write(top / "mine", util="")
    write(top / "mine" / "deep", train=f"from mine import util\n{PROGRAM}")
    found = ask("-m", "mine.deep.train", cwd=top)
    assert list(found["code"]) == [str(top)]
    assert "mine/util.py" in found["code"][str(top)]


def test_what_was_imported_goes_along_though_git_ignores_it(tmp_path: Path) -> None:
    top = write(tmp_path / "code", "mine/__init__.py", train=f"import mine.version\n{PROGRAM}")
    write(top / "mine", version="version = 1", unused="")
    (top / ".gitignore").write_text("version.py\nunused.py\n")
    repository(top)
    found = ask("train.py", cwd=top)
    assert found["code"] == {
        str(top): [".gitignore", "mine/__init__.py", "mine/version.py", "train.py"]
    }


@pytest.mark.parametrize("is_repository", [False, True])
def test_a_home_directory_never_goes_along_whole(tmp_path: Path, is_repository: bool) -> None:
    home = write(tmp_path / "home", "secret.txt", "mail/inbox", "lib/__init__.py", unused="")
    write(home / "lib", a="", b="")
    write(home, helper="import lib.a", train=f"import helper\n{PROGRAM}")
    if is_repository:
        repository(home)
    found = ask("train.py", cwd=home, home=home)
    # A package is taken whole: what else of it a job imports is not known.
    assert found["code"] == {
        str(home): ["helper.py", "lib/__init__.py", "lib/a.py", "lib/b.py", "train.py"]
    }
    assert found["partial"] == [str(home)]


def test_in_a_home_that_is_a_repository_the_programs_directory_goes_along(tmp_path: Path) -> None:
    home = repository(tmp_path / "home", "secret.txt")
    (home / ".gitignore").write_text("*\n")
    write(home / "code", helper="", train=f"import helper\n{PROGRAM}")
    found = ask("train.py", cwd=home / "code", home=home)
    assert found["code"] == {str(home / "code"): ["helper.py", "train.py"]}
    assert found["partial"] == []


def test_other_directories_that_were_imported_from_go_along(tmp_path: Path) -> None:
    top = repository(tmp_path / "code", train=f"import one, two.a\n{PROGRAM}")
    flat = repository(tmp_path / "flat", "README", one="import three")
    src = repository(tmp_path / "src-layout", "src/two/__init__.py", "pyproject.toml")
    write(src / "src" / "two", a="")
    plain = write(tmp_path / "plain", "beside.txt", three="")
    unused = write(tmp_path / "unused", four="")
    found = ask("train.py", cwd=top, path=(flat, src / "src", plain, unused))
    assert found["code"] == {
        str(top): ["train.py"],
        str(flat): ["README", "one.py"],
        str(src): ["pyproject.toml", "src/two/__init__.py", "src/two/a.py"],
        str(plain): ["beside.txt", "three.py"],
    }


def test_a_directory_around_the_programs_gives_only_what_was_imported(tmp_path: Path) -> None:
    around = write(tmp_path / "libs", "large.bin", tools="", unused="")
    top = repository(around / "code", train=f"import tools\n{PROGRAM}")
    found = ask("train.py", cwd=top, path=(around,))
    assert found["code"] == {str(top): ["train.py"], str(around): ["tools.py"]}
    assert found["partial"] == [str(around)]


FINDER = """
import sys
from importlib.machinery import PathFinder

class Finder:
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return PathFinder.find_spec(name, [{top!r}]) if name == "edited" else None

sys.meta_path.append(Finder)
"""


def test_editable_installs_go_along(tmp_path: Path) -> None:
    """Both kinds: a line in a ``.pth`` file, and a finder that is imported by one."""
    by_path = repository(tmp_path / "by-path", linked="")
    by_finder = repository(tmp_path / "by-finder", "edited/__init__.py")
    installed = write(tmp_path / "lib" / "site-packages", package="__version__ = '1.5'")
    (installed / "linked.pth").write_text(f"{by_path}\n")
    (installed / "__editable__.pth").write_text("import __editable___finder\n")
    write(installed, __editable___finder=FINDER.format(top=str(by_finder)))
    program = f"import site\nsite.addsitedir({str(installed)!r})\nimport edited, linked, package\n"
    top = repository(tmp_path / "code", train=f"{program}{PROGRAM}")
    found = ask("train.py", cwd=top)
    assert found["code"] == {
        str(top): ["train.py"],
        str(by_finder): ["edited/__init__.py"],
        str(by_path): ["linked.py"],
    }
    assert found["packages"] == {"package": "1.5"}


def test_what_only_the_launcher_has_loaded_is_no_code(tmp_path: Path) -> None:
    """A debugger, say, or what a plugin of a shell brings."""
    debugger = write(tmp_path / "debugger", tracing="")
    program = f"import sys\nsys.path.append({str(debugger)!r})\n__import__('tracing')\n{PROGRAM}"
    top = repository(tmp_path / "code", train=program)
    assert list(ask("train.py", cwd=top)["code"]) == [str(top)]


def test_launchkits_own_checkout_is_no_code(tmp_path: Path) -> None:
    top = repository(tmp_path / "code", train=f"from launchkit import logger\n{PROGRAM}")
    found = ask("train.py", cwd=top)
    assert (list(found["code"]), found["packages"]) == ([str(top)], {})


def test_of_an_installed_program_what_it_imports_goes_along(tmp_path: Path) -> None:
    installed = write(tmp_path / "lib" / "site-packages", tool=f"import plugin\n{PROGRAM}")
    top = repository(tmp_path / "code", "data.txt", plugin="")
    found = ask(installed / "tool.py", cwd=write(tmp_path / "here", "mine"), path=(top,))
    assert found["code"] == {str(top): ["data.txt", "plugin.py"]}


def test_typed_code_goes_by_the_current_directory(tmp_path: Path) -> None:
    top = repository(tmp_path / "code", "data.txt", helper="")
    found = ask("-c", f"import helper\n{REPORT}\nreport()", cwd=top)
    assert found["code"] == {str(top): ["data.txt", "helper.py"]}


def test_no_git_is_no_trouble(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    top = repository(tmp_path / "code", "a.log", train=PROGRAM)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = ask("train.py", cwd=top)
    assert found["code"] == {str(top): ["a.log", "train.py"]}
    (note,) = found["notes"]
    assert "git cannot be started" in note
