"""The place of a sweep in a bucket: what goes there, and what is found there.

Below ``<prefix>/<sweep id>`` are the sweep's directory and what is beside it, as the jobs write
it; ``.home`` is written from here, ``.machines/<pack>`` by the machine of a pack.
"""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from launchkit import process_table
from launchkit.cloud.stores import NotThere, Store
from launchkit.job import Job
from launchkit.outside import asks
from launchkit.outside.exchange import below
from launchkit.outside.shared_files import Sent, shared
from launchkit.sweep import Sweep

ARCHIVES = ".archives"
HOME = ".home"
MACHINES = ".machines"
LEASE_S = 120.0
"""How old a launcher's last sign of life is, at most, in seconds, for it to be there."""
READ = 2**20


@dataclass(frozen=True)
class Lease:
    """Who drives a sweep, as the bucket says.

    Parameters
    ----------
    host, pid
        Where it runs, for people.
    process
        Its `process_table.identity`.
    directory
        The sweep's directory there.
    time
        Seconds since the epoch.
    """

    host: str
    pid: int
    process: str
    directory: str
    time: float

    def is_elsewhere(self, directory: Path) -> bool:
        """Tell whether it may still drive the sweep, and not from this directory.

        Who drives a sweep from one directory is known by the claims in it.
        """
        if time.time() - self.time > LEASE_S:
            return False
        here = process_table.is_alive(self.process)
        if here is not None:
            return here and self.directory != str(directory)
        return (self.host, self.directory) != (os.uname().nodename, str(directory))

    def describe(self) -> str:
        """Return who it is, in words."""
        return f"process {self.pid} on {self.host}, in {self.directory}"


class Depot:
    """The place of a sweep in a bucket.

    Parameters
    ----------
    store
        The bucket.
    prefix
        The prefix below which sweeps are.
    sweep
        The sweep.
    """

    def __init__(self, store: Store, prefix: str, sweep: Sweep) -> None:
        self.store = store
        self.base = f"{prefix}/{sweep.id}"
        self._prefix = prefix
        self._sweep = sweep
        self._shared, self._asks = Sent(), Sent()
        self._leased = 0.0

    @property
    def url(self) -> str:
        """The sweep's address."""
        return f"{self.store.url}/{self.base}"

    def key(self, name: str) -> str:
        """Return the key of a file, whose name is relative to the sweep's parent directory."""
        return f"{self.base}/{name}"

    # To the machines

    def put_archive(self, path: Path) -> tuple[str, str]:
        """Bring the archive there, unless it is; return its key and its SHA-256."""
        digest = hashlib.sha256()
        with path.open("rb") as stream:
            while block := stream.read(READ):
                digest.update(block)
        key = f"{self._prefix}/{ARCHIVES}/{digest.hexdigest()}.dar"
        known = next(iter(self.store.list(key)), None)
        if known is None or known.size != path.stat().st_size:
            self.store.put(key, path)
        return key, digest.hexdigest()

    def put_shared(self) -> None:
        """Bring there what has changed of the sweep's own files that jobs need."""
        changed = self._shared.changed(shared(self._sweep))
        for path in changed:
            name = path.relative_to(self._sweep.own).as_posix()
            self.store.put(f"{self.base}/{HOME}/sweep/{name}", path)
        self._shared.note(changed)

    def batch_key(self, first_pack: int) -> str:
        """Return the key of the batch of jobs whose first pack has a number."""
        return f"{self.base}/{HOME}/batches/{first_pack:06}.tar.gz"

    def put_batch(self, first_pack: int, jobs: Iterable[Job]) -> None:
        """Bring the directories of jobs there, as they are."""
        names = [path for job in jobs for path in below(job.directory)]
        self._put_tar(self.batch_key(first_pack), names)

    def put_asks(self, packs: Iterable[int]) -> None:
        """Bring there what has been asked since of the hosts of packs."""
        paths = {asks.path_of(self._sweep, pack): pack for pack in packs}
        changed = self._asks.changed(path for path in paths if path.exists())
        for path in changed:
            self.store.put(self._machine_key(paths[path], "asks.jsonl"), path)
        self._asks.note(changed)

    # From the machines

    def looks(self) -> dict[int, str]:
        """Return what changes when a machine has something to say, by its pack's number."""
        found = {}
        prefix = f"{self.base}/{MACHINES}/"
        for each in self.store.list(prefix):
            pack, _, what = each.key.removeprefix(prefix).partition("/")
            if what == "look" and pack.isdigit():
                found[int(pack)] = each.etag
        return found

    def look(self, pack: int) -> bytes:
        """Return what the machine of a pack has said last."""
        return self.store.get(self._machine_key(pack, "look"))[0]

    def log(self, pack: int) -> str:
        """Return what the start-up of a pack's machine has printed; empty if nothing came."""
        try:
            return self.store.get(self._machine_key(pack, "log"))[0].decode(errors="replace")
        except NotThere:
            return ""

    # Who drives

    def renew_lease(self, every_s: float) -> None:
        """Leave a sign of life of this launcher, every so often."""
        if time.monotonic() < self._leased:
            return
        lease = Lease(
            host=os.uname().nodename,
            pid=os.getpid(),
            process=process_table.identity(),
            directory=str(self._sweep.directory),
            time=time.time(),
        )
        self.store.put(f"{self.base}/{HOME}/lease", json.dumps(asdict(lease)).encode())
        self._leased = time.monotonic() + every_s

    def lease(self) -> Lease | None:
        """Return the last sign of life of a launcher; None if there is none."""
        return read_lease(self.store, self.base)

    def close(self, jobs: Sequence[Job]) -> None:
        """Leave there how all has ended, for whoever has nothing but the bucket."""
        own = [self._sweep.own / name for name in ("sweep.json", "jobs.jsonl")]
        names = [path for path in (*own, *(job.own for job in jobs)) for path in below(path)]
        self._put_tar(f"{self.base}/{HOME}/closing.tar.gz", names)
        self.store.put(f"{self.base}/{HOME}/closed", json.dumps({"time": time.time()}).encode())

    def reopen(self) -> None:
        """Take back that all has ended."""
        self.store.delete([f"{self.base}/{HOME}/closed"])

    def remove(self) -> None:
        """Remove all there is of the sweep; the archive may be that of others, and stays."""
        self.store.delete(each.key for each in self.store.list(f"{self.base}/"))

    def _machine_key(self, pack: int, what: str) -> str:
        return f"{self.base}/{MACHINES}/{pack}/{what}"

    def _put_tar(self, key: str, paths: Iterable[Path]) -> None:
        home = self._sweep.directory.parent
        with tempfile.TemporaryDirectory(prefix="launchkit-batch-") as folder:
            made = Path(folder, "batch.tar.gz")
            with tarfile.open(made, "w:gz", compresslevel=3) as archive:
                for path in paths:
                    archive.add(path, path.relative_to(home).as_posix(), recursive=False)
            self.store.put(key, made)


def read_lease(store: Store, base: str) -> Lease | None:
    """Return the last sign of life of the launcher of a sweep; None if there is none."""
    try:
        return Lease(**json.loads(store.get(f"{base}/{HOME}/lease")[0]))
    except (NotThere, ValueError, TypeError):
        return None


def is_closed(store: Store, base: str) -> bool:
    """Tell whether a sweep is over, as its launcher has said."""
    try:
        store.get(f"{base}/{HOME}/closed")
    except NotThere:
        return False
    return True
