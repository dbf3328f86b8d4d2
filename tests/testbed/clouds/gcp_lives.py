"""How instances live and end in the simulated Google Cloud; each is a machine that really runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import machine_network
from gcp_accounts import Accounts
from gcp_metadata import Metadata
from gcp_world import Instance, Operation, World
from machine_runner import MachineOptions, SimulatedMachine

_LAST_WORDS_S = {True: 30.0, False: 90.0}
"""How long the shutdown-script of a Spot machine may take, and that of another."""


@dataclass
class Next:
    """What machines are like that are started from now on.

    Parameters
    ----------
    script
        A text that their start-up script must have; all machines are meant if it is empty.
    count
        How many machines; None for all.
    hide, install, programs, slow_start_s, minute_s, grace_s
        As `MachineOptions` has them.
    env
        More of their environment.
    life_factor
        What the seconds of ``maxRunDuration`` are multiplied by.
    boot
        Whether they run anything at all.
    """

    script: str = ""
    count: int | None = None
    hide: list[str] = field(default_factory=list)
    install: list[str] = field(default_factory=list)
    programs: dict[str, str] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)
    slow_start_s: float = 0.0
    minute_s: float = 60.0
    grace_s: float = 5.0
    life_factor: float = 1.0
    boot: bool = True


@dataclass
class _Life:
    """The machine of an instance, and what waits for its end."""

    machine: SimulatedMachine
    metadata: Metadata
    timers: list[threading.Timer] = field(default_factory=list)
    waiting: list[Callable[[], None]] = field(default_factory=list)
    deleted: bool = False


class Lives:
    """Starts the machines of instances, and ends them.

    Parameters
    ----------
    world
        Where the instances are.
    accounts
        Theirs.
    directory
        Where machines are kept; None for instances that are only there by name.
    options
        What all machines have: environment, programs, hosts.
    """

    def __init__(
        self,
        world: World,
        accounts: Accounts,
        directory: Path | None = None,
        options: dict[str, Any] | None = None,
    ) -> None:
        self.likenesses: list[Next] = []
        """What was said of machines to come; of several that fit, the latest counts."""
        self._world = world
        self._accounts = accounts
        self._directory = directory
        self._options = options or {}
        self._lives: dict[str, _Life] = {}
        self._old: dict[str, SimulatedMachine] = {}

    def begin(self, instance: Instance, operation: Operation, short: dict[str, Any] | None) -> None:
        """Bring an instance up; or not, where the cloud is short of something."""
        threading.Thread(
            target=self._come_up,
            args=(instance, operation, short, self._likeness(instance)),
            daemon=True,
        ).start()

    def _likeness(self, instance: Instance) -> Next:
        script = instance.metadata.get("startup-script", "")
        with self._world.lock:
            for told in reversed(self.likenesses):
                if told.script in script and told.count != 0:
                    if told.count is not None:
                        told.count -= 1
                    return told
        return Next()

    def _come_up(
        self, instance: Instance, operation: Operation, short: dict[str, Any] | None, told: Next
    ) -> None:
        operation.status = "RUNNING"
        time.sleep(self._world.shortage.delay_s)
        short = short or self._world.exhausted(instance)
        with self._world.lock:
            if short is not None:
                self._forget(instance)
                operation.end(short)
                return
            if self._world.instances.get((instance.zone, instance.name)) is not instance:
                operation.end()
                return
            self._start(instance, told)
            instance.status, instance.started = "RUNNING", time.time()
            operation.end()

    def _start(self, instance: Instance, told: Next) -> None:
        if self._directory is None or not told.boot:
            return
        options = self._options
        metadata = Metadata(instance, self._accounts)
        last = instance.metadata.get("shutdown-script", "").encode()
        machine = SimulatedMachine(
            instance.name,
            instance.metadata.get("startup-script", "").encode(),
            metadata,
            self._directory,
            MachineOptions(
                environment={**options.get("environment", {}), **told.env},
                programs={**options.get("programs", {}), **told.programs},
                hide=told.hide,
                install=told.install,
                hosts={"metadata.google.internal": machine_network.METADATA,
                       **options.get("hosts", {})},
                hostname=instance.name,
                slow_start_s=told.slow_start_s,
                minute_s=told.minute_s,
                grace_s=told.grace_s,
                last_script=last if last.startswith(b"#!") else b"",
                last_script_s=_LAST_WORDS_S[instance.spot],
            ),
            lambda _machine, how: self._ended(instance, how),
        )  # fmt: skip
        life = _Life(machine, metadata)
        self._lives[instance.id] = life
        instance.machine = machine
        machine.start()
        if instance.lifetime_s is not None:
            self._later(life, instance.lifetime_s * told.life_factor, self._too_old, instance)

    @staticmethod
    def _later(life: _Life, seconds: float, do: Callable[..., None], *words: Any) -> None:
        timer = threading.Timer(seconds, do, words)
        timer.daemon = True
        life.timers.append(timer)
        timer.start()

    def _too_old(self, instance: Instance) -> None:
        """Its time is over."""
        self._by_system(instance, "delete" if instance.end == "DELETE" else "stop")

    def _by_system(self, instance: Instance, kind: str, message: str = "") -> None:
        operation = Operation(
            kind, instance.project, instance.zone, instance.link, instance.id, message=message
        )
        with self._world.lock:
            if instance.status in ("TERMINATED", "STOPPING"):
                return
            self._world.note(operation)
        (self.delete if instance.end == "DELETE" else self.stop)(instance, operation)

    def preempt(self, instance: Instance, seconds: float | None = None) -> None:
        """Take a machine back: it is told, has 30 seconds or so many, and is ended."""
        instance.preempted = True
        life = self._lives.get(instance.id)
        if life is not None:
            life.metadata.changed()
            self._later(life, _LAST_WORDS_S[True] if seconds is None else seconds,
                        life.machine.kill)  # fmt: skip
        self._by_system(instance, "compute.instances.preempted", "Instance was preempted.")

    def die(self, instance: Instance) -> None:
        """Let the machine's host break."""
        operation = Operation(
            "compute.instances.hostError",
            instance.project,
            instance.zone,
            instance.link,
            instance.id,
            message="Instance terminated by Compute Engine.",
        )
        self._world.note(operation)
        life = self._lives.get(instance.id)
        if life is None:
            self._stopped(instance, operation)
            return
        life.waiting.append(operation.end)
        life.machine.kill()

    def hang(self, instance: Instance, *, over: bool = False) -> None:
        """Cut the machine's network, or mend it."""
        life = self._lives.get(instance.id)
        if life is not None:
            (life.machine.mend_network if over else life.machine.cut_network)()

    def stop(self, instance: Instance, operation: Operation) -> None:
        """Stop an instance; it stays, as its disk does."""
        life = self._ending(instance)
        if life is None:
            self._stopped(instance, operation)
        else:
            life.waiting.append(operation.end)
            life.machine.end()

    def delete(self, instance: Instance, operation: Operation) -> None:
        """Stop an instance, and remove it."""
        life = self._ending(instance)
        if life is None:
            self._forget(instance)
            operation.end()
            return
        life.deleted = True
        life.waiting.append(operation.end)
        life.machine.end()

    def _ending(self, instance: Instance) -> _Life | None:
        with self._world.lock:
            life = self._lives.get(instance.id)
            if life is not None:
                instance.status = "STOPPING"
            return life

    def _stopped(self, instance: Instance, operation: Operation) -> None:
        instance.status, instance.stopped = "TERMINATED", time.time()
        operation.end()

    def _ended(self, instance: Instance, how: str) -> None:
        """The machine is gone, whoever wanted it."""
        with self._world.lock:
            life = self._lives.pop(instance.id)
            self._old[instance.id] = life.machine
            for timer in life.timers:
                timer.cancel()
            if life.deleted:
                self._forget(instance)
            else:
                instance.status, instance.stopped = "TERMINATED", time.time()
            if how == "shutdown" and not life.waiting:
                self._world.note(_guest_shutdown(instance)).end()
            for done in life.waiting:
                done()

    def _forget(self, instance: Instance) -> None:
        with self._world.lock:
            self._world.instances.pop((instance.zone, instance.name), None)

    def machine(self, instance: Instance) -> SimulatedMachine | None:
        """Return an instance's machine, also one that is gone."""
        life = self._lives.get(instance.id)
        return life.machine if life else self._old.get(instance.id)

    def at(self, address: str) -> str:
        """Return the name of the machine that has an address; empty if there is none."""
        with self._world.lock:
            for life in self._lives.values():
                if life.machine.address == address:
                    return life.machine.id
        return ""

    def console(self, instance: Instance) -> bytes:
        """Return what an instance has printed."""
        machine = self.machine(instance)
        try:
            return machine.console.read_bytes() if machine else b""
        except FileNotFoundError:
            return b""

    def status(self) -> list[dict[str, Any]]:
        """Describe all machines, gone ones too, for people and tests."""
        with self._world.lock:
            living = [life.machine for life in self._lives.values()]
            return [machine.status() for machine in [*self._old.values(), *living]]

    def kill_all(self, timeout: float = 20.0) -> None:
        """End all machines at once, and forget them."""
        with self._world.lock:
            lives = list(self._lives.values())
        for life in lives:
            life.deleted = True
            life.machine.kill()
        limit = time.monotonic() + timeout
        for life in lives:
            life.machine.join(max(limit - time.monotonic(), 0.1))
        with self._world.lock:
            self._old.clear()
            self.likenesses.clear()


def _guest_shutdown(instance: Instance) -> Operation:
    return Operation(
        "compute.instances.guestTerminate",
        instance.project,
        instance.zone,
        instance.link,
        instance.id,
        message="Instance terminated by guest OS shutdown.",
    )
