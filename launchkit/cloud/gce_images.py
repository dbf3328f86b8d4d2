"""The machine image: named, the newest of a family, or Google's own of today."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from launchkit.cloud.gce_bodies import Image, series
from launchkit.cloud.gce_look import last, seconds
from launchkit.cloud.gcp_api import Google
from launchkit.cloud.gcp_errors import NotThere
from launchkit.cloud.gcp_settings import GcpSettings

DEBIAN = "debian-cloud"
DEBIAN_FAMILY = "debian-12"
LEARNING = "deeplearning-platform-release"
LEARNING_FAMILIES = "common-cu.*"
"""The families for GPUs that have a driver, or install it, and no framework of their own."""
ARM_SERIES = frozenset({"a4x", "c4a", "n4a", "t2a"})
_PUBLIC = {
    r"debian-": (DEBIAN,),
    r"ubuntu-": ("ubuntu-os-cloud",),
    r"(common|pytorch|tf\d*|dlvm)-": (LEARNING,),
    r"rocky-": ("rocky-linux-cloud",),
    r"rhel-": ("rhel-cloud",),
    r"cos-": ("cos-cloud",),
}
"""Whose an image is likely to be that has such a name."""
_WITHDRAWN = ("OBSOLETE", "DELETED")


def find(google: Google, settings: GcpSettings) -> Image:
    """Return the image that the machines get.

    Raises
    ------
    ValueError
        If there is none of that name.
    """
    if settings.gcp_image is None:
        return _todays(google, settings)
    path = re.fullmatch(
        r"(?:.*/)?projects/([^/]+)/global/images/(?:(family)/)?([^/]+)", settings.gcp_image
    )
    if path is not None:
        name, projects = path[3], [path[1]]
    else:
        name, projects = settings.gcp_image, list(_projects(settings))
    for project in projects:
        found = None if path and path[2] else _named(google, project, name)
        found = found or _newest_of(google, project, name)
        if found is not None:
            return _image(found, project, settings.gcp_image)
    raise ValueError(
        f"gcp_image is {settings.gcp_image!r}, and there is neither an image nor a family of that "
        f"name in {' or '.join(projects)}; name its project with gcp_image_project, or leave it "
        "out for Google's current one"
    )


def _projects(settings: GcpSettings) -> Iterator[str]:
    """Yield whose the image may be."""
    if settings.gcp_image_project:
        yield settings.gcp_image_project
        return
    yield settings.gcp_project or ""
    for pattern, projects in _PUBLIC.items():
        if re.match(pattern, settings.gcp_image or ""):
            yield from projects


def _todays(google: Google, settings: GcpSettings) -> Image:
    if settings.use_gpu:
        project = settings.gcp_image_project or LEARNING
        return _image(_newest_learning(google, project), project, "")
    project = settings.gcp_image_project or DEBIAN
    arm = series(settings.instance_type) in ARM_SERIES
    family = f"{DEBIAN_FAMILY}-arm64" if arm else DEBIAN_FAMILY
    found = _newest_of(google, project, family)
    if found is None:
        raise ValueError(
            f"gcp_image is not set, and {project} has no image of the family {family}; name one"
        )
    return _image(found, project, family)


def _newest_learning(google: Google, project: str) -> Mapping[str, Any]:
    """Return Google's newest image for deep learning that has no framework of its own."""
    images = [
        image
        for page in google.pages(
            google.api().images(),
            "list",
            f"the images of {project}",
            project=project,
            filter=f'family eq "{LEARNING_FAMILIES}"',
        )
        for image in page.get("items", ())
        if not image.get("deprecated", {}).get("state")
        and image.get("architecture", "X86_64") == "X86_64"
        and image.get("status", "READY") == "READY"
    ]
    if not images:
        raise ValueError(
            f"gcp_image is not set, and {project} has no image of the families "
            f"{LEARNING_FAMILIES}; name one with a driver for GPUs"
        )
    return max(images, key=lambda image: seconds(image.get("creationTimestamp")))


def _named(google: Google, project: str, name: str) -> Mapping[str, Any] | None:
    return _there(google, google.api().images().get(project=project, image=name), name)


def _newest_of(google: Google, project: str, family: str) -> Mapping[str, Any] | None:
    call = google.api().images().getFromFamily(project=project, family=family)
    return _there(google, call, family)


def _there(google: Google, call: Any, name: str) -> Mapping[str, Any] | None:
    try:
        found: Mapping[str, Any] = google.ask(call, f"image {name}")
    except NotThere:
        return None
    return found


def _image(found: Mapping[str, Any], project: str, asked: str) -> Image:
    state = found.get("deprecated", {}).get("state", "")
    if state in _WITHDRAWN:
        instead = last(found["deprecated"].get("replacement", ""))
        raise ValueError(
            f"gcp_image is {asked!r}, which is {state.lower()}; "
            f"name {instead or 'a newer one'}, or its family"
        )
    features = {each.get("type") for each in found.get("guestOsFeatures", ())}
    return Image(
        link=found.get("selfLink") or f"projects/{project}/global/images/{found['name']}",
        name=found["name"],
        project=project,
        family=found.get("family", ""),
        architecture=found.get("architecture", ""),
        disk_size=int(found.get("diskSizeGb", 0)),
        uefi="UEFI_COMPATIBLE" in features,
    )
