"""What is asked for with ``instances.insert``: whether it makes sense, and what comes of it."""

from __future__ import annotations

import re
from typing import Any

import gcp_catalog as catalog
from gcp_accounts import Accounts
from gcp_web import Problem, bad_request
from gcp_world import Instance

_VALUE_MOST, _METADATA_MOST = 256 * 1024, 512 * 1024
_TERMINATE = "TERMINATE"


def instance(body: dict[str, Any], project: str, zone: str, accounts: Accounts) -> Instance:
    """Return the instance that a body asks for; its fields are of the right types already.

    Raises
    ------
    Problem
        If Google would refuse it.
    """
    name = body.get("name", "")
    if not re.fullmatch(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", name):
        raise _invalid(
            "name", name, "Must be a match of regex '(?:[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?)'"
        )
    kind = _machine_type(body.get("machineType", ""), project, zone)
    gpus = _gpus(body, kind, zone)
    scheduling = _scheduling(body.get("scheduling", {}), has_gpus=bool(gpus))
    disks, disk_gb = _disks(body.get("disks", []), project, zone)
    _check_labels(body.get("labels", {}))
    _check_metadata(body.get("metadata", {}).get("items", []))
    fields = {
        **body,
        "machineType": catalog.project_link(project, "zones", zone, "machineTypes", kind.name),
        "disks": disks,
        "networkInterfaces": _networks(body.get("networkInterfaces", []), project, zone),
        "scheduling": scheduling,
        "metadata": {"kind": "compute#metadata", "fingerprint": "", **body.get("metadata", {})},
        "serviceAccounts": _service_accounts(body.get("serviceAccounts", []), accounts),
        "tags": {"fingerprint": "42WmSpB8rSM=", **body.get("tags", {})},
        "deletionProtection": body.get("deletionProtection", False),
    }
    life = scheduling.get("maxRunDuration")
    return Instance(
        name=name,
        project=project,
        zone=zone,
        fields=fields,
        kind=kind,
        spot=bool(scheduling["preemptible"]),
        gpus=gpus,
        disk_gb=disk_gb,
        end=scheduling.get("instanceTerminationAction", "STOP"),
        lifetime_s=float(life["seconds"]) if life else None,
    )


def _invalid(field: str, value: Any, why: str) -> Problem:
    return bad_request(f"Invalid value for field 'resource.{field}': '{value}'. {why}.")


def _last(field: str, link: str, kind: str, place: str, project: str) -> str:
    """Return the name at the end of a link, whole or partial, to a resource of a place."""
    pattern = rf"(?:https://(?:www|compute)\.googleapis\.com/compute/v1/)?(?:projects/([^/]+)/)?{place}/{kind}/([\w.-]+)"
    found = re.fullmatch(pattern, link)
    if found is None or found[1] not in (None, project):
        raise _invalid(field, link, "The URL is malformed")
    return found[2]


def _machine_type(link: str, project: str, zone: str) -> catalog.MachineType:
    name = _last("machineType", link, "machineTypes", f"zones/{zone}", project)
    kind = catalog.MACHINE_TYPES.get(name)
    if kind is None or zone not in kind.zones:
        raise _invalid(
            "machineType", link, f"Machine type with name '{name}' does not exist in zone '{zone}'"
        )
    return kind


def _gpus(body: dict[str, Any], kind: catalog.MachineType, zone: str) -> list[tuple[str, int]]:
    wanted = []
    for order in body.get("guestAccelerators", []):
        link = order.get("acceleratorType", "")
        name = link.rpartition("/")[2]
        many = order.get("acceleratorCount", 0)
        _, most, zones = catalog.GPUS.get(name, ("", 0, ()))
        if zone not in zones or f"zones/{zone}/acceleratorTypes/" not in link:
            raise _invalid(
                "guestAccelerators[0].acceleratorType", link,
                "The referenced acceleratorType resource cannot be found"
            )  # fmt: skip
        if not 1 <= many <= most:
            raise _invalid("guestAccelerators[0].acceleratorCount", many, f"It must be 1 to {most}")
        wanted.append((name, many))
    if wanted and not kind.extra_gpus and wanted != list(kind.gpus):
        raise bad_request(
            f"[{kind.name}, {wanted[0][0]}] features are not compatible for creating instance."
        )
    return wanted or list(kind.gpus)


def _scheduling(told: dict[str, Any], *, has_gpus: bool) -> dict[str, Any]:
    model = told.get("provisioningModel", "STANDARD")
    spot = model == "SPOT" or told.get("preemptible", False)
    action = told.get("instanceTerminationAction")
    maintenance = told.get("onHostMaintenance", _TERMINATE if spot else "MIGRATE")
    restart = told.get("automaticRestart", not spot)
    if told.get("preemptible") and "provisioningModel" in told and model != "SPOT":
        raise bad_request("Scheduling must have preemptible be false when provisioningModel is "
                          "STANDARD.")  # fmt: skip
    if model == "SPOT" and told.get("preemptible") is False:
        raise bad_request(
            "Scheduling must have preemptible be true when provisioningModel is SPOT."
        )
    if spot and restart:
        raise bad_request(
            "Scheduling must have automaticRestart be false when preemptible is true."
        )
    if (spot or has_gpus) and maintenance != _TERMINATE:
        why = "preemptible is true" if spot else "guest accelerators are attached"
        raise bad_request(f"onHostMaintenance must be set to TERMINATE when {why}.")
    life = told.get("maxRunDuration")
    if action is not None and model != "SPOT" and life is None and "terminationTime" not in told:
        raise bad_request(
            "You cannot specify a termination action for a VM instance that has the standard "
            "provisioning model (default). To use instance termination action, the VM instance "
            "must use the Spot provisioning model or have a limited run time."
        )
    if life is not None:
        seconds = int(life.get("seconds", 0))
        if not 30 <= seconds <= 120 * 86400:
            raise _invalid(
                "scheduling.maxRunDuration", seconds, "It must be 30 seconds to 120 days"
            )
        if action is None:
            raise bad_request("instanceTerminationAction must be set with maxRunDuration.")
    return {
        **told,
        "provisioningModel": "SPOT" if spot else model,
        "preemptible": spot,
        "automaticRestart": restart,
        "onHostMaintenance": maintenance,
    }


def _disks(
    disks: list[dict[str, Any]], project: str, zone: str
) -> tuple[list[dict[str, Any]], int]:
    if sum(disk.get("boot", False) for disk in disks) != 1 or not disks[0].get("boot"):
        raise _invalid("disks", "", "Boot disk must be specified, as the first one")
    shown, total = [], 0
    for i, disk in enumerate(disks):
        told = disk.get("initializeParams", {})
        link = told.get("sourceImage", "")
        image = find_image(link)
        if image is None and (disk.get("boot") or link):
            raise _invalid(f"disks[{i}].initializeParams.sourceImage", link,
                           "The referenced image resource cannot be found")  # fmt: skip
        least = image.disk_gb if image else 10
        size = int(told.get("diskSizeGb", least))
        if size < least:
            raise _invalid(
                f"disks[{i}].initializeParams.diskSizeGb", size,
                f"Requested disk size cannot be smaller than the image size ({least} GB)"
            )  # fmt: skip
        if "diskType" in told:
            kind = _last(f"disks[{i}].initializeParams.diskType", told["diskType"], "diskTypes",
                         f"zones/{zone}", project)  # fmt: skip
            if kind not in catalog.DISK_TYPES:
                raise _invalid(f"disks[{i}].initializeParams.diskType", kind,
                               "The referenced diskType resource cannot be found")  # fmt: skip
        total += size
        shown.append(
            {
                **{k: v for k, v in disk.items() if k != "initializeParams"},
                "kind": "compute#attachedDisk",
                "type": "PERSISTENT",
                "mode": "READ_WRITE",
                "index": i,
                "diskSizeGb": str(size),
                "interface": "SCSI",
            }
        )
    return shown, total


def find_image(link: str) -> catalog.Image | None:
    """Return the image that a link means: one by its name, or the newest of a family."""
    found = re.fullmatch(
        r"(?:https://(?:www|compute)\.googleapis\.com/compute/v1/)?"
        r"projects/([^/]+)/global/images/(family/)?([\w.-]+)",
        link,
    )
    if found is None:
        return None
    return family(found[1], found[3]) if found[2] else image(found[1], found[3])


def image(project: str, name: str) -> catalog.Image | None:
    """Return an image."""
    for candidate in catalog.IMAGES:
        if (candidate.project, candidate.name) == (project, name):
            return candidate
    return None


def family(project: str, name: str) -> catalog.Image | None:
    """Return the newest image of a family that is not deprecated."""
    images = [
        candidate
        for candidate in catalog.IMAGES
        if (candidate.project, candidate.family, candidate.state) == (project, name, "")
    ]
    return max(images, key=lambda candidate: candidate.created, default=None)


def _networks(told: list[dict[str, Any]], project: str, zone: str) -> list[dict[str, Any]]:
    if not told:
        raise _invalid("networkInterfaces", "", "At least one network interface is required")
    region = catalog.ZONES[zone]
    network = told[0].get("network", "global/networks/default")
    subnet = told[0].get("subnetwork", f"regions/{region}/subnetworks/default")
    if _last("networkInterfaces[0].network", network, "networks", "global", project) != "default":
        raise _invalid("networkInterfaces[0].network", network,
                       "The referenced network resource cannot be found")  # fmt: skip
    name = _last(
        "networkInterfaces[0].subnetwork", subnet, "subnetworks", f"regions/{region}", project
    )
    if name not in catalog.SUBNETS:
        raise _invalid("networkInterfaces[0].subnetwork", subnet,
                       "The referenced subnetwork resource cannot be found")  # fmt: skip
    return [
        {
            **interface,
            "kind": "compute#networkInterface",
            "name": f"nic{i}",
            "network": catalog.project_link(project, "global/networks/default"),
            "subnetwork": catalog.project_link(project, "regions", region, "subnetworks", name),
        }
        for i, interface in enumerate(told)
    ]


def _service_accounts(told: list[dict[str, Any]], accounts: Accounts) -> list[dict[str, Any]]:
    if len(told) > 1:
        raise _invalid("serviceAccounts", "", "At most one service account can be specified")
    shown = []
    for account in told:
        email = account.get("email", "default")
        if email == "default":
            email = accounts.compute_default
        if not accounts.exists(email):
            raise _invalid(
                "serviceAccounts[0].email", email, f"The resource '{email}' of type "
                "'serviceAccount' was not found"
            )  # fmt: skip
        shown.append({"email": email, "scopes": account.get("scopes", [])})
    return shown


def _check_labels(labels: dict[str, str]) -> None:
    if len(labels) > 64:
        raise _invalid("labels", len(labels), "There can be at most 64 labels")
    for key, value in labels.items():
        if not re.fullmatch(r"[a-z][a-z0-9_-]{0,62}", key):
            raise _invalid("labels", key, "Label keys must match regex '[a-z][a-z0-9_-]{0,62}'")
        if not re.fullmatch(r"[a-z0-9_-]{0,63}", value):
            raise _invalid("labels", value, "Label value must match regex '[a-z0-9_-]{0,63}'")


def _check_metadata(items: list[dict[str, Any]]) -> None:
    keys = [item.get("key", "") for item in items]
    if len(set(keys)) != len(keys):
        raise bad_request(f"Metadata has duplicate keys: {', '.join(sorted(keys))}")
    sizes = [len(item.get("value", "").encode()) for item in items]
    if max(sizes, default=0) > _VALUE_MOST:
        raise _invalid("metadata.items", "", f"A value must be at most {_VALUE_MOST} bytes long")
    if sum(sizes) + sum(map(len, keys)) > _METADATA_MOST:
        raise _invalid("metadata", "", f"All of it must be at most {_METADATA_MOST} bytes long")
