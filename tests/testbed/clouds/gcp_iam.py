"""The APIs that a setup of a project needs: IAM, Resource Manager, Service Usage."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import gcp_catalog as catalog
from gcp_accounts import Accounts
from gcp_conditions import Deed
from gcp_discovery import Api, Do
from gcp_objects import etag_of
from gcp_policies import check_policy
from gcp_rights import Rights
from gcp_web import Problem, Request, Room, bad_request, not_found


class Iam:
    """The three APIs over some accounts."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self._rights = Rights(accounts)
        policy: dict[str, Do] = {
            "getIamPolicy": self._get_policy,
            "setIamPolicy": self._set_policy,
            "testIamPermissions": self._test,
            "get": self._get_project,
        }
        projects = {f"cloudresourcemanager.projects.{name}": do for name, do in policy.items()}
        accounts_, roles = "iam.projects.serviceAccounts.", "iam.projects.roles."
        self.rooms: list[Room] = [
            Api(
                "iam.v1",
                {
                    f"{accounts_}get": self._get_account,
                    f"{accounts_}list": self._list_accounts,
                    f"{accounts_}create": self._make_account,
                    f"{accounts_}delete": self._drop_account,
                    f"{accounts_}getIamPolicy": self._get_account_policy,
                    f"{accounts_}setIamPolicy": self._set_account_policy,
                    f"{accounts_}testIamPermissions": self._test_account,
                    f"{roles}get": self._get_role,
                    f"{roles}list": self._list_roles,
                    f"{roles}create": self._make_role,
                    f"{roles}patch": self._patch_role,
                    f"{roles}delete": self._drop_role,
                    f"{roles}undelete": self._undrop_role,
                },
                self._check_rights,
            ).room,
            Api("cloudresourcemanager.v1", projects, self._check_rights).room,
            Api("cloudresourcemanager.v3", projects, self._check_rights).room,
            Api(
                "serviceusage.v1",
                {
                    "serviceusage.services.get": self._get_service,
                    "serviceusage.services.list": self._list_services,
                    "serviceusage.services.enable": self._enable,
                    "serviceusage.services.batchEnable": self._enable_many,
                },
                self._check_rights,
            ).room,
        ]

    def _check_rights(self, request: Request, path: Mapping[str, str]) -> None:
        if request.action.endswith(".testIamPermissions"):
            return
        # The permissions of these APIs have the names of the methods, but for the projects'.
        permission = request.action.replace("cloudresourcemanager", "resourcemanager")
        permission = permission.replace("iam.projects.", "iam.")
        name = f"projects/{catalog.PROJECT}"
        kind = "cloudresourcemanager.googleapis.com/Project"
        self._rights.need(request.caller, Deed(permission, name, kind))

    def _get_project(self, request: Request, **where: str) -> dict[str, Any]:
        _check_project(where)
        number = catalog.PROJECT_NUMBER
        if request.path.startswith("/v3/"):
            return {
                "name": f"projects/{number}",
                "projectId": catalog.PROJECT,
                "state": "ACTIVE",
                "displayName": catalog.PROJECT,
            }
        return {
            "projectNumber": number,
            "projectId": catalog.PROJECT,
            "lifecycleState": "ACTIVE",
            "name": catalog.PROJECT,
        }

    def _get_policy(self, request: Request, **where: str) -> dict[str, Any]:
        _check_project(where)
        wanted = request.json.get("options", {}).get("requestedPolicyVersion", 1)
        with self._accounts.lock:
            policy = {**self._accounts.policy, "etag": self._accounts.policy_etag}
            if any("condition" in binding for binding in policy["bindings"]) and wanted != 3:
                # As Google does, so that an old client does not make rights wider unawares.
                policy["bindings"] = [
                    {**binding, "role": f"{binding['role']}_withcond_0123456789abcdef"}
                    if "condition" in binding
                    else binding
                    for binding in policy["bindings"]
                ]
                policy["version"] = 1
            return policy

    def _set_policy(self, request: Request, **where: str) -> dict[str, Any]:
        _check_project(where)
        told = request.json.get("policy", {})
        check_policy(told)
        with self._accounts.lock:
            if told.get("etag") not in (None, "", self._accounts.policy_etag):
                raise Problem(
                    409,
                    "There were concurrent policy changes. Please retry the whole "
                    "read-modify-write with exponential backoff.",
                    "aborted",
                    "ABORTED",
                )
            had = self._accounts.policy["bindings"]
            if any("condition" in binding for binding in had) and told.get("version") != 3:
                raise bad_request("The policy has conditions, so its version must be 3.")
            for binding in told.get("bindings", []):
                self._check_binding(binding)
            self._accounts.policy = {
                "version": told.get("version", 1),
                "bindings": told.get("bindings", []),
            }
            self._accounts.version += 1
            return {**self._accounts.policy, "etag": self._accounts.policy_etag}

    def _check_binding(self, binding: dict[str, Any]) -> None:
        for member in binding.get("members", []):
            kind, _, email = member.partition(":")
            if kind == "serviceAccount" and not self._accounts.exists(email):
                raise bad_request(f"Service account {email} does not exist.")
        role = binding.get("role", "")
        if role.startswith("projects/"):
            found = self._accounts.roles.get(role)
            if found is None or found.get("deleted"):
                raise bad_request(f"Role {role} is not supported for this resource.")

    def _test(self, request: Request, **where: str) -> dict[str, Any]:
        _check_project(where)
        asked = request.json.get("permissions", [])
        kind = "cloudresourcemanager.googleapis.com/Project"
        name = f"projects/{catalog.PROJECT}"
        return {"permissions": self._rights.all_of(request.caller, asked, name, kind)}

    def _account(self, where: dict[str, str]) -> dict[str, Any]:
        email = where["service_accounts_id"]
        with self._accounts.lock:
            for account in self._accounts.accounts.values():
                if email in (account["email"], account["uniqueId"]):
                    return account
        raise not_found(f"Unknown service account: {email}")

    def _get_account(self, request: Request, **where: str) -> dict[str, Any]:
        if where["projects_id"] != "-":
            _check_project(where)
        return self._account(where)

    def _list_accounts(self, request: Request, **where: str) -> dict[str, Any]:
        _check_project(where)
        with self._accounts.lock:
            return {"accounts": list(self._accounts.accounts.values())}

    def _make_account(self, request: Request, **where: str) -> dict[str, Any]:
        _check_project(where)
        told = request.json
        name = told.get("accountId", "")
        if not re.fullmatch(r"[a-z]([-a-z0-9]{4,28}[a-z0-9])", name):
            raise bad_request(f"Invalid account id {name!r}: 6 to 30 characters of [-a-z0-9]")
        email = f"{name}@{catalog.PROJECT}.iam.gserviceaccount.com"
        if self._accounts.exists(email):
            raise Problem(
                409,
                f"Service account {name} already exists within project projects/{catalog.PROJECT}.",
                "alreadyExists",
                "ALREADY_EXISTS",
            )
        return self._accounts.add(email, told.get("serviceAccount"))

    def _drop_account(self, request: Request, **where: str) -> dict[str, Any]:
        with self._accounts.lock:
            del self._accounts.accounts[self._account(where)["email"]]
        return {}

    def _get_account_policy(self, request: Request, **where: str) -> dict[str, Any]:
        return {"etag": "ACAB", **self._account(where).get("_policy", {})}

    def _set_account_policy(self, request: Request, **where: str) -> dict[str, Any]:
        policy: dict[str, Any] = request.json.get("policy", {})
        check_policy(policy)
        self._account(where)["_policy"] = policy
        return policy

    def _test_account(self, request: Request, **where: str) -> dict[str, Any]:
        self._account(where)
        return {"permissions": request.json.get("permissions", [])}

    def _role(self, where: dict[str, str]) -> dict[str, Any]:
        _check_project(where)
        name = f"projects/{catalog.PROJECT}/roles/{where['roles_id']}"
        found = self._accounts.roles.get(name)
        if found is None:
            raise not_found(f"The role named {name} was not found.")
        return found

    def _get_role(self, request: Request, **where: str) -> dict[str, Any]:
        return self._role(where)

    def _list_roles(self, request: Request, **where: str) -> dict[str, Any]:
        _check_project(where)
        with_deleted = request.query.get("showDeleted") == "true"
        roles = self._accounts.roles.values()
        return {"roles": [role for role in roles if with_deleted or not role.get("deleted")]}

    def _make_role(self, request: Request, **where: str) -> dict[str, Any]:
        _check_project(where)
        told = request.json
        if not re.fullmatch(r"[\w.]{3,64}", told.get("roleId", "")):
            raise bad_request(
                f"The role id {told.get('roleId')!r} must be 3 to 64 of [a-zA-Z0-9_.]"
            )
        name = f"projects/{catalog.PROJECT}/roles/{told['roleId']}"
        with self._accounts.lock:
            if name in self._accounts.roles:
                raise Problem(
                    409, f"A role named {told['roleId']} already exists.", "alreadyExists",
                    "ALREADY_EXISTS",
                )  # fmt: skip
            self._accounts.roles[name] = {"name": name, "etag": etag_of(1)}
            self._change(self._accounts.roles[name], told.get("role", {}))
            return self._accounts.roles[name]

    def _patch_role(self, request: Request, **where: str) -> dict[str, Any]:
        with self._accounts.lock:
            role, told = self._role(where), request.json
            if told.get("etag") not in (None, role["etag"]):
                raise Problem(409, "The role has changed meanwhile.", "aborted", "ABORTED")
            if role.get("deleted"):
                raise bad_request(f"The role {role['name']} is deleted.", "failedPrecondition")
            mask = request.query.get("updateMask")
            self._change(role, {k: v for k, v in told.items() if not mask or k in mask.split(",")})
            return role

    @staticmethod
    def _change(role: dict[str, Any], told: dict[str, Any]) -> None:
        for permission in told.get("includedPermissions", []):
            if not re.fullmatch(r"[a-z]+(\.[a-zA-Z]+){2}", permission):
                raise bad_request(f"Permission {permission} is not valid.")
        role.update({k: v for k, v in told.items() if k not in ("name", "etag", "deleted")})
        role["etag"] = etag_of(*role["etag"].encode())

    def _drop_role(self, request: Request, **where: str) -> dict[str, Any]:
        role = self._role(where)
        role["deleted"] = True
        return role

    def _undrop_role(self, request: Request, **where: str) -> dict[str, Any]:
        role = self._role(where)
        role.pop("deleted", None)
        return role

    def _get_service(self, request: Request, **where: str) -> dict[str, Any]:
        return self._service(where["services_id"])

    def _service(self, name: str) -> dict[str, Any]:
        on = name in self._accounts.services
        return {
            "name": f"projects/{catalog.PROJECT_NUMBER}/services/{name}",
            "config": {"name": name},
            "state": "ENABLED" if on else "DISABLED",
            "parent": f"projects/{catalog.PROJECT_NUMBER}",
        }

    def _list_services(self, request: Request, **where: str) -> dict[str, Any]:
        return {"services": [self._service(name) for name in sorted(self._accounts.services)]}

    def _enable(self, request: Request, **where: str) -> dict[str, Any]:
        self._accounts.services.add(where["services_id"])
        return {
            "name": "operations/acat.p2-123456789012-testbed",
            "done": True,
            "response": {
                "@type": "type.googleapis.com/google.api.serviceusage.v1.EnableServiceResponse",
                "service": self._service(where["services_id"]),
            },
        }

    def _enable_many(self, request: Request, **where: str) -> dict[str, Any]:
        self._accounts.services.update(request.json.get("serviceIds", []))
        return {"name": "operations/acat.p2-123456789012-testbed", "done": True, "response": {}}


def _check_project(where: dict[str, str]) -> None:
    """Raise `Problem` unless the project is ours; Google tells nobody which there are."""
    name = where.get("projects_id") or where.get("project_id") or where.get("resource") or ""
    if name not in (catalog.PROJECT, catalog.PROJECT_NUMBER):
        raise Problem(
            403,
            f"The caller does not have permission on project {name}, or it may not exist.",
            "forbidden",
            "PERMISSION_DENIED",
        )
