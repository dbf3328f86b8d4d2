"""Which files of the directories that were named go along."""

from __future__ import annotations

import fnmatch
import os
import time
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from outside_programs import git, repository, write

from launchkit.outside import code_dirs, left_out
from launchkit.outside.code_dirs import CodeDir


def files_of(top: Path, *exclude: str, outputs: tuple[Path, ...] = (), **limits: Any) -> set[str]:
    (code,), notes = code_dirs.find([str(top)], exclude, outputs, **limits)
    assert notes == ()
    assert code.source == top
    return set(code.files)


def test_all_of_a_directory_goes_along_but_what_no_person_has_written(tmp_path: Path) -> None:
    top = write(
        tmp_path / "code",
        *("train.py", "conf/config.yaml", "data/table.csv", "deep/er/.hidden", "odd\nname ü*"),
        *("__pycache__/train.cpython-311.pyc", "old.pyc", "deep/.mypy_cache/x", ".pytest_cache/x"),
        *(".venv/pyvenv.cfg", ".venv/lib/a.py", "my env/pyvenv.cfg", "my env/bin/python"),
        *("web/node_modules/left/pad.js", "conda/conda-meta/history", "conda/bin/python"),
    )
    assert files_of(top) == {
        *("train.py", "conf/config.yaml", "data/table.csv", "deep/er/.hidden", "odd\nname ü*"),
    }


def test_names_that_are_not_utf8_go_along(tmp_path: Path) -> None:
    top = repository(tmp_path / "code", os.fsdecode(b"caf\xe9.txt"), "-rf", 'a "b" $(c);d', "e\\")
    assert files_of(top) == {os.fsdecode(b"caf\xe9.txt"), "-rf", 'a "b" $(c);d', "e\\"}
    assert files_of(write(tmp_path / "plain", os.fsdecode(b"\xff"))) == {os.fsdecode(b"\xff")}


def test_outputs_of_runs_are_no_code(tmp_path: Path) -> None:
    top = write(
        tmp_path / "code",
        "train.py",
        "multirun/2026-11-22/10-00-00/0/.hydra/config.yaml",
        "multirun/2026-11-22/10-00-00/.launchkit/sweep.json",
        "outputs/2026-11-22/10-00-00/.hydra/config.yaml",
        "studies/first/.launchkit/sweep.json",
        "studies/first/0/progress.csv",
        "studies/notes.txt",
        "lib/outputs/layers.py",
        "runs here/.hydra/config.yaml",
        "runs here/model.py",
        "elsewhere/params.pkl",
    )
    assert files_of(top, outputs=(top / "elsewhere",)) == {
        *("train.py", "studies/notes.txt", "lib/outputs/layers.py", "runs here/model.py"),
    }


def test_a_sweep_above_the_code_does_not_keep_it_here(tmp_path: Path) -> None:
    top = write(tmp_path / "sweep" / "code", "train.py")
    assert files_of(top, outputs=(tmp_path / "sweep",)) == {"train.py"}


def test_git_says_what_is_code(tmp_path: Path) -> None:
    inner = write(tmp_path / "inner", "inner.py", "inner.log")
    (inner / ".gitignore").write_text("*.tmp\n")
    repository(inner)
    lib = repository(tmp_path / "lib", "lib.py")
    git(lib, "submodule", "--quiet", "add", str(inner), "inner")
    git(lib, "commit", "--quiet", "--message", "inner")
    top = repository(tmp_path / "code", "train.py", "kept.log", "gone.py")
    git(top, "submodule", "--quiet", "add", str(lib), "deps/lib")
    git(top, "submodule", "--quiet", "update", "--init", "--recursive")
    (top / ".gitignore").write_text("*.log\n/data/\nbuild\n!important.log\n")
    (top / "gone.py").unlink()
    write(top, "new.py", "a.log", "important.log", "data/5TB.bin", "build/x", "deps/lib/new.py")
    write(top, "deps/lib/inner/new.tmp", "deps/lib/inner/new.log", "sub/.gitignore", "sub/b.log")
    clone = repository(top / "clones" / "other", "other.py")
    write(clone, "ignored.log")
    (clone / ".gitignore").write_text("ignored.log\n")
    assert files_of(top) == {
        *(".gitignore", ".gitmodules", "train.py", "kept.log", "new.py", "important.log"),
        *("deps/lib/.gitmodules", "deps/lib/lib.py", "deps/lib/new.py", "sub/.gitignore"),
        # The inner repositories have rules of their own.
        *("deps/lib/inner/inner.py", "deps/lib/inner/inner.log", "deps/lib/inner/new.log"),
        *("deps/lib/inner/.gitignore", "clones/other/.gitignore", "clones/other/other.py"),
    }


