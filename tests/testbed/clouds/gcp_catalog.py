"""What the simulated Google Cloud has to offer: zones, machine types, GPUs, images, quotas.

A small part of the real thing, under its real names.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

PROJECT = "launchkit-test"
PROJECT_NUMBER = "123456789012"
ROOT = "https://www.googleapis.com/compute/v1"

REGIONS = {
    "us-central1": "abcf",
    "us-east1": "bcd",
    "europe-west4": "abc",
}
ZONES = {f"{region}-{letter}": region for region, letters in REGIONS.items() for letter in letters}

SUBNETS = ("default", "machines")
"""The subnets of the network ``default``, in each region."""
DISK_TYPES = ("pd-standard", "pd-balanced", "pd-ssd", "hyperdisk-balanced")


@dataclass(frozen=True)
class MachineType:
    """A machine type; `gpus` are those that come with it, `quota` is what its CPUs count as."""

    name: str
    cpus: int
    memory_mb: int
    quota: str = "CPUS"
    gpus: tuple[tuple[str, int], ...] = ()
    zones: tuple[str, ...] = tuple(ZONES)
    extra_gpus: bool = False
    """Whether GPUs can be attached to it."""


def _machine_types() -> Iterator[MachineType]:
    for name, cpus, memory in (("micro", 2, 1024), ("small", 2, 2048), ("medium", 2, 4096)):
        yield MachineType(f"e2-{name}", cpus, memory)
    for cpus in (2, 4, 8, 16):
        yield MachineType(f"e2-standard-{cpus}", cpus, cpus * 4096)
        yield MachineType(f"e2-highmem-{cpus}", cpus, cpus * 8192)
        yield MachineType(f"n2-standard-{cpus}", cpus, cpus * 4096, quota="N2_CPUS")
    for cpus in (1, 2, 4, 8, 16):
        yield MachineType(f"n1-standard-{cpus}", cpus, cpus * 3840, extra_gpus=True)
        yield MachineType(f"n1-highmem-{cpus}", cpus, cpus * 6656, extra_gpus=True)
    for cpus, gpus in ((4, 1), (8, 1), (24, 2)):
        yield MachineType(
            f"g2-standard-{cpus}",
            cpus,
            cpus * 4096,
            gpus=(("nvidia-l4", gpus),),
            zones=("us-central1-a", "us-central1-b", "europe-west4-a"),
        )
    yield MachineType(
        "a2-highgpu-1g",
        12,
        87040,
        quota="A2_CPUS",
        gpus=(("nvidia-tesla-a100", 1),),
        zones=("us-central1-a", "europe-west4-a"),
    )


MACHINE_TYPES = {kind.name: kind for kind in _machine_types()}

GPUS = {
    "nvidia-tesla-t4": ("NVIDIA T4", 4, ("us-central1-a", "us-central1-b", "europe-west4-b")),
    "nvidia-tesla-v100": ("NVIDIA V100", 8, ("us-central1-a", "us-central1-f")),
    "nvidia-l4": ("NVIDIA L4", 8, ("us-central1-a", "us-central1-b", "europe-west4-a")),
    "nvidia-tesla-a100": ("NVIDIA A100 40GB", 16, ("us-central1-a", "europe-west4-a")),
}
"""What it is called, how many a machine may have, where it is."""

QUOTAS: dict[str, float] = {
    "CPUS": 72,
    "PREEMPTIBLE_CPUS": 72,
    "N2_CPUS": 24,
    "A2_CPUS": 0,
    "INSTANCES": 100,
    "IN_USE_ADDRESSES": 100,
    "DISKS_TOTAL_GB": 20480,
    "SSD_TOTAL_GB": 20480,
    "NVIDIA_T4_GPUS": 4,
    "PREEMPTIBLE_NVIDIA_T4_GPUS": 4,
    "NVIDIA_L4_GPUS": 1,
    "PREEMPTIBLE_NVIDIA_L4_GPUS": 1,
    "NVIDIA_V100_GPUS": 0,
    "PREEMPTIBLE_NVIDIA_V100_GPUS": 0,
    "NVIDIA_A100_GPUS": 0,
    "PREEMPTIBLE_NVIDIA_A100_GPUS": 0,
}
"""The quotas of each region."""
PROJECT_QUOTAS: dict[str, float] = {"GPUS_ALL_REGIONS": 4, "CPUS_ALL_REGIONS": 200}


@dataclass(frozen=True)
class Image:
    """A machine image."""

    project: str
    name: str
    family: str
    disk_gb: int
    created: str
    state: str = ""
    """``DEPRECATED``, ``OBSOLETE``, or nothing."""
    architecture: str = "X86_64"
    number: int = field(default=0, compare=False)

    def resource(self) -> dict[str, Any]:
        """Return it as the API shows it."""
        shown: dict[str, Any] = {
            "kind": "compute#image",
            "id": str(1000000000000000000 + hash_of(self.name)),
            "creationTimestamp": self.created,
            "name": self.name,
            "family": self.family,
            "status": "READY",
            "sourceType": "RAW",
            "diskSizeGb": str(self.disk_gb),
            "archiveSizeBytes": str(self.disk_gb * 100_000_000),
            "architecture": self.architecture,
            "selfLink": f"{ROOT}/projects/{self.project}/global/images/{self.name}",
        }
        if self.state:
            shown["deprecated"] = {"state": self.state}
        return shown


_DEBIAN, _UBUNTU = "debian-cloud", "ubuntu-os-cloud"
_LEARNING = "deeplearning-platform-release"
_CUDA = "ubuntu-2204-nvidia"
IMAGES = [
    Image(_DEBIAN, "debian-12-bookworm-v20261013", "debian-12", 10, "2026-10-13T10:00:00.000-07:00",
          "DEPRECATED"),
    Image(_DEBIAN, "debian-12-bookworm-v20261110", "debian-12", 10,
          "2026-11-10T10:00:00.000-08:00"),
    Image(_DEBIAN, "debian-12-bookworm-arm64-v20261110", "debian-12-arm64", 10,
          "2026-11-10T10:00:00.000-08:00", architecture="ARM64"),
    Image(_DEBIAN, "debian-13-trixie-v20261110", "debian-13", 10, "2026-11-10T10:00:00.000-08:00"),
    Image(_DEBIAN, "debian-10-buster-v20240312", "debian-10", 10, "2024-03-12T10:00:00.000-07:00",
          "OBSOLETE"),
    Image(_UBUNTU, "ubuntu-2404-noble-amd64-v20261101", "ubuntu-2404-lts-amd64", 10,
          "2026-11-01T10:00:00.000-07:00"),
    Image(_UBUNTU, "ubuntu-2204-jammy-v20261101", "ubuntu-2204-lts", 10,
          "2026-11-01T10:00:00.000-07:00"),
    Image(_LEARNING, f"common-cu124-{_CUDA}-550-v20250501", f"common-cu124-{_CUDA}-550", 50,
          "2025-05-01T10:00:00.000-07:00", "DEPRECATED"),
    Image(_LEARNING, f"common-cu128-{_CUDA}-570-v20260901", f"common-cu128-{_CUDA}-570", 50,
          "2026-09-01T10:00:00.000-07:00"),
    Image(_LEARNING, f"common-cu129-{_CUDA}-580-v20261015", f"common-cu129-{_CUDA}-580", 50,
          "2026-10-15T10:00:00.000-07:00"),
    Image(_LEARNING, f"pytorch-2-9-cu129-{_CUDA}-580-v20261015", f"pytorch-2-9-cu129-{_CUDA}-580",
          60, "2026-10-15T10:00:00.000-07:00"),
    Image(_LEARNING, "common-cpu-ubuntu-2204-v20261015", "common-cpu-ubuntu-2204", 50,
          "2026-10-15T10:00:00.000-07:00"),
]  # fmt: skip
PUBLIC_PROJECTS = {image.project for image in IMAGES}


def hash_of(text: str) -> int:
    """Return a number that is always the same for a text."""
    number = 0
    for byte in text.encode():
        number = (number * 131 + byte) % 899_999_999_999_999_999
    return number


def project_link(project: str, *path: str) -> str:
    """Return the address of something in a project."""
    return "/".join((f"{ROOT}/projects/{project}", *path))


def quota_of_gpu(gpu: str, *, spot: bool) -> str:
    """Return the quota that a GPU counts to."""
    model = gpu.removeprefix("nvidia-").removeprefix("tesla-").replace("-", "_").upper()
    return ("PREEMPTIBLE_" if spot else "") + f"NVIDIA_{model}_GPUS"
