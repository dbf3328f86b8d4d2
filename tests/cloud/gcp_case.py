"""The simulated Google Cloud, as the tests of sweeps use it."""

from __future__ import annotations

from typing import Any

import testbed
from cloud_case import Cloud
from google.api_core.exceptions import Conflict
from google.cloud import storage

BUCKET = "launchkit-tests"
ZONE = "us-central1-a"


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
        try:
            bucket.create()
        except Conflict:
            pass

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
