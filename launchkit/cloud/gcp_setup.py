"""The least that sweeps on Google Cloud need: a bucket, and an account for the machines."""

from __future__ import annotations

import functools
from typing import Any

from launchkit.cloud.cloud_settings import check_name
from launchkit.cloud.ec2_settings import PREFIX
from launchkit.cloud.gce_surroundings import ask_if_allowed
from launchkit.cloud.gcp_api import Google
from launchkit.cloud.gcp_bindings import Bindings
from launchkit.cloud.gcp_errors import AlreadyThere, NotThere
from launchkit.cloud.gcp_policies import APIS, Names
from launchkit.cloud.gcp_settings import BUCKET_NAME, PROJECT_NAME
from launchkit.cloud.patience import PATIENCE_S
from launchkit.cloud.providers import Expired, Refused
from launchkit.cloud.setup_steps import Found, Step

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
        self._google = Google(patience_s)
        self._bindings = Bindings(self._google, names, patience_s)

    def steps(self) -> list[Step]:
        """Return what is needed, in the order in which it is made."""
        names = self.names
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
            *self._bindings.steps(),
        ]

    def more_rights(self) -> list[str]:
        """Return the roles by which the account may do more in the project than is needed."""
        return self._bindings.more_rights()

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
