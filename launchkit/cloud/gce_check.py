"""Whether machines of Compute Engine can be had as wanted, asked without buying any."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from launchkit.cloud import gce_images, gce_quotas, gce_schema, gce_surroundings
from launchkit.cloud.gce_bodies import Image, Request, body, region_of, series
from launchkit.cloud.gce_quotas import Kind
from launchkit.cloud.gcp_api import Google
from launchkit.cloud.gcp_errors import NotThere
from launchkit.cloud.gcp_settings import GcpSettings
from launchkit.cloud.providers import Expired, Offer, Refused

NO_PRICE = (
    "Google's prices are asked for with a key of its own; set price_per_hour, without which "
    "max_price_per_hour and max_total_price limit nothing"
)


def check(google: Google, settings: GcpSettings, many: int) -> tuple[Offer, Image]:
    """Return what machines would be and cost, and their image.

    Raises
    ------
    ValueError
        If they could not be had.
    """
    try:
        return _check(google, settings, many)
    except Expired:
        raise
    except Refused as error:
        raise ValueError(str(error)) from error


def _check(google: Google, settings: GcpSettings, many: int) -> tuple[Offer, Image]:
    project = gce_surroundings.project(google, settings)
    _check_zones(google, settings)
    found = {zone: _machine_type(google, settings, zone) for zone in settings.zones}
    described = found[settings.zones[0]]
    kind = _kind(settings, described)
    if settings.gpu_model:
        for zone in settings.zones:
            _check_model(google, settings, zone)
    image = gce_images.find(google, settings)
    _check_image(settings, image, described)
    _check_body(settings, image)
    gce_surroundings.check(google, settings)
    regions = {
        name: gce_surroundings.region(google, settings, name)
        for name in gce_quotas.regions_of(settings.zones)
    }
    most = gce_quotas.most(settings, kind, project, regions)
    del many  # what is lacking for some is waited for
    lines = tuple(_lines(settings, kind, described, image))
    price = settings.price_per_hour
    source = NO_PRICE if price is None else "price_per_hour"
    return Offer(price, source, image.name, lines, most), image


def _lines(
    settings: GcpSettings, kind: Kind, described: Mapping[str, Any], image: Image
) -> Iterator[str]:
    gpus = f", {kind.gpus} x {kind.gpu}" if kind.gpu else ""
    size = f"{kind.cpus} vCPUs, {float(described.get('memoryMb', 0)) / 1024:g} GB{gpus}"
    bought = "Spot" if settings.preemptible else "on demand"
    yield (
        f"{settings.instance_type} ({size}), {settings.disk_size} GB of disk, {bought}, "
        f"in {', '.join(settings.zones)}"
    )
    yield f"image {image.name} of {image.project}"
    if "networkInterfaces" not in settings.gcp_kwargs:
        yield "with an external address each, which costs a little more"


def _check_zones(google: Google, settings: GcpSettings) -> None:
    there = {
        zone["name"]
        for page in google.pages(
            google.api().zones(), "list", "the zones", project=settings.gcp_project
        )
        for zone in page.get("items", ())
    }
    for zone in settings.zones:
        if zone not in there:
            region = [name for name in sorted(there) if region_of(name) == region_of(zone)]
            near = region or difflib.get_close_matches(zone, there, 4) or sorted(there)
            raise ValueError(f"zone is {zone!r}, and there is none; there are {_some(near)}")


def _machine_type(google: Google, settings: GcpSettings, zone: str) -> Mapping[str, Any]:
    """Return the type of machine as a zone has it."""
    name, types = settings.instance_type, google.api().machineTypes()
    try:
        found: Mapping[str, Any] = google.ask(
            types.get(project=settings.gcp_project, zone=zone, machineType=name),
            f"machine type {name} in {zone}",
        )
    except NotThere as error:
        there = [
            each["name"]
            for page in google.pages(
                types, "list", f"the machine types of {zone}",
                project=settings.gcp_project, zone=zone,
            )
            for each in page.get("items", ())
        ]  # fmt: skip
        family = [each for each in there if series(each) == series(name)]
        near = difflib.get_close_matches(name, there, 4, 0.75) or family
        instead = near or sorted({f"{series(each)}-…" for each in there})
        raise ValueError(
            f"instance_type is {name!r}, which zone {zone} has not; it has {_some(instead)}"
        ) from error
    return found


def _kind(settings: GcpSettings, described: Mapping[str, Any]) -> Kind:
    """Return what matters of the type, once GPUs are there if and only if jobs use them."""
    name = settings.instance_type
    cpus = int(described.get("guestCpus", 0))
    own = next(iter(described.get("accelerators", ())), None)
    if own is not None:
        model = own["guestAcceleratorType"]
        if settings.gpu_model:
            raise ValueError(
                f"gpu_model is {settings.gpu_model!r}, and {name} has GPUs of its own "
                f"({model}); leave gpu_model out"
            )
        if not settings.use_gpu:
            raise ValueError(
                f"instance_type is {name!r}, which has GPUs ({model}), and use_gpu is false; set "
                "use_gpu=true, or take a type without"
            )
        return Kind(cpus, model, int(own["guestAcceleratorCount"]))
    if settings.gpu_model is None:
        if settings.use_gpu:
            raise ValueError(
                f"use_gpu is true, and {name} has no GPU; set gpu_model (with a type such as "
                "n1-standard-4), or take a type that has GPUs, such as g2-standard-4"
            )
        return Kind(cpus)
    if series(name) != "n1":
        raise ValueError(
            f"gpu_model is {settings.gpu_model!r}, and {name} takes no GPUs; machines of type n1 "
            "do, n1-standard-4 say"
        )
    return Kind(cpus, settings.gpu_model, settings.num_gpu)


def _check_model(google: Google, settings: GcpSettings, zone: str) -> None:
    there = {
        each["name"]: int(each.get("maximumCardsPerInstance", 0))
        for page in google.pages(
            google.api().acceleratorTypes(), "list", f"the GPUs of {zone}",
            project=settings.gcp_project, zone=zone,
        )
        for each in page.get("items", ())
    }  # fmt: skip
    model = settings.gpu_model or ""
    if model not in there:
        has = f"it has {', '.join(sorted(there))}" if there else "it has none at all"
        raise ValueError(f"gpu_model is {model!r}, which zone {zone} has not; {has}")
    if there[model] and settings.num_gpu > there[model]:
        raise ValueError(
            f"num_gpu is {settings.num_gpu}; a machine takes {there[model]} {model} at most"
        )


def _check_image(settings: GcpSettings, image: Image, described: Mapping[str, Any]) -> None:
    if settings.disk_size < image.disk_size:
        raise ValueError(
            f"disk_size is {settings.disk_size}; the image {image.name} needs {image.disk_size}"
        )
    wanted = described.get("architecture", "")
    if wanted and image.architecture and wanted != image.architecture:
        raise ValueError(
            f"the image {image.name} is for {image.architecture}, and {settings.instance_type} is "
            f"{wanted}; name another gcp_image, or take another type"
        )


def _check_body(settings: GcpSettings, image: Image) -> None:
    """See to it that the API takes what is asked for, with the user's own fields."""
    request = Request("lk-check-0", settings.zones[0], "", {}, {})
    wrong = gce_schema.problems(body(settings, request, image, settings.max_lifetime_min))
    if wrong:
        raise ValueError(f"gcp_kwargs: {'; '.join(wrong)}")


def _some(names: Iterable[str], most: int = 12) -> str:
    listed = list(names)
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more
