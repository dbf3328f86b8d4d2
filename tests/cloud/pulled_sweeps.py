"""Sweeps in a bucket, as their launcher and their machines leave them there."""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

from launchkit import job
from launchkit.cloud.agent_listing import Listing
from launchkit.cloud.depot import Depot
from launchkit.cloud.stores import Store
from launchkit.job import Job, JobState
from launchkit.sweep import Sweep

PREFIX = "launchkit"
ELSEWHERE = "machine-1.7.100"
"""The identity of a process that cannot be seen from here."""


class Home:
    """The launcher's side of a sweep: its directory, and what it puts into the bucket."""

    def __init__(
        self, store: Store, root: Path, name: str = "curves", jobs: tuple[str, ...] = ("0", "1")
    ) -> None:
        self.store = store
        self.sweep = Sweep.create(
            root / name, mode="local", settings={}, command=["train.py", "-m"], size=len(jobs)
        )
        self.sweep.add(
            Job(num, (f"+x={num}",), Path(os.path.normpath(root / name / where)))
            for num, where in enumerate(jobs)
        )
        self.depot = Depot(store, PREFIX, self.sweep)
        self.name = name

    @property
    def url(self) -> str:
        return self.depot.url

    def hand_over(self, pack: int = 0, jobs: tuple[int, ...] = (0, 1)) -> None:
        """Put everything there that is put before machines are bought."""
        handed = [known for known in self.sweep.jobs if known.num in jobs]
        for known in handed:
            job.change(known, JobState.SUBMITTED)
        self.depot.put_shared()
        self.depot.put_batch(pack, handed)
        self.lease()

    def lease(self, **changes: object) -> None:
        content = {
            "host": "office", "pid": 4711, "process": "office.4711.100",
            "directory": str(self.sweep.directory), "time": time.time(), **changes,
        }  # fmt: skip
        self.store.put(f"{self.depot.base}/.home/lease", json.dumps(content).encode())

    def put(self, name: str, content: bytes) -> None:
        self.store.put(f"{self.depot.base}/{name}", content)

    def put_tar(self, name: str, make: Callable[[tarfile.TarFile], None]) -> None:
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w:gz") as archive:
            make(archive)
        self.put(name, stream.getvalue())


class Machine:
    """A machine's side: its disk, and what it puts into the bucket."""

    def __init__(self, home: Home, root: Path, pack: int = 0) -> None:
        self.home = home
        self.pack = pack
        self.root = root
        (root / home.name / ".launchkit").mkdir(parents=True)
        source = home.sweep.directory
        self.jobs = [
            Job(known.num, known.overrides, root / known.directory.relative_to(source.parent))
            for known in home.sweep.jobs
        ]
        for known in home.sweep.jobs:
            place = root / known.directory.relative_to(source.parent)
            if known.directory.exists():
                shutil.copytree(known.directory, place, dirs_exist_ok=True)

    def start(self, num: int, rows: int = 1) -> None:
        job.change(
            self.jobs[num], JobState.RUNNING, host="machine-1", pid=7, process=ELSEWHERE,
            started=time.time(),
        )  # fmt: skip
        self.write(num, rows)

    def write(self, num: int, rows: int) -> None:
        text = "epoch,loss\n" + "".join(f"{row},{1 / (row + 1)}\n" for row in range(rows))
        (self.jobs[num].directory / "progress.csv").write_text(text)
        self.jobs[num].stdout.write_text(f"{rows} rows\n")

    def end(self, num: int, state: JobState = JobState.COMPLETED) -> None:
        job.end(self.jobs[num], state, exit_code=0)

    def sync(self, *, look: bool = True) -> None:
        """Upload all there is, and how it looks."""
        entries = Listing(str(self.root), self.home.name, self.home.depot.base).scan()
        for entry in entries:
            path = self.root / os.fsdecode(entry.name)
            if entry.kind == "l":
                self.home.put(os.fsdecode(entry.name), os.fsencode(os.readlink(path)))
            elif entry.kind == "f":
                self.home.put(os.fsdecode(entry.name), path.read_bytes())
        lines = b"".join(entry.line() + b"\0" for entry in entries)
        head = f"now {time.time():.0f}\npack {self.pack} alive 0\nfiles\n".encode()
        content = gzip.compress(head + lines + b"end\0")
        self.home.put(f".machines/{self.pack}/look", content if look else content[:-20])


def tree(root: Path) -> dict[str, bytes]:
    """Return all files below a directory, and their content."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and not path.is_symlink()
    }
