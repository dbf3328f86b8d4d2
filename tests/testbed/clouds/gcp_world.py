"""What there is in the simulated Google Cloud: instances, operations, and how short it is."""

from __future__ import annotations

import itertools
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import gcp_catalog as catalog
from gcp_objects import stamp

_MANY_IDS = itertools.count(int(time.time() * 1000) * 1_000_000)


def new_id() -> str:
    """Return the number of a new resource."""
    return str(next(_MANY_IDS))


@dataclass
class Operation:
    """Something that takes its time."""

    kind: str
    project: str
    zone: str
    target: str
    target_id: str
    user: str = "system@google.com"
    request_id: str = ""
    id: str = field(default_factory=new_id)
    inserted: float = field(default_factory=time.time)
    ended: float | None = None
    status: str = "PENDING"
    error: dict[str, Any] | None = None
    message: str = ""
    done: threading.Event = field(default_factory=threading.Event, repr=False)
    name: str = field(
        default_factory=lambda: f"operation-{int(time.time() * 1000)}-{uuid.uuid4().hex[:13]}"
    )

    def end(self, error: dict[str, Any] | None = None) -> None:
        """It is over, well or with an error ``{"code": ..., "message": ...}``."""
        self.error, self.ended, self.status = error, time.time(), "DONE"
        self.done.set()

    def resource(self) -> dict[str, Any]:
        """Return it as the API shows it."""
        zone = catalog.project_link(self.project, "zones", self.zone)
        shown: dict[str, Any] = {
            "kind": "compute#operation",
            "id": self.id,
            "name": self.name,
            "zone": zone,
            "operationType": self.kind,
            "targetLink": self.target,
            "targetId": self.target_id,
            "status": self.status,
            "user": self.user,
            "progress": 100 if self.status == "DONE" else 0,
            "insertTime": stamp(self.inserted),
            "startTime": stamp(self.inserted),
            "selfLink": f"{zone}/operations/{self.name}",
        }
        if self.ended is not None:
            shown["endTime"] = stamp(self.ended)
        if self.message:
            shown["statusMessage"] = self.message
        if self.error is not None:
            status = self.error.get("status", 503)
            words = {503: "SERVICE UNAVAILABLE", 403: "FORBIDDEN", 400: "BAD REQUEST"}
            error = {k: v for k, v in self.error.items() if k != "status"}
            shown["error"] = {"errors": [error]}
            shown["httpErrorStatusCode"] = status
            shown["httpErrorMessage"] = words.get(status, "ERROR")
        return shown


@dataclass
class Instance:
    """An instance. `end` is what happens to it when it stops: ``DELETE`` or ``STOP``."""

    name: str
    project: str
    zone: str
    fields: dict[str, Any]
    kind: catalog.MachineType
    spot: bool
    gpus: list[tuple[str, int]]
    disk_gb: int
    end: str = "STOP"
    lifetime_s: float | None = None
    id: str = field(default_factory=new_id)
    status: str = "PROVISIONING"
    created: float = field(default_factory=time.time)
    started: float | None = None
    stopped: float | None = None
    preempted: bool = False
    machine: Any = field(default=None, repr=False)
    """The `SimulatedMachine`, once there is one."""

    @property
    def link(self) -> str:
        """Its address in the API."""
        return catalog.project_link(self.project, "zones", self.zone, "instances", self.name)

    @property
    def address(self) -> str:
        """The machine's address; empty as long as it has none."""
        return str(self.machine.address) if self.machine is not None else ""

    @property
    def metadata(self) -> dict[str, str]:
        """Its metadata, by key."""
        items = self.fields.get("metadata", {}).get("items", [])
        return {item["key"]: item.get("value", "") for item in items}

    @property
    def email(self) -> str:
        """Its service account; empty if it has none."""
        accounts = self.fields.get("serviceAccounts") or [{}]
        return str(accounts[0].get("email", ""))

    @property
    def scopes(self) -> list[str]:
        """What its service account may be used for."""
        accounts = self.fields.get("serviceAccounts") or [{}]
        return list(accounts[0].get("scopes", []))

    def resource(self) -> dict[str, Any]:
        """Return it as the API shows it."""
        shown = {
            **self.fields,
            "kind": "compute#instance",
            "id": self.id,
            "creationTimestamp": stamp(self.created),
            "name": self.name,
            "status": self.status,
            "selfLink": self.link,
            "zone": catalog.project_link(self.project, "zones", self.zone),
            "cpuPlatform": "Intel Broadwell",
            "startRestricted": False,
            "labelFingerprint": "42WmSpB8rSM=",
            "fingerprint": "9nHBnJg1Sws=",
        }
        if self.address:
            first, *others = self.fields["networkInterfaces"]
            shown["networkInterfaces"] = [{**first, "networkIP": self.address}, *others]
        if self.started is not None:
            shown["lastStartTimestamp"] = stamp(self.started)
            if self.lifetime_s is not None:
                end = stamp(self.started + self.lifetime_s)
                shown["resourceStatus"] = {"scheduling": {"terminationTimestamp": end}}
        if self.stopped is not None:
            shown["lastStopTimestamp"] = stamp(self.stopped)
        return shown


