"""The archive is unpacked by a machine that has little more than a shell."""

from __future__ import annotations

import io
import shlex
import subprocess
import tarfile
from pathlib import Path

import pytest
import testbed

from launchkit.doodad import archive

pytestmark = [pytest.mark.doodad, pytest.mark.docker]


@pytest.mark.parametrize("image", [testbed.NO_PYTHON_IMAGE, testbed.PYTHON_IMAGE])
def test_it_is_unpacked_without_a_word(tmp_path: Path, image: str) -> None:
    code = tmp_path / "code"
    (code / "sub").mkdir(parents=True)
    names = ["train.py", "sub/it's a $(touch x) `y`\n;", "sub/café", "-x"]
    for name in names:
        (code / name).write_text(name * 5000)
    (code / "sub" / "link").symlink_to("../train.py")
    (code / "train.py").chmod(0o755)
    packed = tmp_path / "to carry" / "a.dar"
    packed.parent.mkdir()
    archive.build(packed, [archive.Code(code, "code0")], {"final_script.sh": "echo no >&2\n"})
    unpack = shlex.join(archive.unpack_command("/carried/a.dar", "/to/that place"))
    # What it says would be before the tar file.
    program = f"{unpack} && cd '/to/that place' && tar cf - deps"
    done = subprocess.run(
        ["docker", "run", "--rm", "-v", f"{packed.parent}:/carried:ro", image, "sh", "-c", program],
        capture_output=True,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as back:
        for name in names:
            member = back.getmember(f"deps/local/code0/{name}")
            content = back.extractfile(member)
            assert content is not None
            assert content.read().decode() == name * 5000
            assert member.mode == (code / name).stat().st_mode & 0o777
        assert back.getmember("deps/local/code0/sub/link").linkname == "../train.py"
