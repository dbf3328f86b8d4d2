"""Machine images: the one that is asked for, or Amazon's current one."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from launchkit.cloud.aws import Aws
from launchkit.cloud.aws_errors import Said
from launchkit.cloud.ec2_settings import PARAMETER, Ec2Settings

AMAZON_LINUX = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-{architecture}"
DEEP_LEARNING = (
    "/aws/service/deeplearning/ami/{architecture}/"
    "base-oss-nvidia-driver-gpu-amazon-linux-2023/latest/ami-id"
)
"""Where Amazon keeps the id of its current image: with NVIDIA's driver and container toolkit."""

OWNERS = ("self", "amazon")
"""Whose images are looked for by name: anybody can give an image the name of another one."""
ID = re.compile(r"ami-[0-9a-f]{8,17}")
ARCHITECTURES = ("x86_64", "arm64")


@dataclass(frozen=True)
class Image:
    """A machine image.

    Parameters
    ----------
    id
        Its id, which is another one in every region.
    name
        Its name.
    architecture
        Of its programs.
    root_device
        The name of the disk that it is on.
    size_gb
        Gigabytes that this disk has at least.
    """

    id: str
    name: str
    architecture: str
    root_device: str
    size_gb: int


def find(aws: Aws, settings: Ec2Settings, architectures: Sequence[str]) -> Image:
    """Return the machine image, for a type of machine.

    Parameters
    ----------
    aws
        Whom to ask.
    settings
        What is rented.
    architectures
        The architectures of the type of machine.

    Raises
    ------
    ValueError
        If there is none, or not for such machines.
    """
    name = settings.ami_name
    if name is None:
        known = [each for each in ARCHITECTURES if each in architectures]
        if not known:
            raise ValueError(
                f"ami_name is not set, and instance_type {settings.instance_type!r} "
                f"({', '.join(architectures)}) has no image of Amazon's; name one"
            )
        parameter = DEEP_LEARNING if settings.use_gpu else AMAZON_LINUX
        name = parameter.format(architecture=known[0])
    if re.fullmatch(PARAMETER, name):
        name = _of_parameter(aws, name)
    described = _of_id(aws, name) if ID.fullmatch(name) else _newest(aws, name, architectures)
    return _checked(described, settings, architectures)


def _of_parameter(aws: Aws, name: str) -> str:
    """Return the id that a public parameter has."""
    try:
        answer = aws.ask("ssm", lambda ssm: ssm.get_parameter(Name=name))
    except Said as error:
        if error.code != "ParameterNotFound":
            raise
        raise ValueError(
            f"ami_name: there is no image {name} in {aws.region}; set ami_name to the id or the "
            "name of one that is there"
        ) from error
    return str(answer["Parameter"]["Value"])


def _of_id(aws: Aws, image: str) -> Mapping[str, Any]:
    try:
        found = aws.ask("ec2", lambda ec2: ec2.describe_images(ImageIds=[image]))["Images"]
    except Said as error:
        if not error.code.startswith("InvalidAMIID"):
            raise
        found = []
    if not found:
        raise ValueError(
            f"ami_name is {image!r}: there is no such image in {aws.region} that you may use; ids "
            "are others in other regions, names are not"
        )
    described: Mapping[str, Any] = found[0]
    return described


def _newest(aws: Aws, name: str, architectures: Sequence[str]) -> Mapping[str, Any]:
    filters = [
        {"Name": "name", "Values": [name]},
        {"Name": "state", "Values": ["available"]},
        {"Name": "architecture", "Values": list(architectures)},
    ]
    found = aws.ask("ec2", lambda ec2: ec2.describe_images(Owners=list(OWNERS), Filters=filters))[
        "Images"
    ]
    if not found:
        raise ValueError(
            f"ami_name is {name!r}: neither you nor Amazon have such an image for "
            f"{' or '.join(architectures)} in {aws.region}; `*` stands for anything, "
            "'al2023-ami-2023.*' say; of others name the id"
        )
    newest: Mapping[str, Any] = max(found, key=lambda each: each.get("CreationDate", ""))
    return newest


def _checked(
    described: Mapping[str, Any], settings: Ec2Settings, architectures: Sequence[str]
) -> Image:
    what = f"ami_name is {settings.ami_name!r}: {described['ImageId']}"
    if described.get("State", "available") != "available":
        raise ValueError(f"{what} is {described['State']}; name another one")
    if str(described.get("Platform", "")).lower() == "windows":
        raise ValueError(f"{what} is of Windows; name one of Linux")
    architecture = described.get("Architecture", "")
    if architecture not in architectures:
        raise ValueError(
            f"{what} is for {architecture}, and instance_type {settings.instance_type!r} is "
            f"{' or '.join(architectures)}; name an image for that"
        )
    root = described.get("RootDeviceName", "")
    sizes = [
        each["Ebs"].get("VolumeSize", 0)
        for each in described.get("BlockDeviceMappings", ())
        if "Ebs" in each and each.get("DeviceName") == root
    ]
    image = Image(
        described["ImageId"],
        described.get("Name", ""),
        architecture,
        root,
        max(sizes, default=0),
    )
    if settings.disk_size is not None and settings.disk_size < image.size_gb:
        raise ValueError(
            f"disk_size is {settings.disk_size}, and the image {image.name or image.id} takes "
            f"{image.size_gb} GB; set it to that or more, or to null"
        )
    return image
