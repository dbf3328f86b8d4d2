"""What may be done to buckets and objects by whom."""

from __future__ import annotations

from typing import Any

from gcp_conditions import Deed
from gcp_objects import Objects
from gcp_rights import Rights
from gcp_web import Problem, Request, not_found

_BUCKET, _OBJECT = "storage.googleapis.com/Bucket", "storage.googleapis.com/Object"
_LIST = "storage.objects.list"


class StorageRights:
    """The policies of the project and of the buckets, as the storage asks them.

    Without `rights` everybody may do everything.
    """

    def __init__(self, objects: Objects, rights: Rights | None) -> None:
        self._objects = objects
        self._rights = rights

    def need(self, request: Request, permission: str, bucket: str, key: str | None = None) -> None:
        """Raise `Problem` unless who asks may do something to a bucket, or to an object in it."""
        if self._rights is not None:
            policy = self._policy(bucket)
            self._rights.need(request.caller, self._deed(permission, bucket, key), policy)

    def need_list(self, request: Request, bucket: str, prefix: str) -> None:
        """Raise `Problem` unless who asks may list a prefix of a bucket."""
        if self._rights is not None:
            attributes = {"storage.googleapis.com/objectListPrefix": prefix}
            deed = Deed(_LIST, f"projects/_/buckets/{bucket}", _BUCKET, attributes)
            self._rights.need(request.caller, deed, self._policy(bucket))

    def need_new(self, request: Request, bucket: str, key: str) -> None:
        """Raise `Problem` unless who asks may write an object; over an old one takes two rights."""
        self.need(request, "storage.objects.create", bucket, key)
        with self._objects.lock:
            is_there = key in self._objects.bucket(bucket).objects
        if is_there:
            self.need(request, "storage.objects.delete", bucket, key)

    def hidden(self, request: Request, bucket: str, key: str) -> Problem:
        """Return the error for an object that is not there: who may not list is not told that."""
        try:
            self.need(request, _LIST, bucket)
        except Problem as problem:
            return problem
        return not_found(f"No such object: {bucket}/{key}")

    def tested(self, request: Request, bucket: str) -> list[str]:
        """Return those of the permissions asked about that are there for a bucket."""
        asked = request.queries.get("permissions", [])
        if self._rights is None:
            return asked
        policy = self._policy(bucket)
        rights = self._rights
        return [
            permission
            for permission in asked
            if rights.has(request.caller, self._deed(permission, bucket, None), policy)
        ]

    def _policy(self, bucket: str) -> dict[str, Any]:
        found = self._objects.buckets.get(bucket)
        return found.policy if found else {}

    @staticmethod
    def _deed(permission: str, bucket: str, key: str | None) -> Deed:
        name = f"projects/_/buckets/{bucket}"
        if key is None:
            return Deed(permission, name, _BUCKET)
        return Deed(permission, f"{name}/objects/{key}", _OBJECT)
