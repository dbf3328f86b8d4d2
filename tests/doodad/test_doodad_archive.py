"""The archive of a sweep: the user's code byte for byte, unpacked anywhere, and nothing beside."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from launchkit.doodad import archive, engine, makeself
from launchkit.doodad.archive import Code, Content
from launchkit.doodad.makeself import ArchiveError

pytestmark = pytest.mark.doodad

SCRIPTS: dict[str, Content] = {"final_script.sh": '#!/bin/sh\nprintf "%s|" "$@"\n'}


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Temporary files go to a directory that the test can look into."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return folder


@pytest.fixture
def code(tmp_path: Path) -> Path:
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "train.py").write_text("print('hi')\n")
    return folder


def there_and_back(tmp_path: Path, *pieces: Code, **files: Content) -> Path:
    """Build an archive, unpack it, and return where."""
    archive.build(tmp_path / "a.dar", pieces, {**SCRIPTS, **files})
    unpacked = tmp_path / "unpacked"
    shutil.rmtree(unpacked, ignore_errors=True)
    archive.unpack(tmp_path / "a.dar", unpacked)
    return unpacked


def copied(tmp_path: Path, source: Path, **how: object) -> Path:
    """Return the copy of a directory of code that has been in an archive."""
    piece = Code(source, "code0", **how)  # type: ignore[arg-type]
    return there_and_back(tmp_path, piece) / "deps" / "local" / "code0"


def tree(folder: Path) -> dict[str, object]:
    """Return what is in a folder, by relative name: links' targets, and files' bytes."""
    found: dict[str, object] = {}
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found[name] = Path(os.readlink(path))
        else:
            found[name] = path.read_bytes() if path.is_file() else None
    return found


def test_the_copy_is_the_code(tmp_path: Path, code: Path) -> None:
    # Names that doodad's own mount leaves out, or takes for itself.
    for name in ("data/points", ".git/HEAD", "run.log", "a.mp4", "extract.sh", "sub/extract.sh"):
        path = code / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"mine: {name}")
    (code / "empty").mkdir()
    assert tree(copied(tmp_path, code)) == tree(code)


def test_modes_and_times_are_kept(tmp_path: Path, code: Path) -> None:
    (code / "tool").write_text("#!/bin/sh\n")
    (code / "tool").chmod(0o755)
    (code / "train.py").chmod(0o640)
    os.utime(code / "train.py", (1_000_000_000, 1_000_000_000))
    copy = copied(tmp_path, code)
    for name in ("tool", "train.py"):
        assert (copy / name).stat().st_mode == (code / name).stat().st_mode
    assert (copy / "train.py").stat().st_mtime == 1_000_000_000


@pytest.mark.parametrize("kind", ["file", "folder", "link", "unwanted"])
def test_an_extract_sh_of_the_users_is_theirs(tmp_path: Path, code: Path, kind: str) -> None:
    mine = code / "extract.sh"
    if kind == "folder":
        mine.mkdir()
        (mine / "extract.sh").write_text("mine")
    elif kind == "link":
        mine.symlink_to("train.py")
    else:
        mine.write_text("mine")
        mine.chmod(0o400)
    copy = copied(tmp_path, code, wanted=lambda name: kind != "unwanted" or name != "extract.sh")
    expected = tree(code)
    if kind == "unwanted":
        del expected["extract.sh"]
    assert tree(copy) == expected


def test_only_what_is_wanted_goes_along(tmp_path: Path, code: Path) -> None:
    asked = set()

    def wanted(name: str) -> bool:
        asked.add(name)
        return not name.endswith(".bin") and name != "out"

    for name in ("model.bin", "sub/model.bin", "sub/model.py", "out/deep/result"):
        (code / name).parent.mkdir(parents=True, exist_ok=True)
        (code / name).write_text("")
    assert set(tree(copied(tmp_path, code, wanted=wanted))) == {"train.py", "sub", "sub/model.py"}
    # What is below a folder that stays is not even looked at.
    assert "sub/model.py" in asked
    assert "out/deep" not in asked


def test_links(tmp_path: Path, code: Path) -> None:
    outside = tmp_path / "outside"
    (outside / "deep").mkdir(parents=True)
    (outside / "deep" / "points").write_text("points")
    (outside / "back").symlink_to(code / "train.py")
    (outside / "up").symlink_to("..")
    (code / "sub").mkdir()
    (code / "secret").write_text("unwanted")
    links = {
        "same": "train.py",
        "sub/up": "../train.py",
        "absolute": code / "train.py",
        "folder": "sub",
        "self": ".",
        "chain": "same",
        "data": outside,
        "one": outside / "deep" / "points",
        "dangling": "nowhere",
        "outside_dangling": outside / "nowhere",
        "circle": "circle",
        "below_a_file": "train.py/x",
        "above": tmp_path,
        "unwanted": "secret",
    }
    for name, target in links.items():
        (code / name).symlink_to(target)
    assert tree(copied(tmp_path, code, wanted=lambda name: name != "secret")) == {
        "train.py": b"print('hi')\n",
        "sub": None,
        "same": Path("train.py"),
        "sub/up": Path("../train.py"),
        "absolute": Path("train.py"),
        "folder": Path("sub"),
        "self": Path(),
        "chain": Path("train.py"),
        "data": None,
        "data/deep": None,
        "data/deep/points": b"points",
        "data/back": Path("../train.py"),
        "one": b"points",
        # What is not wanted itself is wanted under this name.
        "unwanted": b"unwanted",
    }


def test_folders_that_link_to_each_other_end(tmp_path: Path, code: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for folder, link in ((one, other), (other, one)):
        folder.mkdir()
        (folder / "next").symlink_to(link)
        (folder / "x").write_text("")
    (code / "one").symlink_to(one)
    assert set(tree(copied(tmp_path, code))) == {
        *("train.py", "one", "one/x", "one/next", "one/next/x")
    }


def test_a_source_that_is_a_link_is_what_it_leads_to(tmp_path: Path, code: Path) -> None:
    (tmp_path / "link").symlink_to(code)
    (code / "self").symlink_to(code / "train.py")
    assert tree(copied(tmp_path, tmp_path / "link"))["self"] == Path("train.py")


def test_what_is_no_file_is_left_out(
    tmp_path: Path, code: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(code / "pipe")
    (code / "to_pipe").symlink_to("pipe")
    monkeypatch.chdir(code)  # the path of a socket has 107 bytes at most
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("socket")
        assert set(tree(copied(tmp_path, code))) == {"train.py"}


NAMES = st.text(
    st.one_of(st.sampled_from(" -'\"$`\\\n;*~=.é"), st.characters(codec="utf-8")),
    min_size=1,
    max_size=20,
).filter(
    lambda name: (
        "/" not in name
        and "\0" not in name
        and name not in {".", ".."}
        and len(name.encode()) < 200
    )
)


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.dictionaries(NAMES, st.binary(max_size=50), max_size=6), NAMES)
def test_any_name_survives(tmp_path: Path, files: Mapping[str, bytes], folder: str) -> None:
    source = Path(tempfile.mkdtemp()) / folder
    source.mkdir()
    for name, content in files.items():
        (source / name).write_bytes(content)
    (source / b"\xff\xfe'".decode(errors="surrogateescape")).write_bytes(b"no text")
    assert tree(copied(tmp_path, source)) == tree(source)


@pytest.mark.parametrize("folder", ["a b", "-x", 'it\'s $(touch x) `y` "z"\n;', "é"])
def test_any_place_will_do(tmp_path: Path, code: Path, folder: str) -> None:
    here = tmp_path / folder
    here.mkdir()
    assert tree(copied(here, code)) == tree(code)


def test_the_work_directory_and_the_checkout_may_have_any_name(
    tmp_path: Path, code: Path, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hostile = tmp_path / 'it\'s $(touch x) `touch y` "z"\n;'
    hostile.mkdir()
    monkeypatch.setenv("TMPDIR", str(hostile))
    monkeypatch.setattr(tempfile, "tempdir", None)
    copy = shutil.copytree(checkout, tmp_path / "`touch x` \"$(y)'", symlinks=True)
    # Where the clone has come without it.
    (copy / "doodad" / "darchive" / "makeself.sh").chmod(0o644)
    monkeypatch.setenv(engine.VARIABLE, str(copy))
    monkeypatch.chdir(tmp_path)
    assert tree(copied(tmp_path, code)) == tree(code)
    assert not os.listdir(hostile)
    assert not {"x", "y"} & set(os.listdir(tmp_path))
    told = subprocess.run(["sh", tmp_path / "a.dar", "--info"], capture_output=True, check=True)
    assert told.stderr == b""
    assert str(tmp_path).encode() not in (tmp_path / "a.dar").read_bytes()[:20_000]


def test_single_files_share_a_folder(tmp_path: Path, code: Path) -> None:
    (code / "model.py").write_text("x = 1\n")
    pieces = [Code(code / name, "code0") for name in ("train.py", "model.py")]
    unpacked = there_and_back(tmp_path, *pieces, Code(code, "code1"))  # type: ignore[arg-type]
    assert tree(unpacked / "deps/local/code0") == tree(unpacked / "deps/local/code1") == tree(code)


def test_the_other_files(tmp_path: Path, code: Path) -> None:
    needs = tmp_path / "omegaconf"
    (needs / "grammar").mkdir(parents=True)
    (needs / "grammar" / "x.py").write_text("x")
    path = b"/caf\xe9".decode(errors="surrogateescape")
    files: dict[str, Content] = {
        "run.sh": f"cd {path}\n",
        "needs/a/blob": b"\0\xff",
        "needs/b": needs,
        "bootstrap.py": code / "train.py",
    }
    unpacked = there_and_back(tmp_path, **files)
    assert (unpacked / "run.sh").read_bytes() == b"cd /caf\xe9\n"
    assert (unpacked / "needs/a/blob").read_bytes() == b"\0\xff"
    assert (unpacked / "needs/b/grammar/x.py").read_text() == "x"
    assert (unpacked / "bootstrap.py").read_text() == "print('hi')\n"
    for name, mode in (("run.sh", 0o755), ("final_script.sh", 0o755), ("bootstrap.py", 0o644)):
        assert stat.S_IMODE((unpacked / name).stat().st_mode) == mode
    assert (unpacked / "METADATA").read_text().startswith("doodad_version=")


def program(tmp_path: Path, name: str, text: str) -> None:
    """Put a program before those of its name."""
    path = tmp_path / "bin" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@pytest.fixture
def own_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have programs that `program` makes found first."""
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")


