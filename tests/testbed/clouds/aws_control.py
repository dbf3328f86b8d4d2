"""What tests ask of the simulated AWS, which AWS itself knows nothing of; JSON in and out."""

from __future__ import annotations

import json
import re
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aws_faults import Faults
from aws_log import Log
from aws_requests import Request, Response
from aws_world import World

PREFIX = "/_testbed/"


@dataclass(frozen=True)
class Control:
    """The simulated AWS, from behind.

    Parameters
    ----------
    world
        What it is.
    faults
        What goes wrong with requests.
    log
        Who has asked what.
    about
        What it says of itself.
    """

    world: World
    faults: Faults
    log: Log
    about: Mapping[str, Any]

    def answer(self, request: Request) -> Response:
        """Do what a test asks for."""
        path = urllib.parse.unquote(request.path.removeprefix(PREFIX).strip("/"))
        try:
            body = json.loads(request.body or b"{}")
            status, told = 200, self._obey(request.method, path.split("/"), request.query, body)
        except LookupError as error:
            status, told = 404, {"error": str(error)}
        except (TypeError, ValueError, re.error) as error:
            status, told = 400, {"error": str(error)}
        return Response(status, [("Content-Type", "application/json")], json.dumps(told).encode())

    def _obey(
        self, method: str, words: list[str], query: dict[str, str], body: dict[str, Any]
    ) -> Any:
        match method, words:
            case "GET", [""]:
                return dict(self.about)
            case "POST", ["reset"]:
                self.faults.clear()
                self.world.reset()
                self.log.clear()
            case "GET", ["requests"]:
                since = int(query.get("since", "0"))
                return self.log.told(since, query.get("path", ""), query.get("machine"))
            case "POST", ["quotas" | "prices" | "spot_prices" as kind]:
                getattr(self.world.extras, kind).update(body)
            case _, ["faults", *rest]:
                return self._faults(method, rest, body)
            case _, ["capacity"]:
                return self._capacity(method, query, body)
            case "POST", ["next"]:
                self.world.machines.next(**body)
            case "DELETE", ["next"]:
                self.world.machines.forget_next(query.get("script", ""))
            case _, ["machines", *rest]:
                return self._machines(method, rest, body)
            case _:
                raise LookupError(f"nothing is known of {method} {PREFIX}{'/'.join(words)}")
        return {}

    def _faults(self, method: str, rest: list[str], body: dict[str, Any]) -> Any:
        if method == "POST":
            return self.faults.add(**body).told()
        if method == "DELETE":
            self.faults.clear(int(rest[0]) if rest else None)
        return self.faults.told()

    def _capacity(self, method: str, query: dict[str, str], body: dict[str, Any]) -> Any:
        if method == "POST":
            self.world.capacity.add(**body)
        elif method == "DELETE":
            self.world.capacity.clear(query.get("script", ""))
        return self.world.capacity.told()

    def _machines(self, method: str, rest: list[str], body: dict[str, Any]) -> Any:
        machines = self.world.machines
        match method, rest:
            case "GET", []:
                return [machines.told(each.machine.id) for each in machines.all()]
            case "GET", [id]:
                return machines.told(id)
            case "POST", [id, "interrupt" | "die" | "hang" | "mend" as verb]:
                getattr(machines, verb)(id, **body)
                return machines.told(id)
        raise LookupError(f"a machine knows no {method} {'/'.join(rest)}")
