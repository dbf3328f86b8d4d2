"""Each batch of jobs has a payload, and what is large is in one file for all of them."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path

import pytest

from launchkit import payload
from launchkit.job import Job
from launchkit.payload import LARGE, PayloadError

LARGEST = os.urandom(LARGE * 100)


@dataclass
class Batch:
    """A task that says which it is."""

    name: str
    data: object = None

    def run(self, job):
        return self.name


def jobs(*nums):
    return [Job(num, (), Path(f"/{num}")) for num in nums]


class Bytes(bytes):
    """Bytes of a kind."""


@pytest.fixture
def sweep(empty_sweep):
    empty_sweep.add([Job(num, (), empty_sweep.directory / str(num)) for num in range(10)])
    return empty_sweep


@pytest.fixture
def save(sweep):
    def save(name, *nums, data=None):
        payload.save_batch(sweep, Batch(name, data), jobs(*nums))

    return save


def names(sweep):
    return "".join(payload.load(sweep, num).name for num in range(10))


def shared(sweep):
    return sorted((sweep.own / "shared").iterdir())


def test_each_job_gets_the_task_of_its_batch(sweep, save):
    save("a", 0, 1, 2, 3)
    save("b", 4, 5)
    save("c", 6, 7, 8, 9)
    assert names(sweep) == "aaaabbcccc"
    assert {path.name for path in sweep.own.glob("payload*")} == {
        "payload.pkl",
        "payload-4.pkl",
        "payload-6.pkl",
    }


def test_a_batch_of_a_resumed_sweep_need_not_be_one_of_before(sweep, save):
    save("a", 0, 1, 2, 3)
    save("b", *range(4, 10))
    save("x", 2, 5)
    assert names(sweep)[2] == names(sweep)[5] == "x"
    assert names(sweep)[:2] == "aa"
    assert names(sweep)[6:] == "bbbb"
    save("y", *range(10))
    assert names(sweep) == "y" * 10


def test_what_is_large_and_the_same_is_written_once(sweep, save):
    save("a", 0, 1, data={"recipes": [LARGEST, LARGEST], "small": b"x" * (LARGE - 1)})
    save("b", 2, 3, data=[bytes(LARGEST)])
    (path,) = shared(sweep)
    assert path.name == hashlib.sha256(LARGEST).hexdigest()
    assert path.read_bytes() == LARGEST
    sizes = [path.stat().st_size for path in sweep.own.glob("payload*.pkl")]
    assert max(sizes) < len(LARGEST)
    loaded = payload.load(sweep, 1).data["recipes"]
    assert loaded == [LARGEST, LARGEST]
    assert loaded[0] is loaded[1]
    assert payload.load(sweep, 2).data == [LARGEST]


def test_what_is_no_bytes_object_comes_back_as_what_it_was(sweep, save):
    text = "t" * 10 * LARGE
    save("a", 0, data=[text, bytearray(LARGEST)])
    assert payload.load(sweep, 0).data == [text, bytearray(LARGEST)]
    save("a", 0, data=Bytes(LARGEST))
    assert type(payload.load(sweep, 0).data).__name__ == "Bytes"


def test_they_are_for_the_owner_only(sweep, save):
    before = os.umask(0)
    try:
        save("a", 0, data=LARGEST)
        save("b", 5, data=LARGEST)
    finally:
        os.umask(before)
    assert stat.S_IMODE((sweep.own / "shared").stat().st_mode) == 0o700
    for path in [*shared(sweep), *sweep.own.glob("payload*")]:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_shared_file_that_is_damaged_or_missing_is_named(sweep, save):
    save("a", 0, data=LARGEST)
    (path,) = shared(sweep)
    path.write_bytes(LARGEST[:-1])
    with pytest.raises(PayloadError) as caught:
        payload.load(sweep, 0)
    assert str(caught.value).startswith(f"{path} is damaged (its checksum differs)")
    path.unlink()
    with pytest.raises(PayloadError) as caught:
        payload.load(sweep, 0)
    assert str(caught.value).startswith(f"{path} cannot be read (No such file")


def test_what_cannot_be_pickled_leaves_the_payloads_as_they_were(sweep, save):
    save("a", *range(10))
    with pytest.raises(PayloadError, match="the task function cannot be pickled"):
        save("b", *range(10), data=(x for x in ()))
    assert names(sweep) == "a" * 10


# Versions


def rewrite(sweep, **changed):
    path = sweep.own / "payload.pkl"
    line, _, data = path.read_bytes().partition(b"\n")
    path.write_bytes(json.dumps({**json.loads(line), **changed}).encode() + b"\n" + data)


def test_other_versions_of_packages_are_refused_by_name_unless_they_will_do(sweep, save):
    save("a", 0)
    line = (sweep.own / "payload.pkl").read_bytes().partition(b"\n")[0]
    packages = json.loads(line)["packages"]
    here = packages["omegaconf"]
    rewrite(sweep, packages={**packages, "omegaconf": "1.4.1", "gone": "3.0"})
    with pytest.raises(PayloadError) as caught:
        payload.load(sweep, 0)
    message = str(caught.value)
    assert f"omegaconf 1.4.1 (here {here})" in message
    assert "gone 3.0 (here none)" in message
    assert "cloudpickle" not in message
    assert "--force" in message
    assert payload.load(sweep, 0, other_versions=True).name == "a"


def test_another_python_does_not_do_even_so(sweep, save):
    save("a", 0)
    rewrite(sweep, python="3.9.1")
    with pytest.raises(PayloadError, match=r"written by Python 3\.9\.1"):
        payload.load(sweep, 0, other_versions=True)
