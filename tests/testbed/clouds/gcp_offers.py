"""What can be had of the compute API of the simulated Google Cloud: zones, types, images, nets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import gcp_catalog as catalog
import gcp_orders
from gcp_accounts import Accounts
from gcp_discovery import Do, missing
from gcp_lists import Lists
from gcp_web import Request, bad_request
from gcp_world import World


class Offers:
    """The methods that only tell what there is; quotas are those of a world."""

    def __init__(self, world: World, accounts: Accounts, lists: Lists) -> None:
        self._world = world
        self._accounts = accounts
        self._lists = lists
        self.does: dict[str, Do] = {
            "compute.projects.get": self._project,
            "compute.zones.get": self._zone,
            "compute.zones.list": self._zones,
            "compute.regions.get": self._region,
            "compute.regions.list": self._regions,
            "compute.machineTypes.get": self._machine_type,
            "compute.machineTypes.list": self._machine_types,
            "compute.machineTypes.aggregatedList": self._all_machine_types,
            "compute.acceleratorTypes.get": self._gpu,
            "compute.acceleratorTypes.list": self._gpus,
            "compute.acceleratorTypes.aggregatedList": self._all_gpus,
            "compute.diskTypes.get": self._disk_type,
            "compute.diskTypes.list": self._disk_types,
            "compute.images.get": self._image,
            "compute.images.getFromFamily": self._family,
            "compute.images.list": self._images,
            "compute.networks.get": self._network,
            "compute.networks.list": self._networks,
            "compute.subnetworks.get": self._subnet,
            "compute.subnetworks.list": self._subnets,
        }

    def _project(self, request: Request, project: str) -> dict[str, Any]:
        check_place(project)
        limits, used = self._world.limits(""), self._world.usage("")
        return {
            "kind": "compute#project",
            "id": catalog.PROJECT_NUMBER,
            "name": project,
            "quotas": _quotas(limits, used),
            "defaultServiceAccount": self._accounts.compute_default,
            "selfLink": catalog.project_link(project),
            "commonInstanceMetadata": {"kind": "compute#metadata", "fingerprint": "ZQHDUdkXcJ4="},
        }

    def _zone(self, request: Request, project: str, zone: str) -> dict[str, Any]:
        check_place(project, zone)
        return _zone(project, zone)

    def _zones(self, request: Request, project: str) -> dict[str, Any]:
        check_place(project)
        zones = [_zone(project, zone) for zone in sorted(catalog.ZONES)]
        return self._lists.page("Zone", "zoneList", zones, request)

    def _region(self, request: Request, project: str, region: str) -> dict[str, Any]:
        check_place(project)
        if region not in catalog.REGIONS:
            raise missing(f"projects/{project}/regions", region)
        return {
            "kind": "compute#region",
            "id": str(1000 + sorted(catalog.REGIONS).index(region)),
            "name": region,
            "status": "UP",
            "zones": [
                catalog.project_link(project, "zones", zone)
                for zone, its_region in catalog.ZONES.items()
                if its_region == region
            ],
            "quotas": _quotas(self._world.limits(region), self._world.usage(region)),
            "selfLink": catalog.project_link(project, "regions", region),
        }

    def _regions(self, request: Request, project: str) -> dict[str, Any]:
        regions = [self._region(request, project, region) for region in catalog.REGIONS]
        return self._lists.page("Region", "regionList", regions, request)

    def _machine_type(
        self, request: Request, project: str, zone: str, machine_type: str
    ) -> dict[str, Any]:
        check_place(project, zone)
        kind = catalog.MACHINE_TYPES.get(machine_type)
        if kind is None or zone not in kind.zones:
            raise missing(f"projects/{project}/zones/{zone}/machineTypes", machine_type)
        return _machine_type(project, zone, kind)

    def _machine_types(self, request: Request, project: str, zone: str) -> dict[str, Any]:
        check_place(project, zone)
        return self._lists.page("MachineType", "machineTypeList", _types_in(project, zone), request)

    def _all_machine_types(self, request: Request, project: str) -> dict[str, Any]:
        check_place(project)
        found = [kind for zone in sorted(catalog.ZONES) for kind in _types_in(project, zone)]
        return self._lists.by_zone("MachineType", "machineTypes", found, request)

    def _gpu(
        self, request: Request, project: str, zone: str, accelerator_type: str
    ) -> dict[str, Any]:
        check_place(project, zone)
        for gpu in _gpus_in(project, zone):
            if gpu["name"] == accelerator_type:
                return gpu
        raise missing(f"projects/{project}/zones/{zone}/acceleratorTypes", accelerator_type)

    def _gpus(self, request: Request, project: str, zone: str) -> dict[str, Any]:
        check_place(project, zone)
        return self._lists.page(
            "AcceleratorType", "acceleratorTypeList", _gpus_in(project, zone), request
        )

    def _all_gpus(self, request: Request, project: str) -> dict[str, Any]:
        check_place(project)
        found = [gpu for zone in sorted(catalog.ZONES) for gpu in _gpus_in(project, zone)]
        return self._lists.by_zone("AcceleratorType", "acceleratorTypes", found, request)

    def _disk_type(
        self, request: Request, project: str, zone: str, disk_type: str
    ) -> dict[str, Any]:
        check_place(project, zone)
        if disk_type not in catalog.DISK_TYPES:
            raise missing(f"projects/{project}/zones/{zone}/diskTypes", disk_type)
        link = catalog.project_link(project, "zones", zone, "diskTypes", disk_type)
        return {"kind": "compute#diskType", "name": disk_type, "selfLink": link}

    def _disk_types(self, request: Request, project: str, zone: str) -> dict[str, Any]:
        types = [self._disk_type(request, project, zone, name) for name in catalog.DISK_TYPES]
        return self._lists.page("DiskType", "diskTypeList", types, request)

    def _image(self, request: Request, project: str, image: str) -> dict[str, Any]:
        found = gcp_orders.image(project, image)
        if found is None:
            raise missing(f"projects/{project}/global/images", image)
        return found.resource()

    def _family(self, request: Request, project: str, family: str) -> dict[str, Any]:
        found = gcp_orders.family(project, family)
        if found is None:
            raise missing(f"projects/{project}/global/images/family", family)
        return found.resource()

    def _images(self, request: Request, project: str) -> dict[str, Any]:
        if project not in catalog.PUBLIC_PROJECTS:
            check_place(project)
        images = [image.resource() for image in catalog.IMAGES if image.project == project]
        return self._lists.page("Image", "imageList", images, request)

    def _network(self, request: Request, project: str, network: str) -> dict[str, Any]:
        check_place(project)
        if network != "default":
            raise missing(f"projects/{project}/global/networks", network)
        link = catalog.project_link(project, "global/networks/default")
        return {
            "kind": "compute#network",
            "name": "default",
            "selfLink": link,
            "autoCreateSubnetworks": True,
        }

    def _networks(self, request: Request, project: str) -> dict[str, Any]:
        return self._lists.page(
            "Network", "networkList", [self._network(request, project, "default")], request
        )

    def _subnet(
        self, request: Request, project: str, region: str, subnetwork: str
    ) -> dict[str, Any]:
        check_place(project)
        if region not in catalog.REGIONS or subnetwork not in catalog.SUBNETS:
            raise missing(f"projects/{project}/regions/{region}/subnetworks", subnetwork)
        place = catalog.project_link(project, "regions", region)
        return {
            "kind": "compute#subnetwork",
            "name": subnetwork,
            "network": catalog.project_link(project, "global/networks/default"),
            "region": place,
            "ipCidrRange": "10.213.0.0/16",
            "selfLink": f"{place}/subnetworks/{subnetwork}",
        }

    def _subnets(self, request: Request, project: str, region: str) -> dict[str, Any]:
        subnets = [self._subnet(request, project, region, name) for name in catalog.SUBNETS]
        return self._lists.page("Subnetwork", "subnetworkList", subnets, request)


def check_place(project: str, zone: str | None = None) -> None:
    """Raise `Problem` unless there is such a project, and such a zone."""
    if project not in (catalog.PROJECT, catalog.PROJECT_NUMBER):
        raise missing("projects", project)
    if zone is not None and zone not in catalog.ZONES:
        if not re.fullmatch(r"[a-z0-9-]+", zone):
            raise bad_request(f"Invalid value for field 'zone': '{zone}'. Unknown zone.")
        raise missing(f"projects/{project}/zones", zone)


def _quotas(limits: Mapping[str, float], used: Mapping[str, float]) -> list[dict[str, Any]]:
    return [
        {"metric": metric, "limit": float(limit), "usage": float(used.get(metric, 0))}
        for metric, limit in limits.items()
    ]


def _zone(project: str, zone: str) -> dict[str, Any]:
    return {
        "kind": "compute#zone",
        "id": str(2000 + sorted(catalog.ZONES).index(zone)),
        "name": zone,
        "status": "UP",
        "region": catalog.project_link(project, "regions", catalog.ZONES[zone]),
        "selfLink": catalog.project_link(project, "zones", zone),
    }


def _types_in(project: str, zone: str) -> list[dict[str, Any]]:
    kinds = sorted(catalog.MACHINE_TYPES.values(), key=lambda kind: kind.name)
    return [_machine_type(project, zone, kind) for kind in kinds if zone in kind.zones]


def _machine_type(project: str, zone: str, kind: catalog.MachineType) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "kind": "compute#machineType",
        "id": str(3000 + catalog.hash_of(kind.name)),
        "name": kind.name,
        "description": f"{kind.cpus} vCPUs, {kind.memory_mb // 1024} GB RAM",
        "guestCpus": kind.cpus,
        "memoryMb": kind.memory_mb,
        "maximumPersistentDisks": 128,
        "architecture": "X86_64",
        "zone": zone,
        "isSharedCpu": kind.name in ("e2-micro", "e2-small", "e2-medium"),
        "selfLink": catalog.project_link(project, "zones", zone, "machineTypes", kind.name),
    }
    if kind.gpus:
        shown["accelerators"] = [
            {"guestAcceleratorType": gpu, "guestAcceleratorCount": many} for gpu, many in kind.gpus
        ]
    return shown


def _gpus_in(project: str, zone: str) -> list[dict[str, Any]]:
    return [
        {
            "kind": "compute#acceleratorType",
            "id": str(4000 + catalog.hash_of(name)),
            "name": name,
            "description": words,
            "maximumCardsPerInstance": most,
            "zone": catalog.project_link(project, "zones", zone),
            "selfLink": catalog.project_link(project, "zones", zone, "acceleratorTypes", name),
        }
        for name, (words, most, zones) in sorted(catalog.GPUS.items())
        if zone in zones
    ]
