"""Our machines in Google Cloud: those that are there, and what has become of the others."""

from __future__ import annotations

import datetime
import logging
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from launchkit.cloud import gce_names
from launchkit.cloud.gcp_api import Google
from launchkit.cloud.gcp_errors import failure
from launchkit.cloud.providers import Machine, Standing, Unreachable

_log = logging.getLogger(__name__)

PAGE = 500
_SCOPED = "items/*/warning/code,nextPageToken,unreachables"
INSTANCE_FIELDS = "name,zone,status,statusMessage,machineType,creationTimestamp,labels"
OPERATION_FIELDS = (
    "name,zone,operationType,targetLink,status,statusMessage,user,insertTime,"
    "error,httpErrorStatusCode,httpErrorMessage"
)
INSERT = "insert"
PREEMPTED = "compute.instances.preempted"
_ENDS = {
    PREEMPTED: "preempted",
    "compute.instances.hostError": "its host failed",
    "compute.instances.guestTerminate": "it shut itself down",
    "compute.instances.terminateOnHostMaintenance": "its host was maintained",
    "stop": "stopped",
    "delete": "deleted",
}
"""What ends a machine, the most telling first."""
_STANDINGS = {
    "PENDING": Standing.STARTING,
    "PROVISIONING": Standing.STARTING,
    "STAGING": Standing.STARTING,
    "RUNNING": Standing.RUNNING,
    "REPAIRING": Standing.RUNNING,
    "TERMINATED": Standing.GONE,
    "STOPPED": Standing.GONE,
    "SUSPENDED": Standing.GONE,
}
STOPPED = "it is stopped; its disk is still there"


@dataclass
class History:
    """What has been done to a machine.

    Parameters
    ----------
    bought
        When it was asked for with success, in seconds since the epoch; None if it never was.
    pending
        Whether a request for it is still under way.
    zone
        Where that was.
    failed
        How often it was asked for in vain, by zone.
    ended
        Why it is gone, in words; empty if nothing is known.
    reclaimed
        Whether Google has taken it back.
    """

    bought: float | None = None
    pending: bool = False
    zone: str = ""
    failed: dict[str, int] = field(default_factory=dict)
    ended: str = ""
    reclaimed: bool = False


class Look:
    """Asks what there is of our machines; a call for any number of them.

    Parameters
    ----------
    google
        Whom to ask.
    project
        Where they are.
    zones
        The zones without which the answer is none.
    """

    def __init__(self, google: Google, project: str, zones: Collection[str]) -> None:
        self._google = google
        self._project = project
        self._zones = frozenset(zones)

    def present(self, sweep: str | None) -> list[Machine]:
        """Return the machines that there are, of a sweep or of all."""
        wanted = f'(labels.{gce_names.LABEL} = "1")'
        fields = INSTANCE_FIELDS
        if sweep is None:
            # Only then it is asked where a sweep is; a start-up script is large.
            fields += ",metadata/items"
        else:
            wanted += f' AND (labels.{gce_names.SWEEP} = "{gce_names.label(sweep)}")'
        found = self._scoped("instances", "instances", wanted, fields, strictly=sweep is not None)
        return [_machine(each, sweep) for each in found]

    def histories(self, stem: str) -> dict[str, History]:
        """Return what has been done to the machines whose names begin so, by name."""
        wanted = f'targetLink eq ".*/instances/{stem}.*"'
        found: dict[str, History] = {}
        for operation in self._operations(wanted):
            machine = last(operation.get("targetLink", ""))
            if machine.startswith(stem):
                _note(found.setdefault(machine, History()), operation)
        return found

    def operations(self, stem: str) -> dict[str, Mapping[str, Any]]:
        """Return the operations on machines whose names begin so, by the operation's name."""
        wanted = f'targetLink eq ".*/instances/{stem}.*"'
        return {each["name"]: each for each in self._operations(wanted)}

    def _operations(self, wanted: str) -> list[Mapping[str, Any]]:
        found = self._scoped(
            "globalOperations", "operations", wanted, OPERATION_FIELDS, strictly=True
        )
        return sorted(found, key=lambda each: seconds(each.get("insertTime")))

    def _scoped(
        self, resource: str, items: str, wanted: str, fields: str, *, strictly: bool
    ) -> list[Mapping[str, Any]]:
        found: list[Mapping[str, Any]] = []
        unreachable: set[str] = set()
        for page in self._google.pages(
            getattr(self._google.api(), resource)(),
            "aggregatedList",
            f"{items} of project {self._project}",
            project=self._project,
            filter=wanted,
            maxResults=PAGE,
            fields=f"items/*/{items}({fields}),{_SCOPED}",
        ):
            unreachable.update(last(scope) for scope in page.get("unreachables", ()))
            for scope, content in page.get("items", {}).items():
                found += content.get(items, ())
                if content.get("warning", {}).get("code") == "UNREACHABLE":
                    unreachable.add(last(scope))
        self._judge(unreachable, strictly=strictly)
        return found

    def _judge(self, unreachable: set[str], *, strictly: bool) -> None:
        """Raise if there may be machines of which nothing was said."""
        if not unreachable:
            return
        where = ", ".join(sorted(unreachable))
        if strictly and self._zones & unreachable:
            raise Unreachable(f"Google Cloud cannot say now what there is in {where}")
        _log.warning("Google Cloud cannot say now what machines there are in %s", where)


