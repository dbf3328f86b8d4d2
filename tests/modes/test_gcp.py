"""``gcp``, on the simulated Google Cloud and the engine of this machine."""

from __future__ import annotations

import pytest
from cloud_contract import CloudContract
from contract import ModeContract
from gcp_case import GCP

pytestmark = [pytest.mark.cloud, pytest.mark.docker, pytest.mark.doodad]


class TestGcp(CloudContract, ModeContract):
    name = "gcp"
    cloud = GCP
    settings = CloudContract.settings_of(GCP)
