"""What the tests of sweeps on simulated clouds share, whichever cloud it is."""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import os
import re
import subprocess
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import testbed

from launchkit.cloud.providers import Machine, Provider, Standing
from launchkit.cloud.stores import Store
from launchkit.modes import registry
from launchkit.sweep import Sweep

HERE = Path(__file__).parent
MODES = HERE.parent / "modes"
MACHINES = Path("/var/lib/launchkit")
"""Where machines have their files, on the disk of this one."""
PREFIX = "launchkit-tests"
PATIENCE_S = 60.0
ENDED_S = 30.0
"""How long a machine may take to be gone after its sweep has ended."""
NUMBERS = itertools.count()


class Cloud(ABC):
    """A simulated cloud, as tests use it.

    A subclass sets the attributes.
    """

    mode: str
    """The mode that rents machines there."""
    bucket_setting: str
    prefix_setting: str
    bucket: str
    control: Callable[..., Any]
    """Asks something of the simulation: see the testbed."""
    environment: Callable[[], dict[str, str]]
    """What makes programs find the simulation."""

    @abstractmethod
    def make_bucket(self) -> None:
        """Make the bucket, unless it is there."""

    @abstractmethod
    def hosts(self, sweep: str) -> set[str]:
        """Return what the machines of a sweep call themselves."""

    def settings(self, **more: Any) -> dict[str, Any]:
        """Return settings of the mode: small, quick, and in the processes of this machine."""
        return {
            self.bucket_setting: self.bucket,
            "image": testbed.PYTHON_IMAGE,
            "confirm": False,
            "container_args": ["--pid=host"],
            "num_exps_per_instance": 64,
            "jobs_at_once": 2,
            "sync_interval": 1.0,
            **more,
        }

    @functools.cached_property
    def _rooms(self) -> tuple[Provider, Store]:
        mode = registry.create(self.mode, self.settings())
        return mode.make_provider(), mode.make_store()  # type: ignore[attr-defined]  # CloudMode

    @property
    def provider(self) -> Provider:
        """Who rents machines out."""
        return self._rooms[0]

    @property
    def store(self) -> Store:
        """The bucket."""
        return self._rooms[1]

    def machines(self, sweep: str) -> list[Machine]:
        """Return all machines of a sweep, whether they are gone or not."""
        return self.provider.machines(sweep)

    def running(self, sweep: str) -> list[Machine]:
        """Return the machines of a sweep that are not gone, or whose programs run."""
        return [
            machine
            for machine in self.machines(sweep)
            if machine.standing is not Standing.GONE or self._works(machine)
        ]

    def _works(self, machine: Machine) -> bool:
        told = self.control("GET", f"machines/{machine.id}")
        return bool(told["running"]) and told["state"] != "gone"

    def end_all(self, sweep: str) -> list[str]:
        """Wait until no machine of a sweep runs, and its containers are gone; end what does not.

        Returns
        -------
        list
            What had to be ended.
        """
        deadline = time.monotonic() + ENDED_S
        while (left := self.running(sweep)) and time.monotonic() < deadline:
            time.sleep(0.1)
        self.provider.end(left)
        found = [f"machine {machine.id} ({machine.standing.value})" for machine in left]
        for machine in self.machines(sweep):
            containers = containers_of(machine.id)
            while containers and time.monotonic() < deadline:
                time.sleep(0.1)
                containers = containers_of(machine.id)
            if containers:
                subprocess.run(["docker", "rm", "--force", *containers], check=True)
                found.append(f"containers of {machine.id}")
        return found

    def keys(self, base: str) -> list[str]:
        """Return what is in the bucket below a prefix."""
        return [each.key for each in self.store.list(base)]

    @contextlib.contextmanager
    def fault(self, **fields: Any) -> Iterator[None]:
        """Have requests go wrong for as long as this lasts."""
        told = self.control("POST", "faults", fields)
        try:
            yield
        finally:
            self.control("DELETE", f"faults/{told['id']}")

    def mark(self) -> int:
        """Return a mark, from which `calls` counts."""
        told: int = self.control("GET", "requests")["mark"]
        return told

    def calls(self, since: int, path: str, *, of: str = "") -> Counter[str]:
        """Return how often what has been asked since a mark, of a path; by a machine, or by all."""
        asked = f"requests?since={since}&path={quote(path, safe='')}" + (of and f"&machine={of}")
        return Counter(self.control("GET", asked)["counts"])


def sweeps_below(top: Path) -> list[Sweep]:
    """Return the sweeps in a directory and below."""
    found = []
    for folder, folders, names in os.walk(top):
        if Path(folder).name == ".launchkit" and "sweep.json" in names:
            found.append(Sweep.open(Path(folder).parent))
            folders.clear()
    return found


def containers_of(machine: str) -> list[str]:
    """Return the containers of a machine, whether they run or not."""
    listed = ["docker", "ps", "--all", "--quiet", "--filter", f"label=launchkit.tag={machine}"]
    return subprocess.run(listed, capture_output=True, text=True, check=True).stdout.split()


def places_of(sweep: Sweep) -> list[Path]:
    """Return where a sweep's directory is on the machines that run."""
    found = []
    for path in MACHINES.glob(f"*/{sweep.directory.name}/.launchkit/sweep.json"):
        with contextlib.suppress(OSError, ValueError):
            if json.loads(path.read_text())["id"] == sweep.id:
                found.append(path.parents[1])
    return found


def new_prefix() -> str:
    """Return a prefix that is nobody else's, by which a test finds its machines and requests."""
    return f"{PREFIX}-{os.getpid()}-{next(NUMBERS)}"


def wait_until(true: Callable[[], Any], what: str, seconds: float = PATIENCE_S) -> Any:
    """Return the first true result; it is a failure if there is none in time."""
    deadline = time.monotonic() + seconds
    while not (result := true()):
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.05)
    return result


def only(pattern: str) -> str:
    """Return a regular expression for requests about keys below a prefix."""
    return f".*{re.escape(pattern)}.*"
