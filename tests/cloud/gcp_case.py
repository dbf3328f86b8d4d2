"""The simulated Google Cloud, as the tests of sweeps use it."""

from __future__ import annotations

import contextlib
import functools
from typing import Any

import googleapiclient.discovery
import testbed
from cloud_case import Cloud
from google.api_core.exceptions import Conflict
from google.cloud import storage

from launchkit.cloud.providers import Machine

BUCKET = "launchkit-tests"
ZONE = "us-central1-a"
OTHER_ZONE = "us-central1-b"
QUIET_ZONE = "europe-west4-b"
"""Where no other test rents anything."""


class _Gcp(Cloud):
    mode = "gcp"
    bucket_setting = "gcp_bucket"
    prefix_setting = "gcp_log_path"
    bucket = BUCKET
    control = staticmethod(testbed.gcp_control)
    environment = staticmethod(testbed.gcp_environment)

    def make_bucket(self) -> None:
        bucket = storage.Client().bucket(self.bucket)
        bucket.iam_configuration.public_access_prevention = "enforced"
        bucket.iam_configuration.uniform_bucket_level_access_enabled = True
        with contextlib.suppress(Conflict):
            bucket.create()

    @functools.cached_property
    def compute(self) -> Any:
        """Google's own client of the compute API."""
        return googleapiclient.discovery.build(
            "compute",
            "v1",
            cache_discovery=False,
            client_options={"api_endpoint": f"{testbed.GCP_ENDPOINT}/compute/v1/"},
        )

    def _works(self, machine: Machine) -> bool:
        known = {each["id"] for each in self.control("GET", "machines")}
        # Of one that was to run nothing, nothing is known there.
        return machine.id in known and super()._works(machine)

    def hosts(self, sweep: str) -> set[str]:
        return {machine.id for machine in self.machines(sweep)}

    def settings(self, **more: Any) -> dict[str, Any]:
        return super().settings(
            **{
                "gcp_project": testbed.GCP_PROJECT,
                "zone": ZONE,
                "service_account": testbed.GCP_ACCOUNT,
                **more,
            }
        )


GCP = _Gcp()
