"""The least that sweeps on Google Cloud need: a bucket, and an account for the machines."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from launchkit.cloud import stores
from launchkit.cloud.cloud_settings import check_name
from launchkit.cloud.ec2_settings import PREFIX
from launchkit.cloud.gce_surroundings import ask_if_allowed
from launchkit.cloud.gcp_api import Google
from launchkit.cloud.gcp_errors import AlreadyThere, Conflict, NotThere
from launchkit.cloud.gcp_policies import APIS, Names
from launchkit.cloud.gcp_settings import BUCKET_NAME, PROJECT_NAME
from launchkit.cloud.patience import PATIENCE_S, Patience
from launchkit.cloud.providers import Expired, Refused, Unreachable
from launchkit.cloud.setup_steps import Found, Step

VERSION = 3
"""Of policies with conditions."""
CLOSED = {
    "uniformBucketLevelAccess": {"enabled": True},
    "publicAccessPrevention": "enforced",
}


class GcpSetup:
    """What is needed, looked at and made.

    Parameters
    ----------
    names
        What it is called.
    patience_s
        For how many seconds to ask again what has failed for a while.

    Raises
    ------
    ValueError
        If a name is wrong.
    """

    def __init__(self, names: Names, *, patience_s: float = PATIENCE_S) -> None:
        check_name("project", names.project, PROJECT_NAME, "name your project", optional=False)
        check_name("bucket", names.bucket, BUCKET_NAME, "my-sweeps, say", optional=False)
        check_name("prefix", names.prefix, PREFIX, "launchkit, say", optional=False)
        check_name(
            "name", names.name, r"[a-z][a-z0-9-]{4,28}[a-z0-9]", "6 to 30 of a-z, 0-9 and -",
            optional=False,
        )  # fmt: skip
        check_name("location", names.location, r"[A-Za-z0-9-]+", "US or us-central1, say")
        self.names = names
        self._patience_s = patience_s
        self._google = Google(patience_s)

    def steps(self) -> list[Step]:
        """Return what is needed, in the order in which it is made."""
        names = self.names
        objects, machine = names.roles
        roles = [
            Step(
                f"role {role}: {', '.join(permissions)}",
                functools.partial(self._look_role, role, permissions),
                functools.partial(self._make_role, role, permissions),
            )
            for role, permissions in names.roles.items()
        ]
        return [
            Step(f"APIs {', '.join(APIS)}", self._look_apis, self._make_apis),
            Step(
                f"bucket gs://{names.bucket}, closed to the public, rights by its policy only",
                self._look_bucket,
                self._make_bucket,
            ),
            Step(f"service account {names.account}", self._look_account, self._make_account),
            *roles,
            Step(
                f"{objects} for that account in the bucket, below {names.prefix}/ only",
                lambda: self._look_binding(self._bucket_policy, names.of_objects()),
                lambda: self._bind(
                    self._bucket_policy, self._set_bucket_policy, names.of_objects()
                ),
            ),
            Step(
                f"{machine} for it in the project, for launchkit's machines only",
                lambda: self._look_binding(self._project_policy, names.of_machines()),
                lambda: self._bind(
                    self._project_policy, self._set_project_policy, names.of_machines()
                ),
            ),
        ]

    def more_rights(self) -> list[str]:
        """Return the roles by which the account may do more in the project than is needed."""
        try:
            bindings = self._project_policy().get("bindings", ())
        except (Refused, Unreachable):
            return []
        needed = self.names.of_machines()
        return sorted(
            {
                binding["role"]
                for binding in bindings
                if self.names.member in binding.get("members", ()) and not _is_same(binding, needed)
            }
        )

    # The APIs

    def _look_apis(self) -> Found:
        services = self._google.api("serviceusage").services()
        for name in APIS:
            call = services.get(name=f"projects/{self.names.project}/services/{name}")
            found = ask_if_allowed(self._google, call, f"API {name}")
            if found is None:
                return Found.UNKNOWN
            if found.get("state") != "ENABLED":
                return Found.LACKING
        return Found.THERE

    def _make_apis(self) -> None:
        services = self._google.api("serviceusage").services()
        call = services.batchEnable(
            parent=f"projects/{self.names.project}", body={"serviceIds": list(APIS)}
        )
        self._google.ask(call, f"the APIs of {self.names.project}")

    # The bucket

    def _look_bucket(self) -> Found:
        try:
            found = self._bucket()
        except NotThere:
            return Found.LACKING
        closed = found.get("iamConfiguration", {})
        uniform = closed.get("uniformBucketLevelAccess", {}).get("enabled", False)
        private = closed.get("publicAccessPrevention") == CLOSED["publicAccessPrevention"]
        return Found.THERE if uniform and private else Found.LACKING

    def _bucket(self) -> Any:
        name = self.names.bucket
        try:
            return self._google.ask(
                self._google.api("storage").buckets().get(bucket=name), f"bucket gs://{name}"
            )
        except (NotThere, Expired):
            raise
        except Refused as error:
            raise Refused(
                f"{error}; if gs://{name} is somebody else's, choose another --bucket"
            ) from error

    def _make_bucket(self) -> None:
        buckets, name = self._google.api("storage").buckets(), self.names.bucket
        body = {
            "name": name,
            "location": self.names.location,
            "iamConfiguration": CLOSED,
            "labels": {"launchkit": "1"},
        }
        try:
            self._google.ask(
                buckets.insert(project=self.names.project, body=body), f"bucket gs://{name}"
            )
        except AlreadyThere:
            self._bucket()  # which raises if it is somebody else's
            call = buckets.patch(bucket=name, body={"iamConfiguration": CLOSED})
            self._google.ask(call, f"bucket gs://{name}")

    # The service account

    def _look_account(self) -> Found:
        accounts = self._google.api("iam").projects().serviceAccounts()
        name = f"projects/{self.names.project}/serviceAccounts/{self.names.account}"
        try:
            found = self._google.ask(accounts.get(name=name), f"account {self.names.account}")
        except NotThere:
            return Found.LACKING
        if found.get("disabled"):
            raise Refused(f"the service account {self.names.account} is disabled; enable it")
        return Found.THERE

    def _make_account(self) -> None:
        body = {
            "accountId": self.names.name,
            "serviceAccount": {
                "displayName": self.names.name,
                "description": "The machines of launchkit's sweeps",
            },
        }
        accounts = self._google.api("iam").projects().serviceAccounts()
        call = accounts.create(name=f"projects/{self.names.project}", body=body)
        self._unless_there(call, f"account {self.names.account}")

    # Its roles

    def _look_role(self, role: str, permissions: tuple[str, ...]) -> Found:
        try:
            found = self._role(role)
        except NotThere:
            return Found.LACKING
        same = set(found.get("includedPermissions", ())) == set(permissions)
        return Found.THERE if same and not found.get("deleted") else Found.LACKING

    def _make_role(self, role: str, permissions: tuple[str, ...]) -> None:
        roles = self._google.api("iam").projects().roles()
        content = {
            "title": role,
            "description": "What the machines of launchkit's sweeps need",
            "includedPermissions": list(permissions),
            "stage": "GA",
        }
        name = f"projects/{self.names.project}/roles/{role}"
        body = {"roleId": role, "role": content}
        call = roles.create(parent=f"projects/{self.names.project}", body=body)
        self._unless_there(call, f"role {role}")
        found = self._role(role)
        if found.get("deleted"):
            self._google.ask(roles.undelete(name=name, body={}), f"role {role}")
        if set(found.get("includedPermissions", ())) != set(permissions):
            call = roles.patch(name=name, body=content, updateMask="includedPermissions")
            self._google.ask(call, f"role {role}")

    def _role(self, role: str) -> Any:
        roles = self._google.api("iam").projects().roles()
        call = roles.get(name=f"projects/{self.names.project}/roles/{role}")
        return self._google.ask(call, f"role {role}")

    def _unless_there(self, call: Any, what: str) -> None:
        try:
            self._google.ask(call, what)
        except AlreadyThere:
            return

    # Where they hold

    def _look_binding(self, read: Callable[[], Any], binding: dict[str, Any]) -> Found:
        try:
            bindings = read().get("bindings", ())
        except NotThere:
            return Found.LACKING
        return Found.THERE if any(_holds(each, binding) for each in bindings) else Found.LACKING

    def _bind(
        self, read: Callable[[], Any], write: Callable[[Any], Any], binding: dict[str, Any]
    ) -> None:
        """Add a binding to a policy, again if somebody else changes it meanwhile."""
        patience = Patience(self._patience_s, f"the policy for {binding['role']}")
        while True:
            policy = read()
            bindings = policy.setdefault("bindings", [])
            same = next((each for each in bindings if _is_same(each, binding)), None)
            if same is None:
                bindings.append(binding)
            else:
                same["members"] = sorted({*same.get("members", ()), *binding["members"]})
            policy["version"] = VERSION
            try:
                write(policy)
            except (AlreadyThere, Conflict, Refused) as error:
                # What has just been made is not known everywhere at once.
                passing = isinstance(error, AlreadyThere | Conflict) or _is_new(str(error))
                if not passing:
                    raise
                _pause(patience, error)
                continue
            return

    def _bucket_policy(self) -> Any:
        buckets = self._google.api("storage").buckets()
        call = buckets.getIamPolicy(bucket=self.names.bucket, optionsRequestedPolicyVersion=VERSION)
        return self._google.ask(call, f"the policy of gs://{self.names.bucket}")

    def _set_bucket_policy(self, policy: Any) -> Any:
        buckets = self._google.api("storage").buckets()
        call = buckets.setIamPolicy(bucket=self.names.bucket, body=policy)
        return self._google.ask(call, f"the policy of gs://{self.names.bucket}")

    def _project_policy(self) -> Any:
        projects = self._google.api("cloudresourcemanager").projects()
        call = projects.getIamPolicy(
            resource=self.names.project,
            body={"options": {"requestedPolicyVersion": VERSION}},
        )
        return self._google.ask(call, f"the policy of project {self.names.project}")

    def _set_project_policy(self, policy: Any) -> Any:
        projects = self._google.api("cloudresourcemanager").projects()
        call = projects.setIamPolicy(resource=self.names.project, body={"policy": policy})
        return self._google.ask(call, f"the policy of project {self.names.project}")


def _is_same(binding: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Tell whether a binding is of the same role under the same condition."""
    condition = binding.get("condition", {}).get("expression", "")
    return bool(
        binding["role"] == wanted["role"] and condition == wanted["condition"]["expression"]
    )


def _holds(binding: dict[str, Any], wanted: dict[str, Any]) -> bool:
    members = set(binding.get("members", ()))
    return _is_same(binding, wanted) and set(wanted["members"]) <= members


def _is_new(said: str) -> bool:
    return "does not exist" in said or "is not supported for this resource" in said


def _pause(patience: Patience, error: Exception) -> None:
    try:
        patience.pause(error)
    except stores.Unreachable as told:
        raise Unreachable(str(told)) from error