@dataclass
class Shortage:
    """How short the cloud is.

    Parameters
    ----------
    zones
        How many more instances a zone has to give; without an entry, as many as are wanted.
    quotas
        Quotas of regions that differ from the usual: ``{"us-central1": {"CPUS": 8}}``; the
        project's own are under the empty name.
    delay_s
        How long an operation takes.
    quota_answers
        Whether an exceeded quota is told by the answer already, not by the operation: Google
        does either.
    script
        Only instances with this text in their start-up script are refused.
    """

    zones: dict[str, int] = field(default_factory=dict)
    quotas: dict[str, dict[str, float]] = field(default_factory=dict)
    delay_s: float = 0.2
    quota_answers: bool = False
    script: str = ""

    def concerns(self, instance: Instance) -> bool:
        """Say whether an instance may be refused at all."""
        return self.script in instance.metadata.get("startup-script", "")


class World:
    """The instances and operations; `lock` is held by whoever looks or changes."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.instances: dict[tuple[str, str], Instance] = {}
        self.operations: list[Operation] = []
        self.shortage = Shortage()

    def clear(self) -> None:
        """Forget all of it."""
        with self.lock:
            self.instances.clear()
            self.operations.clear()
            self.shortage = Shortage()

    def find(self, zone: str, name: str) -> Instance | None:
        """Return an instance, by its name or number."""
        with self.lock:
            if found := self.instances.get((zone, name)):
                return found
            for instance in self.instances.values():
                if instance.zone == zone and instance.id == name:
                    return instance
        return None

    def note(self, operation: Operation) -> Operation:
        """Remember an operation."""
        with self.lock:
            self.operations.append(operation)
        return operation

    def repeated(self, request_id: str) -> Operation | None:
        """Return the operation that a request has begun already."""
        with self.lock:
            for operation in self.operations:
                if request_id and operation.request_id == request_id:
                    return operation
        return None

    def limits(self, region: str) -> dict[str, float]:
        """Return the quotas of a region; of the project, for the empty name."""
        usual = catalog.QUOTAS if region else catalog.PROJECT_QUOTAS
        return {**usual, **self.shortage.quotas.get(region, {})}

    def usage(self, region: str) -> dict[str, float]:
        """Return how much of each quota is used."""
        used = dict.fromkeys(self.limits(region), 0.0)
        with self.lock:
            for instance in self.instances.values():
                if region not in ("", catalog.ZONES[instance.zone]):
                    continue
                for metric, many in self.needs(instance):
                    if metric in used:
                        used[metric] += many
        return used

    def needs(self, instance: Instance) -> Iterator[tuple[str, float]]:
        """Go through what an instance takes of the quotas."""
        yield "DISKS_TOTAL_GB", instance.disk_gb
        yield "INSTANCES", 1
        if instance.status == "TERMINATED":
            return
        spot_cpus = self.limits(catalog.ZONES[instance.zone]).get("PREEMPTIBLE_CPUS", 0) > 0
        yield (
            "PREEMPTIBLE_CPUS" if instance.spot and spot_cpus else instance.kind.quota,
            float(instance.kind.cpus),
        )
        yield "CPUS_ALL_REGIONS", instance.kind.cpus
        yield "IN_USE_ADDRESSES", 1
        for gpu, many in instance.gpus:
            yield catalog.quota_of_gpu(gpu, spot=instance.spot), many
            yield "GPUS_ALL_REGIONS", many

    def exceeded(self, instance: Instance) -> dict[str, Any] | None:
        """Return the error if an instance would exceed a quota."""
        if not self.shortage.concerns(instance):
            return None
        region = catalog.ZONES[instance.zone]
        for place in (region, ""):
            limits, used = self.limits(place), self.usage(place)
            for metric, many in self.needs(instance):
                if metric in limits and used[metric] + many > limits[metric]:
                    where = f"in region {place}" if place else "globally"
                    return {
                        "code": "QUOTA_EXCEEDED",
                        "message": (
                            f"Quota '{metric}' exceeded.  Limit: {limits[metric]:.1f} {where}."
                        ),
                        "status": 403,
                    }
        return None

    def exhausted(self, instance: Instance) -> dict[str, Any] | None:
        """Take an instance's room in its zone; return the error if there is none."""
        with self.lock:
            left = self.shortage.zones.get(instance.zone)
            if left is None or not self.shortage.concerns(instance):
                return None
            if left > 0:
                self.shortage.zones[instance.zone] = left - 1
                return None
        return {
            "code": "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS",
            "message": (
                f"The zone '{catalog.project_link(instance.project, 'zones', instance.zone)}' "
                "does not have enough resources available to fulfill the request. "
                f"'(resource type:compute)'."
            ),
            "status": 503,
        }
