"""The compute API of the simulated Google Cloud: what can be rented, and renting it."""

from __future__ import annotations

import base64
import re
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import gcp_catalog as catalog
import gcp_filters
import gcp_orders
from gcp_accounts import Accounts
from gcp_discovery import Api, missing
from gcp_lives import Lives
from gcp_web import Answer, Problem, Request, bad_request
from gcp_world import Operation, World

_WAIT_S = 120.0
_MOST = 500


class Compute:
    """The API over a world; `lives` makes its instances live."""

    def __init__(self, world: World, accounts: Accounts, lives: Lives) -> None:
        self._world = world
        self._accounts = accounts
        self._lives = lives
        self._api = Api(
            "compute.v1",
            {
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
                "compute.instances.insert": self._insert,
                "compute.instances.get": self._instance,
                "compute.instances.list": self._instances,
                "compute.instances.aggregatedList": self._all_instances,
                "compute.instances.delete": self._delete,
                "compute.instances.stop": self._stop,
                "compute.instances.getSerialPortOutput": self._serial_port,
                "compute.zoneOperations.get": self._operation,
                "compute.zoneOperations.wait": self._wait,
                "compute.zoneOperations.list": self._operations,
                "compute.globalOperations.list": self._no_operations,
                "compute.globalOperations.aggregatedList": self._all_operations,
            },
        )

    def room(self, request: Request) -> Answer | None:
        """Answer a request if it is one of this API."""
        return self._api.room(request)

    # What there is

    def _project(self, request: Request, project: str) -> dict[str, Any]:
        _check(project)
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
        _check(project, zone)
        return _zone(project, zone)

    def _zones(self, request: Request, project: str) -> dict[str, Any]:
        _check(project)
        zones = [_zone(project, zone) for zone in sorted(catalog.ZONES)]
        return self._page("Zone", "zoneList", zones, request)

    def _region(self, request: Request, project: str, region: str) -> dict[str, Any]:
        _check(project)
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
        return self._page("Region", "regionList", regions, request)

    def _machine_type(
        self, request: Request, project: str, zone: str, machineType: str
    ) -> dict[str, Any]:
        _check(project, zone)
        kind = catalog.MACHINE_TYPES.get(machineType)
        if kind is None or zone not in kind.zones:
            raise missing(f"projects/{project}/zones/{zone}/machineTypes", machineType)
        return _machine_type(project, zone, kind)

    def _machine_types(self, request: Request, project: str, zone: str) -> dict[str, Any]:
        _check(project, zone)
        return self._page("MachineType", "machineTypeList", _types_in(project, zone), request)

    def _all_machine_types(self, request: Request, project: str) -> dict[str, Any]:
        _check(project)
        found = [kind for zone in sorted(catalog.ZONES) for kind in _types_in(project, zone)]
        return self._by_zone("MachineType", "machineTypes", found, request)

    def _gpu(
        self, request: Request, project: str, zone: str, acceleratorType: str
    ) -> dict[str, Any]:
        _check(project, zone)
        for gpu in _gpus_in(project, zone):
            if gpu["name"] == acceleratorType:
                return gpu
        raise missing(f"projects/{project}/zones/{zone}/acceleratorTypes", acceleratorType)

    def _gpus(self, request: Request, project: str, zone: str) -> dict[str, Any]:
        _check(project, zone)
        return self._page(
            "AcceleratorType", "acceleratorTypeList", _gpus_in(project, zone), request
        )

    def _all_gpus(self, request: Request, project: str) -> dict[str, Any]:
        _check(project)
        found = [gpu for zone in sorted(catalog.ZONES) for gpu in _gpus_in(project, zone)]
        return self._by_zone("AcceleratorType", "acceleratorTypes", found, request)

    def _disk_type(
        self, request: Request, project: str, zone: str, diskType: str
    ) -> dict[str, Any]:
        _check(project, zone)
        if diskType not in catalog.DISK_TYPES:
            raise missing(f"projects/{project}/zones/{zone}/diskTypes", diskType)
        link = catalog.project_link(project, "zones", zone, "diskTypes", diskType)
        return {"kind": "compute#diskType", "name": diskType, "selfLink": link}

    def _disk_types(self, request: Request, project: str, zone: str) -> dict[str, Any]:
        types = [self._disk_type(request, project, zone, name) for name in catalog.DISK_TYPES]
        return self._page("DiskType", "diskTypeList", types, request)

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
        if project not in {image.project for image in catalog.IMAGES}:
            _check(project)
        images = [image.resource() for image in catalog.IMAGES if image.project == project]
        return self._page("Image", "imageList", images, request)

    def _network(self, request: Request, project: str, network: str) -> dict[str, Any]:
        _check(project)
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
        return self._page(
            "Network", "networkList", [self._network(request, project, "default")], request
        )

    def _subnet(
        self, request: Request, project: str, region: str, subnetwork: str
    ) -> dict[str, Any]:
        _check(project)
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
        return self._page("Subnetwork", "subnetworkList", subnets, request)

    # Instances

    def _insert(self, request: Request, project: str, zone: str) -> dict[str, Any]:
        _check(project, zone)
        if again := self._repeated(request):
            return again
        instance = gcp_orders.instance(request.json, project, zone, self._accounts)
        with self._world.lock:
            if again := self._repeated(request):
                return again
            if (zone, instance.name) in self._world.instances:
                raise Problem(
                    409,
                    f"The resource 'projects/{project}/zones/{zone}/instances/{instance.name}' "
                    "already exists",
                    "alreadyExists",
                )
            short = self._world.exceeded(instance)
            if short is not None and self._world.shortage.quota_answers:
                raise Problem(403, short["message"], "quotaExceeded")
            operation = self._begin("insert", instance, request)
            self._world.instances[zone, instance.name] = instance
        self._lives.begin(instance, operation, short)
        return operation.resource()

    def _repeated(self, request: Request) -> dict[str, Any] | None:
        request_id = request.query.get("requestId", "")
        if not request_id:
            return None
        try:
            zero = uuid.UUID(request_id).int == 0
        except ValueError:
            zero = True
        if zero:
            raise bad_request(
                f"Invalid value for field 'requestId': '{request_id}'. Must be a valid UUID."
            )
        found = self._world.repeated(request_id)
        return found.resource() if found else None

    def _begin(self, kind: str, instance: Any, request: Request) -> Operation:
        return self._world.note(
            Operation(
                kind,
                instance.project,
                instance.zone,
                instance.link,
                instance.id,
                user=request.caller,
                request_id=request.query.get("requestId", ""),
            )
        )

    def _found(self, project: str, zone: str, name: str) -> Any:
        _check(project, zone)
        instance = self._world.find(zone, name)
        if instance is None:
            raise missing(f"projects/{project}/zones/{zone}/instances", name)
        return instance

    def _instance(self, request: Request, project: str, zone: str, instance: str) -> dict[str, Any]:
        found: dict[str, Any] = self._found(project, zone, instance).resource()
        return found

    def _instances(self, request: Request, project: str, zone: str) -> dict[str, Any]:
        _check(project, zone)
        found = [value for value in self._everything() if value["zone"].endswith(f"/{zone}")]
        return self._page("Instance", "instanceList", found, request)

    def _all_instances(self, request: Request, project: str) -> dict[str, Any]:
        _check(project)
        return self._by_zone("Instance", "instances", self._everything(), request)

    def _everything(self) -> list[dict[str, Any]]:
        with self._world.lock:
            return [instance.resource() for instance in self._world.instances.values()]

    def _delete(self, request: Request, project: str, zone: str, instance: str) -> dict[str, Any]:
        return self._end("delete", request, project, zone, instance, self._lives.delete)

    def _stop(self, request: Request, project: str, zone: str, instance: str) -> dict[str, Any]:
        return self._end("stop", request, project, zone, instance, self._lives.stop)

    def _end(
        self,
        kind: str,
        request: Request,
        project: str,
        zone: str,
        name: str,
        do: Callable[..., None],
    ) -> dict[str, Any]:
        if again := self._repeated(request):
            return again
        with self._world.lock:
            instance = self._found(project, zone, name)
            if kind == "delete" and instance.fields["deletionProtection"]:
                raise bad_request(f"Invalid resource usage: '{name}' is protected from deletion.")
            operation = self._begin(kind, instance, request)
        do(instance, operation)
        return operation.resource()

    def _serial_port(
        self, request: Request, project: str, zone: str, instance: str
    ) -> dict[str, Any]:
        found = self._found(project, zone, instance)
        text = self._lives.console(found)
        start = int(request.query.get("start", 0))
        return {
            "kind": "compute#serialPortOutput",
            "selfLink": f"{found.link}/serialPort",
            "contents": text[start:].decode(errors="replace"),
            "start": str(start),
            "next": str(len(text)),
        }

    # Operations

    def _known(self, project: str, zone: str, name: str) -> Operation:
        _check(project, zone)
        with self._world.lock:
            for operation in self._world.operations:
                if operation.zone == zone and name in (operation.name, operation.id):
                    return operation
        raise missing(f"projects/{project}/zones/{zone}/operations", name)

    def _operation(
        self, request: Request, project: str, zone: str, operation: str
    ) -> dict[str, Any]:
        return self._known(project, zone, operation).resource()

    def _wait(self, request: Request, project: str, zone: str, operation: str) -> dict[str, Any]:
        found = self._known(project, zone, operation)
        found.done.wait(_WAIT_S)
        return found.resource()

    def _operations(self, request: Request, project: str, zone: str) -> dict[str, Any]:
        _check(project, zone)
        with self._world.lock:
            found = [one.resource() for one in self._world.operations if one.zone == zone]
        return self._page("Operation", "operationList", found, request)

    def _no_operations(self, request: Request, project: str) -> dict[str, Any]:
        _check(project)
        return self._page("Operation", "operationList", [], request)

    def _all_operations(self, request: Request, project: str) -> dict[str, Any]:
        _check(project)
        with self._world.lock:
            found = [one.resource() for one in self._world.operations]
        return self._by_zone("Operation", "operations", found, request)

    # Lists

    def _wanted(
        self, schema: str, resources: Iterable[dict[str, Any]], request: Request
    ) -> tuple[list[dict[str, Any]], str]:
        """Return the part of a list that a request asks for, and the token of the next one."""
        known = self._api.schemas[schema]["properties"]
        wanted = gcp_filters.compiled(request.query.get("filter", ""), known)
        found = [resource for resource in resources if wanted(resource)]
        order = request.query.get("orderBy", "")
        if order in ("creationTimestamp desc", "name"):
            key = order.partition(" ")[0]
            found.sort(key=lambda one: str(one.get(key, "")), reverse=order.endswith("desc"))
        elif order:
            raise bad_request(f"Invalid value for field 'orderBy': '{order}'.")
        most = int(request.query.get("maxResults", _MOST))
        if not 0 <= most <= _MOST:
            raise bad_request(f"Invalid value for field 'maxResults': '{most}'.")
        start = _offset(request.query.get("pageToken", ""))
        rest = found[start + most :]
        token = base64.urlsafe_b64encode(str(start + most).encode()).decode() if rest else ""
        return found[start : start + most], token

    def _page(
        self, schema: str, kind: str, resources: Iterable[dict[str, Any]], request: Request
    ) -> dict[str, Any]:
        items, token = self._wanted(schema, resources, request)
        answer: dict[str, Any] = {
            "kind": f"compute#{kind}",
            "id": request.path.partition("/v1/")[2],
            "selfLink": f"{catalog.ROOT}/{request.path.partition('/v1/')[2]}",
        }
        if items:
            answer["items"] = items
        return {**answer, "nextPageToken": token} if token else answer

    def _by_zone(
        self, schema: str, name: str, resources: Iterable[dict[str, Any]], request: Request
    ) -> dict[str, Any]:
        """Return a list over all zones; those without a word of it are told to have none."""
        found, token = self._wanted(schema, resources, request)
        items: dict[str, Any] = {}
        for zone in sorted(catalog.ZONES):
            here = [one for one in found if _zone_of(one) == zone]
            place = f"zones/{zone}"
            items[place] = {name: here} if here else {"warning": _nothing_in(place)}
        answer = {
            "kind": f"compute#{name[:-1]}AggregatedList",
            "id": request.path.partition("/v1/")[2],
            "items": items,
        }
        return {**answer, "nextPageToken": token} if token else answer


def _nothing_in(place: str) -> dict[str, Any]:
    return {
        "code": "NO_RESULTS_ON_PAGE",
        "message": f"There are no results for scope '{place}' on this page.",
        "data": [{"key": "scope", "value": place}],
    }


def _zone_of(resource: Mapping[str, Any]) -> str:
    return str(resource["zone"]).rpartition("/")[2]


def _offset(token: str) -> int:
    if not token:
        return 0
    try:
        return int(base64.urlsafe_b64decode(token))
    except ValueError:
        raise bad_request(f"Invalid value for field 'pageToken': '{token}'.") from None


def _check(project: str, zone: str | None = None) -> None:
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
