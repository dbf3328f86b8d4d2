"""What the logger's tests share."""

from __future__ import annotations

import pytest

from launchkit.logging import Logger


@pytest.fixture
def log(tmp_path):
    """A logger, open in the test's own directory ``run``."""
    logger = Logger()
    logger.open(tmp_path / "run", exp_name="run")
    yield logger
    logger.close()


@pytest.fixture
def run_directory(tmp_path):
    """The directory of the logger `log`."""
    return tmp_path / "run"
