"""What machines need around them: a project, a network, a service account, permissions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from launchkit.cloud import gce_bodies
from launchkit.cloud.gcp_api import Google
from launchkit.cloud.gcp_errors import NotThere
from launchkit.cloud.gcp_settings import GcpSettings
from launchkit.cloud.providers import Expired, NoCapacity, Refused, Unreachable

SHORT_S = 5.0
"""Seconds to ask again for what it is good to know."""
PERMISSIONS = (
    "compute.instances.create",
    "compute.instances.delete",
    "compute.instances.get",
    "compute.instances.list",
    "compute.instances.setLabels",
    "compute.instances.setMetadata",
    "compute.instances.setServiceAccount",
    "compute.disks.create",
    "compute.subnetworks.use",
    "compute.subnetworks.useExternalIp",
    "compute.globalOperations.list",
)
"""What whoever launches needs in the project."""
ACT_AS = "iam.serviceAccounts.actAs"
ROLES = "roles/compute.instanceAdmin.v1 and roles/iam.serviceAccountUser"


def project(google: Google, settings: GcpSettings) -> Mapping[str, Any]:
    """Return the project, as the API shows it.

    Raises
    ------
    ValueError
        If there is none that we may look at.
    """
    name = settings.gcp_project
    try:
        found: Mapping[str, Any] = google.ask(
            google.api().projects().get(project=name), f"project {name}"
        )
    except NotThere as error:
        raise ValueError(
            f"gcp_project is {name!r}, and there is none that these credentials know; "
            "`gcloud projects list` names yours"
        ) from error
    return found


def region(google: Google, settings: GcpSettings, name: str) -> Mapping[str, Any]:
    """Return a region, with its quotas."""
    call = google.api().regions().get(project=settings.gcp_project, region=name)
    found: Mapping[str, Any] = google.ask(call, f"region {name}")
    return found


def check(google: Google, settings: GcpSettings) -> None:
    """See to it that network, service account and permissions are there.

    Raises
    ------
    ValueError
        If something is not.
    """
    _check_permissions(google, settings)
    _check_network(google, settings)
    _check_account(google, settings)


def _check_permissions(google: Google, settings: GcpSettings) -> None:
    call = (
        google.api("cloudresourcemanager")
        .projects()
        .testIamPermissions(resource=settings.gcp_project, body={"permissions": list(PERMISSIONS)})
    )
    answer = ask_if_allowed(google, call, "our permissions")
    if answer is None:
        return
    lacking = sorted(set(PERMISSIONS) - set(answer.get("permissions", ())))
    if lacking:
        raise ValueError(
            f"gcp_project is {settings.gcp_project!r}, where these credentials may not do "
            f"{', '.join(lacking)}; have the roles {ROLES} granted to you there"
        )


def _check_network(google: Google, settings: GcpSettings) -> None:
    if "networkInterfaces" in settings.gcp_kwargs:
        return
    if settings.subnet:
        for zone in settings.zones:
            _check_subnet(google, settings, zone)
        return
    call = google.api().networks().get(project=settings.gcp_project, network="default")
    try:
        ask_if_allowed(google, call, "the default network")
    except NotThere as error:
        raise ValueError(
            f"subnet is not set, and {settings.gcp_project} has no network called default; name "
            "a subnet in the region of the zone"
        ) from error


def _check_subnet(google: Google, settings: GcpSettings, zone: str) -> None:
    parts = gce_bodies.subnet_link(settings, zone).split("/")
    names = ("projects", "regions", "subnetworks")
    named = {each: parts[parts.index(each) + 1] for each in names if each in parts[:-1]}
    where = named.get("regions", gce_bodies.region_of(zone))
    if where != gce_bodies.region_of(zone):
        raise ValueError(
            f"subnet is {settings.subnet!r}, which is in {where}, and zone {zone} is not; name "
            "one in the region of the zones"
        )
    call = google.api().subnetworks().get(
        project=named.get("projects", settings.gcp_project),
        region=where,
        subnetwork=named.get("subnetworks", parts[-1]),
    )  # fmt: skip
    try:
        ask_if_allowed(google, call, f"subnet {settings.subnet}")
    except NotThere as error:
        raise ValueError(
            f"subnet is {settings.subnet!r}, and there is none in {where}; "
            "`gcloud compute networks subnets list` names them"
        ) from error


def _check_account(google: Google, settings: GcpSettings) -> None:
    account = gce_bodies.account(settings)
    name = f"projects/{settings.gcp_project}/serviceAccounts/{account}"
    accounts = google.api("iam").projects().serviceAccounts()
    try:
        found = ask_if_allowed(google, accounts.get(name=name), f"service account {account}")
    except NotThere as error:
        if settings.service_account and account != _own(settings, account):
            return  # of another project, which does not show it to us
        raise ValueError(
            f"service_account is {account!r}, and there is none; `launchkit gcp setup --project "
            f"{settings.gcp_project} --bucket {settings.gcp_bucket} --apply` makes it"
        ) from error
    if found is None:
        return
    if found.get("disabled"):
        raise ValueError(f"service_account is {account!r}, which is disabled; enable it")
    call = accounts.testIamPermissions(resource=name, body={"permissions": [ACT_AS]})
    try:
        answer = ask_if_allowed(google, call, f"our permissions on {account}")
    except NotThere:
        return
    if answer is not None and ACT_AS not in answer.get("permissions", ()):
        raise ValueError(
            f"service_account is {account!r}, which these credentials may not give to machines "
            f"({ACT_AS}); have the role roles/iam.serviceAccountUser granted to you on it"
        )


def _own(settings: GcpSettings, account: str) -> str:
    """Return the address that an account of that name has in the machines' project."""
    return gce_bodies.account_of(settings.gcp_project or "", account.partition("@")[0])


def ask_if_allowed(google: Google, call: Any, what: str) -> Any:
    """Ask what it is good to know: None if we may not ask, or cannot be told.

    Raises
    ------
    NotThere
        If there is no such thing.
    Expired
        If the credentials have expired.
    """
    try:
        return google.ask(call, what, patience_s=SHORT_S)
    except (NotThere, Expired):
        raise
    except (Refused, NoCapacity, Unreachable):
        return None
