"""What an instance of Compute Engine is asked to be: the body of ``instances.insert``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from launchkit.cloud import gce_names
from launchkit.cloud.gcp_settings import GcpSettings

SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
HYPERDISK = frozenset(
    {"a4", "a4x", "c4", "c4a", "c4d", "g4", "h4d", "m4", "n4", "n4a", "n4d", "x4"}
)
"""The machines that take no persistent disk."""


@dataclass(frozen=True)
class Image:
    """A machine image.

    Parameters
    ----------
    link
        Its address, as the API wants it.
    name
        Its name.
    project
        Whose it is.
    family
        What it is the newest of; empty if it was named itself.
    architecture
        ``X86_64`` or ``ARM64``; empty if it does not say.
    disk_size
        Gigabytes that it takes at least.
    uefi
        Whether it starts under UEFI, which a shielded machine needs.
    """

    link: str
    name: str
    project: str
    family: str = ""
    architecture: str = ""
    disk_size: int = 0
    uefi: bool = True


@dataclass(frozen=True)
class Request:
    """A request for one machine.

    Parameters
    ----------
    name
        What it is to be called.
    zone
        Where it is to be.
    id
        By which Google knows the request again.
    metadata
        What the machine is told.
    labels
        What tells whose it is.
    """

    name: str
    zone: str
    id: str
    metadata: Mapping[str, str]
    labels: Mapping[str, str]


def body(settings: GcpSettings, request: Request, image: Image, lifetime_min: int) -> Any:
    """Return the body that asks for a machine.

    Parameters
    ----------
    settings
        What is wanted.
    request
        Which machine.
    image
        What is on its disk.
    lifetime_min
        Minutes after which Google deletes it, whatever runs there.
    """
    found = {
        "name": request.name,
        "description": f"launchkit: {request.metadata.get(gce_names.BASE, '')}",
        "machineType": f"zones/{request.zone}/machineTypes/{settings.instance_type}",
        "disks": [_disk(settings, request.zone, image)],
        "networkInterfaces": [_network(settings, request.zone)],
        "metadata": {
            "items": [{"key": key, "value": value} for key, value in request.metadata.items()]
        },
        "labels": dict(request.labels),
        "scheduling": _scheduling(settings, lifetime_min),
        "serviceAccounts": [{"email": account(settings), "scopes": list(SCOPES)}],
    }
    if settings.gpu_model:
        kind = f"zones/{request.zone}/acceleratorTypes/{settings.gpu_model}"
        found["guestAccelerators"] = [
            {
                "acceleratorType": f"projects/{settings.gcp_project}/{kind}",
                "acceleratorCount": settings.num_gpu,
            }
        ]
    if image.uefi:
        found["shieldedInstanceConfig"] = {
            # A driver that is built on the machine has no signature that it knows.
            "enableSecureBoot": not settings.use_gpu,
            "enableVtpm": True,
            "enableIntegrityMonitoring": True,
        }
    return {**found, **plain(settings.gcp_kwargs)}


def account(settings: GcpSettings) -> str:
    """Return the service account of the machines."""
    return settings.service_account or account_of(settings.gcp_project or "")


def account_of(project: str, name: str = "launchkit") -> str:
    """Return the address of a service account of a project."""
    # Projects of old domains are called example.com:project.
    domain, _, short = project.rpartition(":")
    where = f"{short}.{domain}" if domain else project
    return f"{name}@{where}.iam.gserviceaccount.com"


def subnet_link(settings: GcpSettings, zone: str) -> str:
    """Return the address of the subnet that is set, in the region of a zone."""
    subnet = settings.subnet or ""
    return subnet if "/" in subnet else f"regions/{region_of(zone)}/subnetworks/{subnet}"


def region_of(zone: str) -> str:
    """Return the region that a zone is in."""
    return zone.rpartition("-")[0]


def series(instance_type: str) -> str:
    """Return the series of a machine type: ``n2`` of ``n2-standard-4``."""
    return instance_type.partition("-")[0]


def plain(value: Any) -> Any:
    """Return a setting as JSON has it, whatever holds it."""
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(each) for each in value]
    return value


def _disk(settings: GcpSettings, zone: str, image: Image) -> dict[str, Any]:
    hyperdisk = series(settings.instance_type) in HYPERDISK
    kind = "hyperdisk-balanced" if hyperdisk else "pd-balanced"
    return {
        "boot": True,
        "autoDelete": True,
        "initializeParams": {
            "sourceImage": image.link,
            "diskSizeGb": str(settings.disk_size),
            "diskType": f"zones/{zone}/diskTypes/{kind}",
            "labels": {gce_names.LABEL: "1"},
        },
    }


def _network(settings: GcpSettings, zone: str) -> dict[str, Any]:
    """Return where a machine is connected: with an address of its own, to get images with."""
    if settings.subnet:
        where = {"subnetwork": subnet_link(settings, zone)}
    else:
        where = {"network": "global/networks/default"}
    return {**where, "accessConfigs": [{"type": "ONE_TO_ONE_NAT", "name": "External NAT"}]}


def _scheduling(settings: GcpSettings, lifetime_min: int) -> dict[str, Any]:
    found: dict[str, Any] = {
        "provisioningModel": "SPOT" if settings.preemptible else "STANDARD",
        "instanceTerminationAction": "DELETE",
        "maxRunDuration": {"seconds": str(60 * lifetime_min)},
        "automaticRestart": False,
    }
    if settings.preemptible or settings.use_gpu:
        found["onHostMaintenance"] = "TERMINATE"
    return found
