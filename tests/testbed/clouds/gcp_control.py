"""What tests tell the simulated Google Cloud, and ask it: the paths below ``/_testbed/``."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from gcp_accounts import Accounts
from gcp_faults import Fault
from gcp_lives import Lives, Next
from gcp_objects import Objects
from gcp_web import Answer, Request, Site, bad_request, not_found
from gcp_world import Instance, Shortage, World

_COMING: dict[str, Any] = {"running": True, "state": "starting", "how": "", "exit": None, "log": ""}
"""What is told of a machine whose instance is not up yet."""


class Control:
    """The paths; their list is in the README of the testbed."""

    def __init__(
        self, site: Site, objects: Objects, world: World, accounts: Accounts, lives: Lives
    ) -> None:
        self._site = site
        self._objects = objects
        self._world = world
        self._accounts = accounts
        self._lives = lives

    def room(self, request: Request) -> Answer | None:
        """Answer a request if it is one to the testbed itself."""
        found = re.fullmatch(r"/_testbed/([a-z]+)(?:/([^/]+)(?:/([a-z]+))?)?", request.path)
        if found is None:
            return None
        try:
            if found[1] == "faults" and found[2] and request.method == "DELETE":
                self._site.faults.clear(int(found[2]))
                return Answer.of({})
            if found[2]:
                return Answer.of(self._machine(found[2], found[3] or "", request))
            do = getattr(self, f"_{request.method.lower()}_{found[1]}", None)
            if do is None:
                raise not_found(f"the testbed has no {request.method} {request.path}")
            return Answer.of(do(request))
        except (TypeError, ValueError, re.error) as error:
            raise bad_request(str(error)) from None

    def _get_health(self, request: Request) -> Any:
        return {"ready": True}

    def _post_reset(self, request: Request) -> Any:
        """Make the cloud new: without machines, buckets, faults."""
        self._site.faults.clear()
        self._lives.kill_all()
        self._world.clear()
        self._objects.clear()
        self._accounts.clear()
        self._site.log.clear()
        return {}

    def _post_faults(self, request: Request) -> Any:
        """Play a fault from now on; its number ends it."""
        fault = Fault.of(request.json)
        self._site.faults.add(fault)
        return {"id": fault.id}

    def _get_faults(self, request: Request) -> Any:
        return self._site.faults.told()

    def _delete_faults(self, request: Request) -> Any:
        self._site.faults.clear()
        return {}

    def _get_requests(self, request: Request) -> Any:
        """Return what was asked after number ``since``; with ``summary``, only the sums."""
        query = request.query
        since = int(query.get("since", 0))
        found = self._site.log.since(since, query.get("path", ""), query.get("machine", ""))
        if "summary" in query:
            del found["requests"]
        return found

    def _get_capacity(self, request: Request) -> Any:
        return dataclasses.asdict(self._world.shortage)

    def _post_capacity(self, request: Request) -> Any:
        """Set how short the cloud is; what is not named is as usual."""
        self._world.shortage = Shortage(**request.json)
        return self._get_capacity(request)

    def _delete_capacity(self, request: Request) -> Any:
        self._world.shortage = Shortage()
        return {}

    def _post_next(self, request: Request) -> Any:
        """Say what machines are like that are started from now on."""
        told = Next(**request.json)
        self._lives.likenesses.append(told)
        return dataclasses.asdict(told)

    def _delete_next(self, request: Request) -> Any:
        """Forget that, or what was said of machines with a certain ``script``."""
        script = request.query.get("script")
        self._lives.likenesses[:] = [
            told for told in self._lives.likenesses if script not in (None, told.script)
        ]
        return {}

    def _post_tokens(self, request: Request) -> Any:
        """Let all tokens expire that were given until now."""
        self._accounts.expire_tokens()
        return {}

    def _get_machines(self, request: Request) -> Any:
        return self._lives.status()

    def _machine(self, name: str, verb: str, request: Request) -> Any:
        if request.method == "GET" and not verb:
            for told in reversed(self._lives.status()):
                if told["id"] == name:
                    return told
            return {**_COMING, "id": self._instance(name).name}
        instance = self._instance(name)
        if request.method != "POST":
            raise not_found(f"the testbed has no {request.method} {request.path}")
        if verb in ("preempt", "interrupt"):
            self._lives.preempt(instance, request.json.get("seconds"))
        elif verb == "die":
            self._lives.die(instance)
        elif verb in ("hang", "mend"):
            self._lives.hang(instance, over=verb == "mend")
        else:
            raise not_found(f"the testbed cannot {verb} a machine")
        return {}

    def _instance(self, name: str) -> Instance:
        with self._world.lock:
            for instance in self._world.instances.values():
                if name in (instance.name, instance.id):
                    return instance
        raise not_found(f"there is no machine {name}")
