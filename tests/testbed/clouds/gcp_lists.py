"""The lists of the compute API: filtered, in pages, of one zone or of all of them."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from typing import Any

import gcp_catalog as catalog
import gcp_filters
from gcp_discovery import document
from gcp_web import Request, bad_request

_MOST = 500


class Lists:
    """Lists of resources whose schemas are those of the compute API."""

    def __init__(self) -> None:
        self._schemas: Mapping[str, Any] = document("compute.v1")["schemas"]

    def _wanted(
        self, schema: str, resources: Iterable[dict[str, Any]], request: Request
    ) -> tuple[list[dict[str, Any]], str]:
        """Return the part of a list that a request asks for, and the token of the next one."""
        known = self._schemas[schema]["properties"]
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

    def page(
        self, schema: str, kind: str, resources: Iterable[dict[str, Any]], request: Request
    ) -> dict[str, Any]:
        """Return a page of a list."""
        items, token = self._wanted(schema, resources, request)
        answer: dict[str, Any] = {
            "kind": f"compute#{kind}",
            "id": request.path.partition("/v1/")[2],
            "selfLink": f"{catalog.ROOT}/{request.path.partition('/v1/')[2]}",
        }
        if items:
            answer["items"] = items
        return {**answer, "nextPageToken": token} if token else answer

    def by_zone(
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
