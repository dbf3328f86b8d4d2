"""What there is to rent: regions, zones, types of machine."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from launchkit.cloud.aws import Aws, pages
from launchkit.cloud.aws_errors import Said
from launchkit.cloud.ec2_settings import Ec2Settings

HOME = "us-east-1"
"""A region that is there for everybody, and knows the others."""
UNUSED = "not-opted-in"
FEW = 5


@dataclass(frozen=True)
class Kind:
    """A type of machine.

    Parameters
    ----------
    name
        Its name.
    vcpus
        Its virtual CPUs.
    memory_mib
        Its memory.
    architectures
        What it runs.
    gpus
        Its GPUs in words; empty if it has none.
    """

    name: str
    vcpus: int
    memory_mib: int
    architectures: tuple[str, ...]
    gpus: str

    @property
    def words(self) -> str:
        """What it is."""
        gpus = f", {self.gpus}" if self.gpus else ""
        return f"{self.name} ({self.vcpus} vCPUs, {self.memory_mib / 1024:g} GiB{gpus})"


def check_region(aws: Aws) -> None:
    """See to it that there is such a region, and that the account uses it.

    Raises
    ------
    ValueError
        If not.
    """
    known = {HOME: aws.partition(HOME), aws.region: aws.partition(aws.region)}
    # A region that is none has no one to answer; another part of AWS knows only its own.
    asked = HOME if known[aws.region] == known[HOME] else aws.region
    answer = aws.ask_if_allowed(
        "ec2", lambda ec2: ec2.describe_regions(AllRegions=True), region=asked
    )
    if answer is None:
        return
    regions = {each["RegionName"]: each.get("OptInStatus", "") for each in answer["Regions"]}
    if aws.region not in regions:
        raise ValueError(
            f"region is {aws.region!r}, and there is no such region; {near(aws.region, regions)}"
        )
    if regions[aws.region] == UNUSED:
        raise ValueError(
            f"region is {aws.region!r}, which this account does not use; enable it with "
            f"`aws account enable-region --region-name {aws.region}`, or name another one"
        )


def enabled_regions(aws: Aws, home: str) -> list[str]:
    """Return the regions that the account uses."""
    answer = aws.ask("ec2", lambda ec2: ec2.describe_regions(), region=home)
    return sorted(
        each["RegionName"] for each in answer["Regions"] if each.get("OptInStatus") != UNUSED
    )


def kind_of(aws: Aws, settings: Ec2Settings) -> Kind:
    """Return what the type of machine is.

    Raises
    ------
    ValueError
        If there is none of that name, or not what the settings want of it.
    """
    name = settings.instance_type
    try:
        found = aws.ask("ec2", lambda ec2: ec2.describe_instance_types(InstanceTypes=[name]))
    except Said as error:
        if error.code not in ("InvalidInstanceType", "InvalidParameterValue"):
            raise
        found = {"InstanceTypes": []}
    if not found["InstanceTypes"]:
        raise ValueError(
            f"instance_type is {name!r}, and there is none in {aws.region}; "
            f"{near(name, _types(aws))}"
        )
    described = found["InstanceTypes"][0]
    kind = Kind(
        name,
        int(described["VCpuInfo"]["DefaultVCpus"]),
        int(described["MemoryInfo"]["SizeInMiB"]),
        tuple(described["ProcessorInfo"]["SupportedArchitectures"]),
        _gpus(described),
    )
    _check_gpus(described, kind, settings)
    usage = "on-demand" if settings.spot_price is None else "spot"
    usages = described.get("SupportedUsageClasses", [usage])
    if usage not in usages:
        raise ValueError(
            f"instance_type is {name!r}, which is not rented {usage} (but "
            f"{' and '.join(usages)}); change spot_price, or name another type"
        )
    return kind


def check_zones(aws: Aws, settings: Ec2Settings) -> None:
    """See to it that the zones are there, and have such machines.

    Raises
    ------
    ValueError
        If not.
    """
    filters = [{"Name": "instance-type", "Values": [settings.instance_type]}]
    offers = aws.ask_if_allowed(
        "ec2",
        lambda ec2: pages(
            ec2,
            "describe_instance_type_offerings",
            "InstanceTypeOfferings",
            LocationType="availability-zone",
            Filters=filters,
        ),
    )
    if offers is None:
        return
    offering = sorted(each["Location"] for each in offers)
    for zone in settings.zones:
        if not zone.startswith(aws.region):
            raise ValueError(f"zone is {zone!r}, which is not in region {aws.region!r}")
        if zone not in offering:
            raise ValueError(
                f"zone is {zone!r}, and there is no instance_type {settings.instance_type!r} "
                f"there; there is in {', '.join(offering) or 'no zone of that region'}"
            )


def near(name: str, names: Iterable[str]) -> str:
    """Say what is called nearly so, or what there is."""
    known = sorted(names)
    alike = difflib.get_close_matches(name, known, FEW, 0.6) or known[:FEW]
    return f"there is {', '.join(alike)}" if alike else "see what there is in the console"


def _types(aws: Aws) -> list[str]:
    """Return the names of all types of machine of the region, as far as we may ask."""
    offers = aws.ask_if_allowed(
        "ec2",
        lambda ec2: pages(ec2, "describe_instance_type_offerings", "InstanceTypeOfferings"),
    )
    return [each["InstanceType"] for each in offers or ()]


def _gpus(described: dict[str, Any]) -> str:
    gpus = described.get("GpuInfo", {}).get("Gpus", ())
    return ", ".join(
        f"{each.get('Count', 1)} {each.get('Manufacturer', '')} {each.get('Name', 'GPU')}"
        for each in gpus
    )


def _check_gpus(described: dict[str, Any], kind: Kind, settings: Ec2Settings) -> None:
    if settings.use_gpu and not kind.gpus:
        raise ValueError(
            f"use_gpu is true, and instance_type {kind.name!r} has no GPU; name one that has, "
            "g6.xlarge say, or set use_gpu=false"
        )
    if kind.gpus and not settings.use_gpu:
        raise ValueError(
            f"instance_type is {kind.name!r} with {kind.gpus}, which would be paid for and not "
            "used; set use_gpu=true, or name a type without"
        )
    makers = {each.get("Manufacturer") for each in described.get("GpuInfo", {}).get("Gpus", ())}
    if settings.use_gpu and "NVIDIA" not in makers:
        raise ValueError(
            f"instance_type is {kind.name!r} with {kind.gpus}; only NVIDIA's GPUs can be used"
        )
