"""What the tests of rlkit's interface share."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "logging"))

from launchkit.logging import logger


@pytest.fixture(autouse=True)
def _closed_logger():
    yield
    logger.reset()