def test_a_directory_within_a_repository_goes_by_its_rules(tmp_path: Path) -> None:
    top = repository(tmp_path / "code", "other.py", "part/train.py")
    (top / ".gitignore").write_text("*.log\n/scratch\n")
    write(top, "part/a.log", "scratch/try.py", "scratch/a.log")
    assert files_of(top / "part") == {"train.py"}
    # Whoever names what is ignored wants it.
    assert files_of(top / "scratch") == {"try.py", "a.log"}


def test_where_git_cannot_tell_all_goes_along_and_that_is_said(tmp_path: Path) -> None:
    top = repository(tmp_path / "code", "train.py", "a.log")
    (top / ".git" / "index").write_bytes(b"damaged")
    (code,), (note,) = code_dirs.find([str(top)], [], [])
    assert set(code.files) == {"train.py", "a.log"}
    assert str(top) in note and "git cannot tell" in note and "index" in note


def test_links_go_along_as_far_as_they_lead_to_what_does(tmp_path: Path) -> None:
    outside = write(tmp_path / "outside", "shared/util.py", "big.txt")
    (outside / "big.txt").write_bytes(b"x" * 1000)
    (outside / "shared" / "loop").symlink_to(outside / "shared")
    top = write(tmp_path / "code", "train.py", "lib/a.py", ".venv/pyvenv.cfg", ".venv/x.py")
    for name, target in {
        "inside": "lib/a.py",
        "folder": "lib",
        "dangling": "no/where",
        "to left out": ".venv/x.py",
        "chain": "to left out",
        "file": "../outside/big.txt",
        "shared": str(outside / "shared"),
        "up": "..",
        "self": ".",
    }.items():
        (top / name).symlink_to(target)
    (code,), _ = code_dirs.find([str(top)], [], [])
    names = {"train.py", "lib/a.py", "inside", "folder", "file", "shared/util.py", "self"}
    assert (set(code.files), code.size) == (names, 1000)


def test_what_is_neither_file_nor_directory_stays(tmp_path: Path) -> None:
    top = write(tmp_path / "code", "train.py")
    os.mkfifo(top / "pipe")
    assert files_of(top) == {"train.py"}


MEANT = left_out.MADE | left_out.ENVIRONMENT | left_out.OF_RUNS | left_out.RUN | {".", ".."}
NAMES = st.text(
    st.characters(blacklist_characters="/\0", blacklist_categories=("Cs",)), min_size=1, max_size=6
).filter(lambda name: name not in MEANT and not name.endswith(left_out.COMPILED))
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
PATTERNS = st.one_of(
    st.sampled_from(["*.txt", "data", "a/*", "[ab]*", "*", "**/b", "./a"]),
    PATHS.filter(lambda path: path.strip("./")),
)


@settings(max_examples=60, deadline=None)
@given(st.sets(PATHS, max_size=8), st.lists(PATTERNS, max_size=3))
def test_a_pattern_is_of_a_path_or_of_any_part_of_it(
    tmp_path_factory: pytest.TempPathFactory, paths: set[str], patterns: list[str]
) -> None:
    top = tmp_path_factory.mktemp("code").resolve()
    made = set()
    for path in sorted(paths):
        if not any(other.startswith(f"{path}/") or path.startswith(f"{other}/") for other in made):
            write(top, path)
            made.add(path)

    def stays(path: str) -> bool:
        whole = PurePosixPath(path)
        above = [str(whole), *(str(up) for up in whole.parents if str(up) != ".")]
        plain = [pattern.removeprefix("./").rstrip("/") for pattern in patterns]
        return any(
            fnmatch.fnmatchcase(name, pattern)
            for pattern in plain
            for name in (*above, *whole.parts)
        )

    assert files_of(top, *patterns) == {path for path in made if not stays(path)}


@given(st.sets(PATHS, max_size=8), PATHS)
def test_a_directory_is_wanted_for_what_is_in_it(paths: set[str], other: str) -> None:
    code = CodeDir(Path("/code"), tuple(paths), 0)
    above = {str(up) for path in paths for up in PurePosixPath(path).parents}
    assert all(map(code.wants, {*paths, *above, ""}))
    assert code.wants(other) == (other in paths | above)
    assert set(code.entries) == {path.split("/")[0] for path in paths}


@pytest.mark.parametrize("pattern", ["", "/", "./", "."])
def test_a_pattern_of_nothing_is_refused(tmp_path: Path, pattern: str) -> None:
    with pytest.raises(ValueError, match="code_exclude"):
        code_dirs.find([str(tmp_path)], ["*.txt", pattern], [])


