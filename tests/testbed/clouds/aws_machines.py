"""The machines behind moto's instances: an instance is as its machine is."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aws_facts import Credentials, facts
from aws_metadata import InstanceMetadata
from aws_moto import Moto
from machine_runner import MachineOptions, SimulatedMachine
from moto.ec2.models.instances import StateReason

_STATES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopped": 80}
_NOTICE_S = 120.0
_END_S = 15.0
"""So long is waited for machines that are killed together."""

_SHUT_DOWN = ("Client.InstanceInitiatedShutdown", "Instance initiated shutdown")
_BROKEN = ("Server.InternalError", "An internal error caused the instance to terminate")
_TAKEN = ("Server.SpotInstanceTermination", "Instance terminated due to a Spot interruption")


@dataclasses.dataclass
class Next:
    """What machines are like that are started from now on.

    Parameters
    ----------
    script
        A text that their user-data must have; all machines are meant if it is empty.
    count
        How many machines; None for all.
    hide, install, programs, minute_s, slow_start_s, grace_s
        As `MachineOptions` has them.
    env
        More of their environment.
    credentials_s
        For how many seconds the credentials of their role are good.
    boot
        Whether they run anything at all.
    """

    script: str = ""
    count: int | None = None
    hide: list[str] = dataclasses.field(default_factory=list)
    install: list[str] = dataclasses.field(default_factory=list)
    programs: dict[str, str] = dataclasses.field(default_factory=dict)
    env: dict[str, str] = dataclasses.field(default_factory=dict)
    slow_start_s: float = 0.0
    minute_s: float = 60.0
    grace_s: float = 5.0
    credentials_s: float = 21600.0
    boot: bool = True


@dataclasses.dataclass
class Rented:
    """A machine, and the instance that it is in moto.

    Parameters
    ----------
    machine
        The machine.
    instance
        The instance.
    likeness
        What was said of such machines before it was started.
    wanted
        How the instance is to be when the machine is gone; empty if that is not decided.
    reason
        The code and the words of the reason for that, if they are not moto's.
    notice
        When it is taken back, in seconds since the epoch.
    settled
        Whether nothing will become of it any more.
    """

    machine: SimulatedMachine
    instance: Any
    likeness: Next
    wanted: str = ""
    reason: tuple[str, str] | None = None
    notice: float | None = None
    settled: bool = False

    @property
    def region(self) -> str:
        """Where it is."""
        return str(self.instance.region_name)

    @property
    def market(self) -> str:
        """``spot`` or ``on-demand``."""
        return str(self.instance.lifecycle or "on-demand")


class Machines:
    """All machines.

    Parameters
    ----------
    directory
        Where they are kept.
    moto
        Who has their instances.
    environment
        The environment of their user-data.
    programs
        What they have beside the programs of this machine.
    """

    def __init__(
        self,
        directory: Path,
        moto: Moto,
        environment: Mapping[str, str],
        programs: Mapping[str, Path | str],
    ) -> None:
        self.credentials = Credentials(moto)
        self.lock = threading.RLock()
        self._directory = directory
        self._moto = moto
        self._environment = environment
        self._programs = programs
        self._rented: dict[str, Rented] = {}
        self._next: list[Next] = []

    def rent(self, instance: Any, script: bytes) -> None:
        """Start the machine of an instance."""
        likeness = self._take_next(script.decode(errors="replace"))
        machine = SimulatedMachine(
            instance.id,
            script,
            InstanceMetadata(lambda: self._facts(instance.id)),
            self._directory,
            self._options(instance, likeness),
            self._ended,
        )
        self._rented[instance.id] = Rented(machine, instance, likeness)
        if likeness.boot:
            _set_state(instance, "pending")
            machine.start()
        else:
            machine.state = "running"

    def all(self) -> list[Rented]:
        """Return them."""
        return list(self._rented.values())

    def get(self, id: str) -> Rented:
        """Return a machine.

        Raises
        ------
        LookupError
            If there is none of that id.
        """
        try:
            return self._rented[id]
        except KeyError:
            raise LookupError(f"there is no machine {id}") from None

    def at(self, address: str) -> str:
        """Return the id of the machine with an address; empty if there is none."""
        for rented in self.all():
            if rented.machine.address == address and not rented.settled:
                return rented.machine.id
        return ""

    def end(self, id: str, wanted: str) -> None:
        """Shut down the machine of an instance that moto has terminated or stopped."""
        rented = self._rented.get(id)
        if rented is not None and not rented.wanted:
            self._decide(rented, wanted)
            rented.machine.end()

    def settle(self) -> None:
        """Let all instances be as their machines are."""
        for rented in self.all():
            if not rented.settled:
                _settle(rented)

    # What tests ask.

    def next(self, **fields: Any) -> None:
        """Say what machines are like that are started from now on."""
        with self.lock:
            self._next.insert(0, Next(**fields))

    def forget_next(self, script: str = "") -> None:
        """Let machines be as usual, or those with a text in their user-data."""
        with self.lock:
            self._next = [each for each in self._next if script and each.script != script]

    def told(self, id: str) -> dict[str, Any]:
        """Describe a machine."""
        rented = self.get(id)
        with self.lock:
            self.settle()
        return {
            **rented.machine.status(),
            "region": rented.region,
            "instance_state": rented.instance.state,
            "notice": rented.notice,
        }

    def interrupt(self, id: str, seconds: float = _NOTICE_S) -> None:
        """Take a machine back, as spot machines are, after a notice."""
        rented = self.get(id)
        rented.notice = time.time() + seconds
        timer = threading.Timer(seconds, self._kill, (rented, _TAKEN))
        timer.daemon = True
        timer.start()

    def die(self, id: str) -> None:
        """Let a machine break down."""
        self._kill(self.get(id), _BROKEN)

    def hang(self, id: str) -> None:
        """Cut a machine off."""
        self.get(id).machine.cut_network()

    def mend(self, id: str) -> None:
        """Connect a machine again."""
        self.get(id).machine.mend_network()

    def reset(self) -> None:
        """Begin anew, without any; they are killed."""
        with self.lock:
            doomed = self.all()
            self._rented.clear()
            self._next.clear()
            self.credentials.reset()
        alive = [each.machine for each in doomed if each.likeness.boot and not each.settled]
        for machine in alive:
            machine.kill()
        limit = time.monotonic() + _END_S
        for machine in alive:
            machine.join(max(0.0, limit - time.monotonic()))

    def _take_next(self, script: str) -> Next:
        for each in self._next:
            if each.script in script and each.count != 0:
                if each.count is not None:
                    each.count -= 1
                return each
        return Next()

    def _options(self, instance: Any, likeness: Next) -> MachineOptions:
        return MachineOptions(
            environment={**self._environment, **likeness.env},
            programs={**self._programs, **likeness.programs},
            hide=likeness.hide,
            install=likeness.install,
            hostname=str(instance.private_dns_name).partition(".")[0],
            slow_start_s=likeness.slow_start_s,
            minute_s=likeness.minute_s,
            grace_s=likeness.grace_s,
        )

    def _ended(self, machine: SimulatedMachine, how: str) -> None:
        with self.lock:
            rented = self._rented.get(machine.id)
            if rented is None:
                return
            if not rented.wanted:
                behaviour = rented.instance.instance_initiated_shutdown_behavior
                if how == "shutdown":
                    wanted = "terminated" if behaviour == "terminate" else "stopped"
                    self._decide(rented, wanted, _SHUT_DOWN)
                else:
                    self._decide(rented, "terminated", _BROKEN)
            _settle(rented)

    def _kill(self, rented: Rented, reason: tuple[str, str]) -> None:
        with self.lock:
            if not rented.wanted:
                self._decide(rented, "terminated", reason)
        rented.machine.kill()

    def _decide(self, rented: Rented, wanted: str, reason: tuple[str, str] | None = None) -> None:
        rented.wanted = wanted
        rented.reason = reason
        if rented.instance.state not in ("terminated", "stopped"):
            if wanted == "terminated":
                self._moto.ec2(rented.region).terminate_instances([rented.instance.id])
            else:
                rented.instance.stop()
        if not rented.likeness.boot:
            rented.machine.state = "gone"

    def _facts(self, id: str) -> dict[str, str]:
        with self.lock:
            rented = self.get(id)
            links = self._moto.ec2(rented.region).iam_instance_profile_associations
            profile = links[id].iam_instance_profile if id in links else None
            lifetime = rented.likeness.credentials_s
            credentials = {
                role.name: self.credentials.of(id, role.arn, rented.region, lifetime)
                for role in (profile.roles[:1] if profile else ())
            }
        return facts(rented.instance, profile, rented.notice, rented.machine.script, credentials)


def _settle(rented: Rented) -> None:
    state, instance = rented.machine.state, rented.instance
    if rented.wanted and state == "gone":
        _set_state(instance, rented.wanted)
        rented.settled = True
    elif rented.wanted or state in ("ending", "gone"):
        _set_state(instance, "shutting-down")
    else:
        _set_state(instance, "pending" if state == "starting" else "running")
    if rented.reason is not None:
        code, words = rented.reason
        instance.state_reason = StateReason(f"{code}: {words}", code)


def _set_state(instance: Any, name: str) -> None:
    instance._state.name, instance._state.code = name, _STATES[name]
