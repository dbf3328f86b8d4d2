"""What the machines of Google Cloud may do: their roles, and where these hold."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from launchkit.cloud import gce_names
from launchkit.cloud.gce_bodies import account_of

APIS = ("compute.googleapis.com", "iam.googleapis.com", "cloudresourcemanager.googleapis.com")
OBJECTS = (
    "storage.objects.create",
    "storage.objects.delete",  # to write over an object takes it
    "storage.objects.get",
    "storage.objects.list",
)
READER = "roles/storage.objectViewer"
ARCHIVES = ".archives/"
MACHINE = ("compute.instances.delete", "compute.instances.get")


@dataclass(frozen=True)
class Names:
    """What all of it is called.

    Parameters
    ----------
    project
        The project.
    bucket
        The bucket.
    prefix
        Below which sweeps are in it.
    name
        What the service account is called, and the roles begin with.
    location
        Where the bucket is made, if it is not there.
    """

    project: str
    bucket: str
    prefix: str = "launchkit"
    name: str = "launchkit"
    location: str = "US"

    @property
    def account(self) -> str:
        """The address of the service account."""
        return account_of(self.project, self.name)

    @property
    def member(self) -> str:
        """The service account as policies name it."""
        return f"serviceAccount:{self.account}"

    @property
    def roles(self) -> Mapping[str, tuple[str, ...]]:
        """The roles by their ids, and what each may do."""
        base = self.name.replace("-", "_")  # an id has no other mark
        return {f"{base}.objects": OBJECTS, f"{base}.machine": MACHINE}

    def role(self, what: str) -> str:
        """Return the whole name of a role: of the ``objects``, or of the ``machine``."""
        return next(f"projects/{self.project}/roles/{id_}" for id_ in self.roles if what in id_)

    def of_objects(self) -> dict[str, Any]:
        """Return the binding, in the bucket's policy, that lets machines at their prefix.

        Not at the archives, though, which other machines run.
        """
        below, archives = self._objects(""), self._objects(ARCHIVES)
        listed = 'api.getAttribute("storage.googleapis.com/objectListPrefix", "")'
        return self._binding(
            self.role("objects"),
            f"launchkit: {self.prefix}/",
            f"(resource.name.startsWith({below}) && !resource.name.startsWith({archives})) || "
            f"{listed}.startsWith({json.dumps(self.prefix + '/')})",
        )

    def of_archives(self) -> dict[str, Any]:
        """Return the binding, in the bucket's policy, that lets machines read archives."""
        return self._binding(
            READER,
            f"launchkit: {self.prefix}/{ARCHIVES}",
            f"resource.name.startsWith({self._objects(ARCHIVES)})",
        )

    def of_machines(self) -> dict[str, Any]:
        """Return the binding, in the project's policy, that lets machines end themselves."""
        return self._binding(
            self.role("machine"),
            "launchkit: its machines",
            'resource.type == "compute.googleapis.com/Instance" && '
            f'resource.name.extract("/instances/{{name}}").startsWith("{gce_names.PREFIX}")',
        )

    def commands(self) -> Iterator[str]:
        """Yield the commands that make all of it, a line each."""
        project, bucket = f"--project {shlex.quote(self.project)}", f"gs://{self.bucket}"
        member = f"--member {shlex.quote(self.member)}"
        yield f"gcloud services enable {' '.join(APIS)} {project}"
        yield (
            f"gcloud storage buckets create {bucket} {project} --location {self.location} "
            "--uniform-bucket-level-access --public-access-prevention"
        )
        yield f"gcloud iam service-accounts create {self.name} {project}"
        for role, permissions in self.roles.items():
            yield f"gcloud iam roles create {role} {project} --permissions {','.join(permissions)}"
        for role, file in ((self.role("objects"), "objects"), (READER, "archives")):
            yield (
                f"gcloud storage buckets add-iam-policy-binding {bucket} {member} --role {role} "
                f"--condition-from-file {file}.json"
            )
        yield (
            f"gcloud projects add-iam-policy-binding {shlex.quote(self.project)} {member} "
            f"--role {self.role('machine')} --condition-from-file machine.json"
        )

    def conditions(self) -> dict[str, dict[str, str]]:
        """Return the conditions that the commands read, by the names of their files."""
        return {
            "objects.json": self.of_objects()["condition"],
            "archives.json": self.of_archives()["condition"],
            "machine.json": self.of_machines()["condition"],
        }

    def settings(self) -> dict[str, str]:
        """Return the settings of mode ``gcp`` that use all of it."""
        return {
            "gcp_project": self.project,
            "gcp_bucket": self.bucket,
            "gcp_log_path": self.prefix,
            "service_account": self.account,
        }

    def _objects(self, below: str) -> str:
        """Return what the names of objects below the prefix begin with, in quotes."""
        return json.dumps(f"projects/_/buckets/{self.bucket}/objects/{self.prefix}/{below}")

    def _binding(self, role: str, title: str, expression: str) -> dict[str, Any]:
        return {
            "role": role,
            "members": [self.member],
            "condition": {"title": title, "expression": expression},
        }