def gone(name: str, history: History, sweep: str) -> Machine:
    """Return a machine that was bought and is there no longer."""
    return Machine(
        id=name,
        zone=history.zone,
        token=gce_names.token_of(name),
        pack=gce_names.pack_of(name),
        standing=Standing.GONE,
        launched=history.bought or 0.0,
        reason=history.ended,
        reclaimed=history.reclaimed,
        sweep=sweep,
    )


def with_end(machine: Machine, history: History) -> Machine:
    """Return a machine that is ending, or stopped, with the reason for that."""
    if not history.ended:
        return machine
    reason = f"{history.ended}; {machine.reason}" if machine.reason else history.ended
    return replace(machine, reason=reason, reclaimed=history.reclaimed)


def last(address: str) -> str:
    """Return the last part of an address: a thing's own name."""
    return address.rpartition("/")[2]


def seconds(stamp: str | None) -> float:
    """Return the seconds since the epoch of a time as Google writes it; 0 if there is none."""
    found = re.fullmatch(r"(.{19})(\.\d+)?(Z|[+-]\d\d:\d\d)", stamp or "")
    if found is None:
        return 0.0
    # Before Python 3.11, only fractions of three or six digits are understood.
    whole = datetime.datetime.fromisoformat(found[1] + found[3].replace("Z", "+00:00"))
    return whole.timestamp() + float(found[2] or 0)


def _machine(instance: Mapping[str, Any], sweep: str | None) -> Machine:
    labels = instance.get("labels", {})
    items: Iterable[Mapping[str, str]] = instance.get("metadata", {}).get("items", ())
    base = next((each.get("value", "") for each in items if each["key"] == gce_names.BASE), "")
    standing = _STANDINGS.get(instance.get("status", ""), Standing.ENDING)
    pack = labels.get(gce_names.PACK, "")
    stopped = standing is Standing.GONE
    if stopped and sweep is None:
        standing = Standing.ENDING  # its disk costs something until it is deleted
    return Machine(
        id=instance["name"],
        zone=last(instance.get("zone", "")),
        token=labels.get(gce_names.TOKEN, ""),
        pack=int(pack) if pack.isdigit() else gce_names.pack_of(instance["name"]),
        standing=standing,
        launched=seconds(instance.get("creationTimestamp")),
        kind=last(instance.get("machineType", "")),
        reason=STOPPED if stopped else "",
        sweep=labels.get(gce_names.SWEEP, "") if sweep is None else sweep,
        base=base,
        stopped=stopped,
    )


def _note(history: History, operation: Mapping[str, Any]) -> None:
    """Add an operation to what has been done to a machine; the earlier ones come first."""
    kind = operation.get("operationType", "")
    done = operation.get("status") == "DONE"
    zone = last(operation.get("zone", ""))
    error = failure(operation) if done else None
    if kind == INSERT:
        if error is not None:
            history.failed[zone] = history.failed.get(zone, 0) + 1
        else:
            history.bought = seconds(operation.get("insertTime"))
            history.pending = not done
            history.zone = zone
            history.ended, history.reclaimed = "", False
        return
    # The first is why it ended; those that follow clear it away.
    telling = kind == PREEMPTED or (kind in _ENDS and not history.ended)
    if telling and error is None and not history.reclaimed:
        history.reclaimed = kind == PREEMPTED
        history.ended = _reason(kind, operation)


def _reason(kind: str, operation: Mapping[str, Any]) -> str:
    """Return in words what has ended a machine."""
    said = operation.get("statusMessage", "")
    who = operation.get("user", "") if kind in ("stop", "delete") else ""
    return f"{_ENDS[kind]}{who and f' by {who}'}{said and f': {said}'}"
