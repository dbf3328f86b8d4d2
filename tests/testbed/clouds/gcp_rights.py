"""Who may do what: roles, and the policies that give them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import gcp_conditions
from gcp_accounts import Accounts
from gcp_conditions import Deed
from gcp_web import Problem

_OBJECTS = tuple(
    f"storage.objects.{verb}" for verb in ("create", "delete", "get", "list", "update")
)
_ROLES: dict[str, tuple[str, ...]] = {
    "roles/owner": (".*",),
    "roles/editor": (".*",),
    "roles/storage.admin": (r"storage\..*",),
    "roles/storage.objectAdmin": _OBJECTS,
    "roles/storage.objectUser": _OBJECTS,
    "roles/storage.objectViewer": ("storage.objects.get", "storage.objects.list"),
    "roles/storage.objectCreator": ("storage.objects.create",),
    "roles/storage.legacyObjectReader": ("storage.objects.get",),
    "roles/storage.legacyBucketReader": ("storage.buckets.get", "storage.objects.list"),
    "roles/compute.admin": (r"compute\..*",),
    "roles/compute.instanceAdmin.v1": (r"compute\.(instances|disks|zoneOperations)\..*",),
    "roles/compute.viewer": (r"compute\..*\.(get|list)",),
}
"""Some of Google's own roles: patterns of the permissions that are in them."""


class Rights:
    """What the project's policy lets accounts do."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    def has(self, email: str, deed: Deed, *policies: Mapping[str, Any]) -> bool:
        """Say whether an account may do something.

        Parameters
        ----------
        email
            The account; empty for who is not asked who they are, and may do everything.
        deed
            What it wants to do.
        *policies
            The policies of the thing itself; the project's counts as well.
        """
        if not email:
            return True
        with self._accounts.lock:
            return any(
                f"serviceAccount:{email}" in binding.get("members", ())
                and self._is_in(deed.permission, binding["role"])
                and _holds(binding, deed)
                for policy in (self._accounts.policy, *policies)
                for binding in policy.get("bindings", ())
            )

    def need(self, email: str, deed: Deed, *policies: Mapping[str, Any]) -> None:
        """Raise `Problem` unless an account may do something."""
        if not self.has(email, deed, *policies):
            what = deed.kind.rpartition("/")[2].lower() or "resource"
            raise Problem(
                403,
                f"{email} does not have {deed.permission} access to the Google Cloud {what}. "
                f"Permission '{deed.permission}' denied on resource '{deed.name}' (or it may not "
                "exist).",
                "forbidden",
                "PERMISSION_DENIED",
            )

    def all_of(self, email: str, permissions: Iterable[str], name: str, kind: str) -> list[str]:
        """Return those of some permissions that an account has for something."""
        return [each for each in permissions if self.has(email, Deed(each, name, kind))]

    def _is_in(self, permission: str, role: str) -> bool:
        own = self._accounts.roles.get(role)
        if own is not None:
            return not own.get("deleted") and permission in own.get("includedPermissions", ())
        return any(re.fullmatch(pattern, permission) for pattern in _ROLES.get(role, ()))


def _holds(binding: Mapping[str, Any], deed: Deed) -> bool:
    condition = binding.get("condition")
    return condition is None or bool(gcp_conditions.compiled(condition["expression"])(deed))
