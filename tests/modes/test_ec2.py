"""``ec2``, on the simulated EC2 and the engine of this machine."""

from __future__ import annotations

import pytest
from cloud_contract import CloudContract
from contract import ModeContract
from ec2_case import EC2

pytestmark = [pytest.mark.cloud, pytest.mark.docker, pytest.mark.doodad]


class TestEc2(CloudContract, ModeContract):
    name = "ec2"
    cloud = EC2
    settings = CloudContract.settings_of(EC2)
