"""Which roles the machines' account has where, written into policies that others change, too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from launchkit.cloud import stores
from launchkit.cloud.gcp_api import Google
from launchkit.cloud.gcp_errors import AlreadyThere, Conflict, NotThere
from launchkit.cloud.gcp_policies import ARCHIVES, READER, Names
from launchkit.cloud.patience import Patience
from launchkit.cloud.providers import Refused, Unreachable
from launchkit.cloud.setup_steps import Found, Step

VERSION = 3
"""Of policies with conditions."""


class Bindings:
    """The account's roles in the bucket and in the project.

    Parameters
    ----------
    google
        Whom to ask.
    names
        What all of it is called.
    patience_s
        For how many seconds to try again where something is not known everywhere yet.
    """

    def __init__(self, google: Google, names: Names, patience_s: float) -> None:
        self._google = google
        self.names = names
        self._patience_s = patience_s

    def steps(self) -> list[Step]:
        """Return what is needed."""
        names = self.names
        objects, machine = names.roles
        bucket = (self._bucket_policy, self._set_bucket_policy)
        project = (self._project_policy, self._set_project_policy)
        return [
            self._step(
                f"{objects} for that account in the bucket, below {names.prefix}/ only",
                *bucket,
                names.of_objects(),
            ),
            self._step(
                f"{READER} for it in the bucket, below {names.prefix}/{ARCHIVES} only",
                *bucket,
                names.of_archives(),
            ),
            self._step(
                f"{machine} for it in the project, for launchkit's machines only",
                *project,
                names.of_machines(),
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

    def _step(
        self,
        words: str,
        read: Callable[[], Any],
        write: Callable[[Any], Any],
        binding: dict[str, Any],
    ) -> Step:
        return Step(
            words,
            lambda: self._look(read, binding),
            lambda: self._bind(read, write, binding),
        )

    def _look(self, read: Callable[[], Any], binding: dict[str, Any]) -> Found:
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
