"""Renting machines of the compute API of the simulated Google Cloud."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Any

import gcp_catalog as catalog
import gcp_orders
from gcp_accounts import Accounts
from gcp_conditions import Deed
from gcp_discovery import Api, missing
from gcp_lists import Lists
from gcp_lives import Lives
from gcp_offers import Offers, check_place
from gcp_rights import Rights
from gcp_web import Answer, Problem, Request, bad_request
from gcp_world import Instance, Operation, World

_INSTANCE = "compute.googleapis.com/Instance"
_WAIT_S = 120.0
"""As long as Google lets a client wait for an operation."""


class Compute:
    """The API over a world; `lives` makes its instances live."""

    def __init__(self, world: World, accounts: Accounts, lives: Lives) -> None:
        self._world = world
        self._accounts = accounts
        self._lives = lives
        self._rights = Rights(accounts)
        self._lists = Lists()
        self._api = Api(
            "compute.v1",
            {
                **Offers(world, accounts, self._lists).does,
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
            self._check_rights,
        )

    def room(self, request: Request) -> Answer | None:
        """Answer a request if it is one of this API."""
        return self._api.room(request)

    def _check_rights(self, request: Request, path: Mapping[str, str]) -> None:
        permission = request.action.replace(".aggregatedList", ".list").replace(".wait", ".get")
        is_instance = request.action.startswith("compute.instances.") and "instance" in path
        # Google's own images may be used by everybody.
        if path.get("project") in catalog.PUBLIC_PROJECTS:
            return
        name = request.path.partition("/v1/")[2]
        if is_instance:
            name = name.partition(f"/instances/{path['instance']}")[0]
            deed = Deed(permission, f"{name}/instances/{path['instance']}", _INSTANCE)
        else:
            deed = Deed(permission, name, "cloudresourcemanager.googleapis.com/Project")
        self._rights.need(request.caller, deed)

    def _insert(self, request: Request, project: str, zone: str) -> dict[str, Any]:
        check_place(project, zone)
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

    def _begin(self, kind: str, instance: Instance, request: Request) -> Operation:
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

    def _found(self, project: str, zone: str, name: str) -> Instance:
        check_place(project, zone)
        instance = self._world.find(zone, name)
        if instance is None:
            raise missing(f"projects/{project}/zones/{zone}/instances", name)
        return instance

    def _instance(self, request: Request, project: str, zone: str, instance: str) -> dict[str, Any]:
        return self._found(project, zone, instance).resource()

    def _instances(self, request: Request, project: str, zone: str) -> dict[str, Any]:
        check_place(project, zone)
        found = [value for value in self._everything() if value["zone"].endswith(f"/{zone}")]
        return self._lists.page("Instance", "instanceList", found, request)

    def _all_instances(self, request: Request, project: str) -> dict[str, Any]:
        check_place(project)
        return self._lists.by_zone("Instance", "instances", self._everything(), request)

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

    def _known(self, project: str, zone: str, name: str) -> Operation:
        check_place(project, zone)
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
        check_place(project, zone)
        with self._world.lock:
            found = [one.resource() for one in self._world.operations if one.zone == zone]
        return self._lists.page("Operation", "operationList", found, request)

    def _no_operations(self, request: Request, project: str) -> dict[str, Any]:
        check_place(project)
        return self._lists.page("Operation", "operationList", [], request)

    def _all_operations(self, request: Request, project: str) -> dict[str, Any]:
        check_place(project)
        with self._world.lock:
            found = [one.resource() for one in self._world.operations]
        return self._lists.by_zone("Operation", "operations", found, request)
