"""Machines, as EC2 describes them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from launchkit.cloud import ec2_request
from launchkit.cloud.providers import Machine, Standing

STANDINGS = {
    "pending": Standing.STARTING,
    "running": Standing.RUNNING,
    "shutting-down": Standing.ENDING,
    "stopping": Standing.ENDING,
    # Its disk is paid for, and it can be ended like any other.
    "stopped": Standing.ENDING,
    "terminated": Standing.GONE,
}
_TAKEN_BACK = re.compile(
    r"Server\.Spot|instance-(terminated|stopped)-(by-price|no-capacity|capacity-oversubscribed)"
    r"|spot instance (termination|interruption|shutdown)",
    re.IGNORECASE,
)


def machine(instance: Mapping[str, Any], more: Mapping[str, str] | None = None) -> Machine:
    """Return a machine from EC2's description of it.

    Parameters
    ----------
    instance
        The description.
    more
        Tags that it has without being described so.
    """
    tags = {**{each["Key"]: each["Value"] for each in instance.get("Tags", ())}, **(more or {})}
    standing = STANDINGS.get(instance["State"]["Name"], Standing.STARTING)
    reason = _reason(instance) if standing in (Standing.ENDING, Standing.GONE) else ""
    first = tags.get(ec2_request.FIRST_PACK, "")
    return Machine(
        id=instance["InstanceId"],
        zone=instance.get("Placement", {}).get("AvailabilityZone", ""),
        token=tags.get(ec2_request.TOKEN, ""),
        pack=(int(first) if first.isdigit() else 0) + instance.get("AmiLaunchIndex", 0),
        standing=standing,
        launched=instance["LaunchTime"].timestamp(),
        kind=instance.get("InstanceType", ""),
        reason=reason,
        reclaimed=bool(_TAKEN_BACK.search(reason)),
        sweep=tags.get(ec2_request.SWEEP, ""),
        base=tags.get(ec2_request.BASE, ""),
        stopped=instance["State"]["Name"] == "stopped",
    )


def region_of(zone: str) -> str:
    """Return the region of a zone; empty if that is not the name of one."""
    found = re.match(r"[a-z]{2}(?:-[a-z]+)+-\d+", zone)
    return found[0] if found else ""


def _reason(instance: Mapping[str, Any]) -> str:
    """Return why a machine ends, in EC2's words."""
    told = instance.get("StateReason") or {}
    code, message = str(told.get("Code", "")), str(told.get("Message", ""))
    if code and message and not message.startswith(code):
        return f"{code}: {message}"
    return message or code or str(instance.get("StateTransitionReason", ""))