def test_relative_directories_are_below_the_current_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "code", "a.py")
    write(tmp_path / "other", "b.py")
    (tmp_path / "link").symlink_to("other")
    monkeypatch.chdir(tmp_path / "code")
    code, _ = code_dirs.find([".", "../link"], [], [])
    assert [(known.source, known.files) for known in code] == [
        (tmp_path / "code", ("a.py",)),
        (tmp_path / "other", ("b.py",)),
    ]
    monkeypatch.setenv("HOME", str(tmp_path))
    code, _ = code_dirs.find(["~/other"], [], [])
    assert code[0].source == tmp_path / "other"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["no/where"], "'no/where', and there is no .*/no/where"),
        ([""], "''"),
        (["a/file"], "'a/file', which is not a directory"),
        (["a", "./b/../a"], "'a' and './b/../a', which are the same"),
        (["a/deep", "b", "a"], "'a/deep', which is within 'a'"),
        (["b", "link/deep", "a"], "'link/deep', which is within 'a'"),
    ],
)
def test_directories_that_cannot_be_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: list[str], message: str
) -> None:
    write(tmp_path, "a/file", "a/deep/file", "b/file")
    (tmp_path / "link").symlink_to("a")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message):
        code_dirs.find(names, [], [])


def test_directories_whose_names_begin_alike_do_not_overlap(tmp_path: Path) -> None:
    write(tmp_path, "code/a.py", "code2/b.py")
    code, _ = code_dirs.find([str(tmp_path / "code"), str(tmp_path / "code2")], [], [])
    assert len(code) == 2


def sparse(path: Path, size: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        file.truncate(int(size))


def test_five_gigabytes_are_refused_at_once(tmp_path: Path) -> None:
    top = write(tmp_path / "code", "train.py")
    sparse(top / "src" / "data" / "a.bin", 5e9)
    sparse(top / "src" / "small.bin", 2e6)
    sparse(top / "logs" / "one", 30e6)
    sparse(top / "logs" / "two", 20e6)
    sparse(top / "model.pt", 40e6)
    sparse(top / "other.pt", 10e6)
    began = time.monotonic()
    with pytest.raises(ValueError) as refused:
        code_dirs.find([str(top)], [], [])
    assert time.monotonic() - began < 1
    assert str(refused.value) == (
        f"the code in {top} is 5.1 GB large, and at most 1000 MB go along (code_max_mb); the "
        "largest in it: src/data/a.bin 5.0 GB, logs/ 50.0 MB, model.pt 40.0 MB; name what is "
        "needed in hydra.launcher.code_dirs, or what is not in hydra.launcher.code_exclude"
    )
    assert files_of(top, "data", "logs", "*.pt") == {"train.py", "src/small.bin"}
    assert "model.pt" in files_of(top, "data", "logs")


def test_much_code_is_said_and_too_much_is_refused(tmp_path: Path) -> None:
    top = write(tmp_path / "code", "train.py")
    sparse(top / "weights", 3e6)
    assert files_of(top, warn_mb=3.5) == {"train.py", "weights"}
    (code,), (note,) = code_dirs.find([str(top)], [], [], warn_mb=2, max_mb=3)
    assert code.size == 3e6
    assert f"{top} is 3.0 MB large (weights 3.0 MB, train.py 0.0 MB)" in note
    assert "code_exclude" in note
    with pytest.raises(ValueError, match=r"at most 2\.5 MB"):
        code_dirs.find([str(top)], [], [], warn_mb=2, max_mb=2.5)
    # What stays here is not counted.
    assert files_of(top, "weights", max_mb=1) == {"train.py"}


def test_a_directory_that_is_too_large_is_not_measured_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("launchkit.outside.code_files.PATIENCE_S", 0.0)
    top = write(tmp_path / "code", *(f"{i}/{j}/x" for i in range(20) for j in range(5)))
    sparse(top / "weights", 3e6)
    with pytest.raises(ValueError, match=r"is more than 3\.0 MB large"):
        code_dirs.find([str(top)], [], [], max_mb=1)


def test_a_directory_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    top = write(tmp_path / "code", "train.py", "private/x")
    (top / "private").chmod(0)
    try:
        (code,), notes = code_dirs.find([str(top)], [], [])
    finally:
        (top / "private").chmod(0o700)
    if os.geteuid():
        assert code.files == ("train.py",)
        assert f"{top}/private is left out: Permission denied" in notes[0]
    else:
        assert (code.files, notes) == (("private/x", "train.py"), ())
