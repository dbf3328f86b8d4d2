"""How many machines the quotas of a project allow."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from launchkit.cloud.gce_bodies import region_of, series
from launchkit.cloud.gcp_settings import GcpSettings

SHARED_CPUS = frozenset({"e2", "n1", "f1", "g1"})
"""The series that have no quota of their own."""
WEEK_MIN = 7 * 24 * 60
HOW = "https://console.cloud.google.com/iam-admin/quotas is where to ask for more"


@dataclass(frozen=True)
class Need:
    """What a machine takes of a quota.

    Parameters
    ----------
    metrics
        The quotas, by Google's names; it is enough that one of them allows it.
    amount
        How much.
    """

    metrics: tuple[str, ...]
    amount: float


@dataclass(frozen=True)
class Kind:
    """What matters of a machine's type.

    Parameters
    ----------
    cpus
        Its vCPUs.
    gpu
        The model of its GPUs; empty without.
    gpus
        How many.
    """

    cpus: int
    gpu: str = ""
    gpus: int = 0


def most(
    settings: GcpSettings,
    kind: Kind,
    project: Mapping[str, Any],
    regions: Mapping[str, Mapping[str, Any]],
) -> int | None:
    """Return how many machines may run at a time; None if nothing limits them.

    Parameters
    ----------
    settings
        What is wanted.
    kind
        Of which type.
    project
        The project, as the API shows it.
    regions
        The regions of the zones, likewise, by name.

    Raises
    ------
    ValueError
        If a quota allows none at all.
    """
    counts: list[float] = []
    refusals = []
    for name, region in regions.items():
        try:
            counts.append(_fitting(needs(settings, kind), region.get("quotas", ()), f"in {name}"))
        except ValueError as error:
            refusals.append(error)
    if not counts:
        raise refusals[0]
    whole = _fitting(global_needs(kind), project.get("quotas", ()), "of all regions")
    found = min(sum(counts), whole)
    # What is used up now may be free when it is this machine's turn.
    return None if math.isinf(found) else max(1, int(found))


def needs(settings: GcpSettings, kind: Kind) -> list[Need]:
    """Return what a machine takes of the quotas of its region."""
    family = series(settings.instance_type)
    cpus = "CPUS" if family in SHARED_CPUS else f"{family.upper()}_CPUS"
    # Who has no quota for Spot machines has them under the ordinary one.
    found = [Need(("PREEMPTIBLE_CPUS", cpus) if settings.preemptible else (cpus,), kind.cpus)]
    if kind.gpu:
        models = tuple(f"NVIDIA_{model}_GPUS" for model in _models(kind.gpu))
        if settings.preemptible or settings.max_lifetime_min <= WEEK_MIN:
            # A machine that Google deletes within a week may take either.
            models = (*(f"PREEMPTIBLE_{model}" for model in models), *models)
        found.append(Need(models, kind.gpus))
    if "networkInterfaces" not in settings.gcp_kwargs:
        found.append(Need(("IN_USE_ADDRESSES",), 1))
    if "disks" not in settings.gcp_kwargs:
        found.append(Need(("SSD_TOTAL_GB",), settings.disk_size))
    found.append(Need(("INSTANCES",), 1))
    return found


def global_needs(kind: Kind) -> list[Need]:
    """Return what a machine takes of the quotas of the project."""
    found = [Need(("CPUS_ALL_REGIONS",), kind.cpus)]
    return [*found, Need(("GPUS_ALL_REGIONS",), kind.gpus)] if kind.gpu else found


def regions_of(zones: Iterable[str]) -> list[str]:
    """Return the regions of zones, each once."""
    return list(dict.fromkeys(region_of(zone) for zone in zones))


def _fitting(needed: Iterable[Need], quotas: Iterable[Mapping[str, Any]], where: str) -> float:
    """Return how many machines fit into what is left of quotas."""
    known = {quota["metric"]: quota for quota in quotas}
    fitting = math.inf
    for need in needed:
        found = [known[metric] for metric in need.metrics if metric in known]
        if not found:
            continue
        limit = max(float(quota.get("limit", 0)) for quota in found)
        if limit < need.amount:
            names = " and ".join(quota["metric"] for quota in found)
            raise ValueError(
                f"the quota {names} {where} is {limit:g}, and a machine takes {need.amount:g}; "
                f"{HOW}"
            )
        left = max(float(quota.get("limit", 0)) - float(quota.get("usage", 0)) for quota in found)
        fitting = min(fitting, left // need.amount)
    return fitting


def _models(gpu: str) -> tuple[str, ...]:
    """Return how a model may be called in the name of its quota."""
    name = re.sub(r"^nvidia-(tesla-)?", "", gpu).upper().replace("-", "_")
    return tuple(dict.fromkeys((name, re.sub(r"_\d+GB$", "", name))))
