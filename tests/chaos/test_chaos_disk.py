"""A disk that gets full, and directories that nobody may write to."""

from __future__ import annotations

import json

import pytest
from chaos_namespace import MOUNTS, refused, run

PAGES = (0, 2, 5, 9, 12, 15, 20)
"""How many pages of the disk are free when the sweep is begun."""
ENOUGH = 10
"""From so many on a sweep may get through, depending on what it finds to write down."""


@pytest.fixture(autouse=True)
def may_mount():
    if why := refused(MOUNTS):
        pytest.skip(f"no file system can be mounted here: {why}")


@pytest.mark.parametrize("pages", PAGES)
def test_a_sweep_on_a_full_disk_goes_on_once_there_is_room(tmp_path, pages):
    for name in ("disk", "ledger"):
        (tmp_path / name).mkdir()
    method = "spawn" if pages % 4 else "fork"
    found = run(MOUNTS, "chaos_full_disk.py", tmp_path / "disk", tmp_path / "ledger", pages, method)
    assert found["lost"] == []
    code, said = found["first"]
    assert code in (1, 2) or (code == 0 and pages >= ENOUGH), said
    assert found["second"][0] == 0, found["second"]
    for name in {"first", "resumed_on_it"} & set(found):
        code, said = found[name]
        assert code in (0, 1, 2), (name, said)
        assert "No space left on device" in said or code == 0, (name, said)
        assert "Traceback" not in said, (name, said)
    if "status" in found:
        code, said = found["status"]
        assert code == 0, said
        assert set(json.loads(said)["counts"]) <= {
            "pending",
            "running",
            "lost",
            "failed",
            "completed",
        }


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_directories_that_cannot_be_written_to(tmp_path, method):
    found = run(MOUNTS, "chaos_read_only.py", tmp_path, method)
    for case in found.values():
        assert case["lost"] == []
        assert case["second"][0] == 0, case
        # A job that has no log to write to writes to its launcher's.
        assert "Traceback" not in case["first"][1] or case is found["one_job"], case
        assert "Read-only file system" in case["first"][1], case
    assert found["new"]["first"][0] == found["resumed"]["first"][0] == 2
    assert found["resumed"]["status"][0] == 0
    assert found["one_job"]["first"][0] == 1
    counts = json.loads(found["one_job"]["status"][1])["counts"]
    assert counts["completed"] == 2, counts