@pytest.mark.usefixtures("own_programs")
def test_a_display_is_no_reason_to_open_a_window(
    tmp_path: Path, code: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.build(tmp_path / "a.dar", [Code(code, "code0")], SCRIPTS)
    monkeypatch.setenv("DISPLAY", ":0")
    program(tmp_path, "xset", "exit 0")
    program(tmp_path, "xterm", "echo a window")
    done = subprocess.run(
        ["sh", tmp_path / "a.dar", "--", "17"], stdin=subprocess.DEVNULL, capture_output=True
    )
    assert (done.stdout, done.stderr) == (b"17|", b"")


@pytest.mark.usefixtures("own_programs")
def test_what_makeself_writes_meanwhile_is_private(tmp_path: Path, code: Path) -> None:
    tar = shutil.which("tar")
    program(
        tmp_path, "tar", f'stat -c %a "$TMPDIR" "$TMPDIR"/mkself* >>{tmp_path}/said\n{tar} "$@"'
    )
    archive.build(tmp_path / "a.dar", [Code(code, "code0")], SCRIPTS)
    assert (tmp_path / "said").read_text().split()[-2:] == ["700", "600"]


def test_it_runs_its_script_with_the_arguments_as_they_are(tmp_path: Path, code: Path) -> None:
    archive.build(tmp_path / "a.dar", [Code(code, "code0")], SCRIPTS)
    command = ["sh", str(tmp_path / "a.dar"), "--", "17", "$(touch x) 'y'"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("17|$(touch x) 'y'|", "")


@pytest.mark.parametrize(
    ("pieces", "files", "said"),
    [
        ([("code", "code 0")], {}, "is no name for a folder"),
        ([("code", "../x")], {}, "is no name for a folder"),
        ([("code", "-x")], {}, "is no name for a folder"),
        ([("code", "code0"), ("code", "code0")], {}, "two pieces of code"),
        ([("code/train.py", "code0")] * 2, {}, "two files"),
        ([], {"/etc/x": ""}, "'/etc/x' is no name"),
        ([], {"needs/../../x": ""}, "is no name"),
        ([], {"": ""}, "is no name"),
        ([], {"METADATA": ""}, "is no name"),
        ([("code", "code0")], {"deps/local/code0/train.py": ""}, "two files"),
    ],
)
def test_names_that_cannot_be_are_refused(
    tmp_path: Path,
    code: Path,
    temporary: Path,
    pieces: list[tuple[str, str]],
    files: dict[str, Content],
    said: str,
) -> None:
    with pytest.raises(ValueError, match=said):
        archive.build(
            tmp_path / "a.dar",
            [Code(tmp_path / source, name) for source, name in pieces],
            {**SCRIPTS, **files},
        )
    assert not (tmp_path / "a.dar").exists()
    assert not os.listdir(temporary)


def test_a_relative_source_and_no_script_are_refused(tmp_path: Path, code: Path) -> None:
    with pytest.raises(ValueError, match="'code' is not absolute"):
        archive.build(tmp_path / "a.dar", [Code(Path("code"), "code0")], SCRIPTS)
    with pytest.raises(ValueError, match=r"needs a file final_script\.sh"):
        archive.build(tmp_path / "a.dar", [Code(code, "code0")], {})


def test_a_source_that_is_not_there_is_named(tmp_path: Path, temporary: Path) -> None:
    with pytest.raises(OSError, match="nowhere"):
        archive.build(tmp_path / "a.dar", [Code(tmp_path / "nowhere", "code0")], SCRIPTS)
    assert os.listdir(tmp_path) == ["tmp"]
    assert not os.listdir(temporary)


def test_only_its_owner_may_read_it_and_nothing_stays_beside_it(
    tmp_path: Path, code: Path, temporary: Path
) -> None:
    folder = tmp_path / "sweep"
    folder.mkdir()
    for _ in range(2):
        archive.build(folder / "a.dar", [Code(code, "code0")], SCRIPTS)
        assert os.listdir(folder) == ["a.dar"]
        assert stat.S_IMODE((folder / "a.dar").stat().st_mode) == 0o600
        archive.unpack(folder / "a.dar", folder / "unpacked")
        shutil.rmtree(folder / "unpacked")
        assert os.listdir(folder) == ["a.dar"]
        assert not os.listdir(temporary)


def test_the_same_content_has_the_same_size(tmp_path: Path, code: Path) -> None:
    sizes = []
    for name in ("a.dar", "b.dar"):
        archive.build(tmp_path / name, [Code(code, "code0")], SCRIPTS)
        sizes.append((tmp_path / name).stat().st_size)
    # doodad writes the time and a random number into METADATA, which pack more or less well.
    assert abs(sizes[0] - sizes[1]) <= 32


def test_many_files_are_no_obstacle(tmp_path: Path, code: Path) -> None:
    """More names than a pipe holds, which doodad's own call of makeself waits for without end."""
    for number in range(3000):
        (code / f"{'x' * 40}{number}").write_bytes(b"")
    assert len(tree(copied(tmp_path, code))) == 3001


def test_an_interrupt_leaves_nothing(tmp_path: Path, code: Path, temporary: Path) -> None:
    (code / "noise").write_bytes(os.urandom(30_000_000))
    program = (
        "import sys; from pathlib import Path; from launchkit.doodad import archive, engine\n"
        "engine.load(); print('now', flush=True)\n"
        "archive.build(Path(sys.argv[2]), [archive.Code(Path(sys.argv[1]), 'code0')],"
        " {'final_script.sh': ''})\n"
    )
    command = [sys.executable, "-c", program, str(code), str(tmp_path / "a.dar")]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        while not list(temporary.glob("*/content/deps/local/code0/noise")):
            time.sleep(0.001)
        os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=30)
    assert process.returncode != 0
    assert not (tmp_path / "a.dar").exists()
    assert not os.listdir(temporary)


@pytest.mark.usefixtures("own_programs")
def test_a_makeself_that_fails_is_an_error(tmp_path: Path, code: Path) -> None:
    program(tmp_path, "tar", "echo 'tar: the disk is on fire' >&2\nexit 2")
    with pytest.raises(ArchiveError, match="the disk is on fire"):
        archive.build(tmp_path / "a.dar", [Code(code, "code0")], SCRIPTS)
    assert not (tmp_path / "a.dar").exists()


@pytest.fixture
def built(tmp_path: Path, code: Path) -> Path:
    (code / "noise").write_bytes(os.urandom(20_000))
    archive.build(tmp_path / "a.dar", [Code(code, "code0")], SCRIPTS)
    return tmp_path / "a.dar"


@pytest.mark.parametrize("lost", [1, 10_000, 25_000, 30_000])
def test_one_that_is_cut_short_is_noticed(tmp_path: Path, built: Path, lost: int) -> None:
    os.truncate(built, max(0, built.stat().st_size - lost))
    with pytest.raises(OSError, match=r"a\.dar is damaged"):
        archive.unpack(built, tmp_path / "unpacked")
    assert sorted(os.listdir(tmp_path)) == ["a.dar", "code", "tmp"]


@pytest.mark.parametrize("at", [-5, -10_000])
def test_a_byte_that_has_changed_is_noticed(tmp_path: Path, built: Path, at: int) -> None:
    data = bytearray(built.read_bytes())
    data[at] ^= 0xFF
    built.write_bytes(data)
    with pytest.raises(OSError, match="cannot be unpacked into"):
        archive.unpack(built, tmp_path / "unpacked")
    assert sorted(os.listdir(tmp_path)) == ["a.dar", "code", "tmp"]


def test_something_else_is_no_archive(tmp_path: Path) -> None:
    (tmp_path / "a.dar").write_text("touch x\n")
    with pytest.raises(OSError, match="it has no header"):
        archive.unpack(tmp_path / "a.dar", tmp_path / "unpacked")
    assert makeself.damage(tmp_path / "a.dar")


def test_a_directory_in_use_is_left_as_it_is(tmp_path: Path, built: Path) -> None:
    (tmp_path / "unpacked").mkdir()
    archive.unpack(built, tmp_path / "unpacked")
    before = tree(tmp_path / "unpacked")
    with pytest.raises(OSError, match="not empty"):
        archive.unpack(built, tmp_path / "unpacked")
    assert tree(tmp_path / "unpacked") == before
    assert sorted(os.listdir(tmp_path)) == ["a.dar", "code", "tmp", "unpacked"]


KNOWN_SHELLS = (
    ["dash"],
    ["bash", "--posix"],
    ["busybox", "sh"],
    ["mksh"],
    ["zsh", "--emulate", "sh"],
)
SHELLS = [shell for shell in KNOWN_SHELLS if shutil.which(shell[0])]


@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: shell[0])
def test_any_shell_unpacks_it_and_says_nothing(
    tmp_path: Path, built: Path, code: Path, shell: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A display is no reason to open a window.
    monkeypatch.setenv("DISPLAY", ":0")
    command = archive.unpack_command(str(built), str(tmp_path / "to here"))
    assert command[0] == "sh"
    done = subprocess.run([*shell, *command[1:]], capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert tree(tmp_path / "to here/deps/local/code0") == tree(code)


LOCKED = """
import os, sys, tempfile
from pathlib import Path
from launchkit.doodad import archive
code, target = map(Path, sys.argv[1:])
try:
    archive.build(target, [archive.Code(code, "code0")], {"final_script.sh": ""})
except OSError as error:
    print(error)
"""


def build_without_privileges(code: Path, target: Path) -> str:
    """Build an archive as somebody whom permissions bind, and return the error."""
    # For root too they do, once it has laid down what lets it pass them by.
    bound = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    command = [sys.executable, "-c", LOCKED, str(code), str(target)]
    done = subprocess.run(
        [*(bound if os.getuid() == 0 else []), *command], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def locked(code: Path) -> Iterator[Path]:
    """Code that its owner may not write."""
    (code / "sub").mkdir()
    (code / "sub" / "extract.sh").write_text("mine")
    (code / "link").symlink_to("sub")
    (code / "extract.sh").write_text("mine")
    for path in (code / "extract.sh", code / "sub", code):
        path.chmod(0o555)
    yield code
    for path in (code, code / "sub"):
        path.chmod(0o755)


def test_code_that_may_not_be_written_is_copied(
    tmp_path: Path, locked: Path, temporary: Path
) -> None:
    assert build_without_privileges(locked, tmp_path / "a.dar") == ""
    archive.unpack(tmp_path / "a.dar", tmp_path / "unpacked")
    assert tree(tmp_path / "unpacked" / "deps/local/code0") == tree(locked)
    assert not os.listdir(temporary)


def test_code_that_may_not_be_read_is_named_and_nothing_stays(
    tmp_path: Path, locked: Path, temporary: Path
) -> None:
    locked.chmod(0o755)
    (locked / "secret").write_text("")
    (locked / "secret").chmod(0)
    error = build_without_privileges(locked, tmp_path / "a.dar")
    assert error.startswith(f"{locked / 'secret'} cannot be copied: ")
    assert not (tmp_path / "a.dar").exists()
    assert not os.listdir(temporary)


def test_names_like_options_are_names(
    tmp_path: Path, built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    built.rename(tmp_path / "-a.dar")
    done = subprocess.run(archive.unpack_command("-a.dar", "-to"), capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    assert (tmp_path / "-to" / "final_script.sh").exists()
