"""The settings of mode ``gcp``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from launchkit.cloud.cloud_settings import CloudSettings, check_name, check_names
from launchkit.cloud.ec2_settings import PREFIX
from launchkit.policy import check_whole

PROJECT_NAME = r"([a-z0-9.-]+:)?[a-z][a-z0-9-]*[a-z0-9]"
BUCKET_NAME = r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]"
LONGEST_MIN = 120 * 24 * 60
"""Google ends no machine later than that."""
OURS: Mapping[str, str] = {
    "name": "launchkit names the machines, to find them again",
    "description": "launchkit writes there whose a machine is",
    "labels": "launchkit's labels tell whose a machine is",
    "metadata": "the machines are told there what to run",
    "scheduling": "set preemptible and max_lifetime_min",
    "machineType": "set instance_type",
    "guestAccelerators": "set gpu_model and num_gpu",
    "serviceAccounts": "set service_account",
    "deletionProtection": "a machine has to end itself",
}
"""Fields that are not to be set with the others, and why, or what sets them."""


@dataclass(frozen=True, kw_only=True)
class GcpSettings(CloudSettings):
    """What is rented of Google Cloud.

    Parameters
    ----------
    gcp_project
        The project.
    gcp_bucket
        The bucket.
    gcp_log_path
        The prefix in it below which sweeps are.
    zone
        The zone, or several that are tried in order where one has no machine to give.
    instance_type
        The type of machine.
    preemptible
        Whether the machines are Spot machines, which are cheaper and may be taken back.
    gcp_image
        The machine image, or the family of which the newest is taken; None for Google's
        current Debian, or with GPUs its current image for deep learning.
    gcp_image_project
        The project of that image.
    gpu_model
        The model of GPU; None for machines whose type includes them, or without.
    num_gpu
        How many GPUs of that model a machine gets.
    disk_size
        Gigabytes of a machine's disk.
    swap_size
        Megabytes of swap space on a machine.
    service_account
        The account whose role the machines have; None for launchkit's own in the project.
    subnet
        The subnet of the machines; None for the default one.
    gcp_kwargs
        More fields of an instance, as the compute API names them.

    Raises
    ------
    ValueError
        If one of them is wrong.
    """

    gcp_project: str | None = None
    gcp_bucket: str | None = None
    gcp_log_path: str = "launchkit"
    zone: str | Sequence[str] | None = None
    instance_type: str = "e2-standard-2"
    preemptible: bool = False
    gcp_image: str | None = None
    gcp_image_project: str | None = None
    gpu_model: str | None = None
    num_gpu: int = 1
    disk_size: int = 64
    swap_size: int = 0
    service_account: str | None = None
    subnet: str | None = None
    gcp_kwargs: Mapping[str, Any] = field(default_factory=dict)

    BUCKET: ClassVar[str] = "gcp_bucket"

    def __post_init__(self) -> None:
        super().__post_init__()
        needed = (
            ("gcp_project", PROJECT_NAME, "name your project"),
            ("gcp_bucket", BUCKET_NAME, "name your bucket, or make one "
             "with `launchkit gcp setup`"),
            ("gcp_log_path", PREFIX, "launchkit, say"),
            ("instance_type", r"[a-z0-9]+(-[a-z0-9]+)+", "e2-standard-2, say"),
        )  # fmt: skip
        for name, pattern, example in needed:
            check_name(name, getattr(self, name), pattern, example, optional=False)
        for name in ("gcp_image", "gcp_image_project", "gpu_model", "subnet"):
            check_name(name, getattr(self, name), r"[a-z0-9][\w./:-]*", "that is no name")
        if not self.zones:
            raise ValueError("zone is not set; name one, or several, such as [us-central1-a]")
        check_names("zone", self.zones, r"[a-z]+-[a-z]+\d+-[a-z]", "a zone is us-central1-a, say")
        if not isinstance(self.preemptible, bool):
            raise ValueError(f"preemptible is {self.preemptible!r}; it must be true or false")
        check_whole("num_gpu", self.num_gpu, 1)
        check_whole("disk_size", self.disk_size, 10)
        check_whole("swap_size", self.swap_size, 0)
        check_name("service_account", self.service_account, r"[^@\s]+@[^@\s]+", "an e-mail address")
        if self.max_lifetime_min > LONGEST_MIN:
            raise ValueError(
                f"max_lifetime_min is {self.max_lifetime_min}; a machine of Google Cloud lives for "
                f"{LONGEST_MIN} minutes at most"
            )
        if self.gpu_model is not None and not self.use_gpu:
            raise ValueError(
                f"gpu_model is {self.gpu_model!r}, and use_gpu is false; set use_gpu=true, or "
                "leave the model out: it would cost, and no job would use it"
            )
        self._check_kwargs()

    def _check_kwargs(self) -> None:
        if not isinstance(self.gcp_kwargs, Mapping):
            raise ValueError(f"gcp_kwargs is {self.gcp_kwargs!r}; it must have a value a field")
        for name in self.gcp_kwargs:
            if name in OURS:
                raise ValueError(f"gcp_kwargs has {name}, which is not for it: {OURS[name]}")
