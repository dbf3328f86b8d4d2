"""A machine's agent, run here as a process of its own against a bucket of moto."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import boto3
from s3_here import REGION, S3World

from launchkit.cloud import startup
from launchkit.cloud.boot import Boot
from launchkit.outside.listing import Look

BASE = "launchkit/20261122-160000-abcdef"
NAME = "my sweep"
PACK = 3
SOON_S = 90.0


def aws_program() -> str | None:
    """Return where ``aws`` is: beside this Python, or on PATH."""
    beside = Path(sys.executable).with_name("aws")
    return str(beside) if beside.exists() else shutil.which("aws")


class AgentMachine:
    """The machine: a directory, and a bucket that has what a launcher puts there."""

    def __init__(self, root: Path, world: S3World, **facts: Any) -> None:
        self.root = root
        self.world = world
        self.s3 = boto3.client("s3", region_name=REGION)
        boot = Boot(
            store=f"s3://{world.bucket}", region=REGION, base=BASE, name=NAME, archive="a",
            sha256="0" * 64, batch=f"{BASE}/.home/batches/0.tar.gz", first_pack=0, image=None,
            uses_gpu=False, lifetime_min=60, sync_interval_s=1.0, unreachable_min=10.0,
        )  # fmt: skip
        told = {
            **asdict(boot), "pack": PACK, "machine": root.name, "root": str(root),
            "ends": int(time.time()) + 3600, **facts,
        }  # fmt: skip
        self.unpacked = self.own / "unpacked"
        for name, path in startup.agent_files().items():
            (self.unpacked / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, self.unpacked / name)
        (root / ".agent").mkdir()
        (root / "machine.json").write_text(json.dumps(told))
        self.put(".home/sweep/sweep.json", b"{}")
        self.put(".home/sweep/shared/0", b"shared")
        self.put_batch({f"{NAME}/0/.launchkit/state.json": b'{"state": "submitted"}'})
        self.process: subprocess.Popen[bytes] | None = None
        self.environment: dict[str, str] = {}

    @property
    def own(self) -> Path:
        return self.root / NAME / ".launchkit"

    def runs(self, script: str) -> None:
        """Say what the pack runs, in ``sh``, in the sweep's directory."""
        text = f'set -u\ncd "$(dirname "$0")/../.."\n{script}\n'
        (self.unpacked / "final_script.sh").write_text(text)

    def start(self, python: str = sys.executable) -> None:
        aws = aws_program()
        assert aws is not None
        path = f"{self.root.parent}/bin:{Path(aws).parent}:{os.environ['PATH']}"
        self.process = subprocess.Popen(
            [python, "-E", "-S", str(self.unpacked / "agent.py"), str(self.root / "machine.json")],
            env={**os.environ, "PATH": path, "AWS_MAX_ATTEMPTS": "2", **self.environment},
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def join(self, timeout: float = SOON_S) -> int:
        assert self.process is not None
        return self.process.wait(timeout)

    def run(self, script: str, timeout: float = SOON_S) -> Look:
        """Run a pack to its end, and return the last look."""
        self.runs(script)
        self.start()
        assert self.join(timeout) == 0, self.log
        return self.look()

    def tell(self, number: int = signal.SIGTERM) -> None:
        assert self.process is not None
        os.kill(self.process.pid, number)

    def end(self) -> None:
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    # The bucket

    def put(self, key: str, data: bytes) -> None:
        self.s3.put_object(Bucket=self.world.bucket, Key=f"{BASE}/{key}", Body=data)

    def put_batch(self, files: Mapping[str, bytes]) -> None:
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as tar:
            for name, data in files.items():
                entry = tarfile.TarInfo(name)
                entry.size, entry.mtime = len(data), time.time()
                tar.addfile(entry, io.BytesIO(data))
        self.put(".home/batches/0.tar.gz", packed.getvalue())

    def get(self, key: str) -> bytes:
        answer = self.s3.get_object(Bucket=self.world.bucket, Key=f"{BASE}/{key}")
        data: bytes = answer["Body"].read()
        return data

    def files(self) -> dict[str, bytes]:
        """Return what is in the bucket of what the machine has written there."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(
            Bucket=self.world.bucket, Prefix=BASE + "/"
        )
        keys = [each["Key"] for page in pages for each in page.get("Contents", ())]
        names = [key[len(BASE) + 1 :] for key in keys]
        return {n: self.get(n) for n in names if not n.startswith((".home/", ".machines/"))}

    def has(self, key: str) -> bool:
        try:
            self.get(key)
        except self.s3.exceptions.NoSuchKey:
            return False
        return True

    def look(self) -> Look:
        return Look.parse(self.get(f".machines/{PACK}/look"))

    def looks(self) -> Iterator[Look]:
        """Yield each look of some that a launcher might have seen."""
        while self.process is not None and self.process.poll() is None:
            if self.has(f".machines/{PACK}/look"):
                yield self.look()
            time.sleep(0.1)

    @property
    def log(self) -> str:
        return (self.root / ".agent" / "log").read_text()


def wait_for(seen: Callable[[], object], timeout: float = SOON_S) -> None:
    """Wait until something is so."""
    until = time.monotonic() + timeout
    while not seen():
        assert time.monotonic() < until, "it is not so in time"
        time.sleep(0.05)
